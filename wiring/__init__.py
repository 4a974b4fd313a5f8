"""The one place where the parts are joined: ports to adapters, rooms to each other, all of it to
the settings. Opened with the application, closed with it.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import background
from auth.accounts import Accounts
from auth.revocations import NEWS
from routers.services import Services, Sites
from service.completion.timeline import Timeline
from service.readiness import Readiness
from service.uploads.downloads import Downloads
from service.uploads.own_parts import OwnParts
from service.uploads.ticketing import Ticketing
from service.uploads.transports import Transports
from service.uploads.uploads import Uploads
from service.uploads.verdicts import Verdicts
from settings import Settings
from state.tickets import SqlTickets
from state.timeline import SqlTimeline
from wiring.completion import completion_of, consumer_of, settlement_of
from wiring.delivery import DeliveryRoom, opened_delivery
from wiring.doors import Doors, opened_doors
from wiring.parts import Parts, build_accounts, opened_database, opened_parts
from wiring.shared import opened_redis
from wiring.uploads import completing_of, creation_of, operation_tickets_of, relay_of, transfers_of

__all__ = ["build_accounts", "opened_database", "opened_services", "opened_worker"]


@asynccontextmanager
async def opened_services(settings: Settings, version: str) -> AsyncIterator[Services]:
    """Opens the database and one AWS session with its clients, and closes all in turn."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(opened_database(settings))
        room = await stack.enter_async_context(
            opened_delivery(settings, database, version, streams=True)
        )
        redis = await stack.enter_async_context(opened_redis(settings))
        parts = await stack.enter_async_context(
            opened_parts(settings, database, room.announce, redis)
        )
        accounts = build_accounts(settings, database, tell=room.news.announce, redis=redis)
        ended = accounts.revocations
        room.news.on(NEWS, ended.hear, ended.missed)
        stack.callback(accounts.close)
        tickets = SqlTickets(database)
        doors = await stack.enter_async_context(opened_doors(settings, parts.clients))
        services = _services(parts, room, accounts, tickets, doors)
        stack.push_async_callback(services.completion.aclose)
        stack.push_async_callback(services.readiness.aclose)
        works: list[background.Work] = [room.news.run, ended.run]
        if settings.completion.in_server:
            works += [services.completion.run, room.drainer.run]
        chores = [
            accounts.delete_expired,
            lambda: parts.keys.forget(database.clock() - _kept(settings)),
            lambda: tickets.forget(database.clock()),
            room.retention.forget,
        ]
        work = _live(parts, works, chores, services.readiness, version, first=ended.first_look)
        await stack.enter_async_context(background.running(work, services.readiness))
        yield services


@asynccontextmanager
async def opened_worker(settings: Settings, version: str) -> AsyncIterator[asyncio.Task[None]]:
    """What `opened_services` does beside requests, and the queue. The task ends only by a fault."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(opened_database(settings))
        room = await stack.enter_async_context(
            opened_delivery(settings, database, version, streams=False)
        )
        redis = await stack.enter_async_context(opened_redis(settings))
        parts = await stack.enter_async_context(
            opened_parts(settings, database, room.announce, redis, queue=True)
        )
        settlement = settlement_of(parts)
        completion = completion_of(parts, settlement, completing_of(parts, settlement))
        stack.push_async_callback(completion.aclose)
        works: list[background.Work] = [room.news.run, completion.run, room.drainer.run]
        if parts.clients.sqs is not None:
            works.append(consumer_of(settings, parts.clients, completion).run)
        readiness = _readiness(parts)
        work = _live(parts, works, [room.retention.forget], readiness, version)
        yield await stack.enter_async_context(background.running(work, readiness))


def _live(
    parts: Parts,
    works: Sequence[background.Work],
    chores: Sequence[background.Chore],
    readiness: Readiness,
    version: str,
    *,
    first: background.Chore | None = None,
) -> Coroutine[None, None, None]:
    clock = parts.database.clock

    async def before_all() -> None:
        await clock.first()
        if first is not None:
            await first()

    return background.live(
        parts.database,
        migrate=parts.settings.database.migrate_on_start,
        first=before_all,
        works=[clock.run, *works],
        readiness=readiness,
        chores=chores,
        who={"version": version, "environment": parts.settings.environment},
    )


def _kept(settings: Settings) -> timedelta:
    return timedelta(hours=settings.uploads.idempotency_hours)


def _services(
    parts: Parts, room: DeliveryRoom, accounts: Accounts, tickets: SqlTickets, doors: Doors
) -> Services:
    settings, clock = parts.settings, parts.database.clock
    settlement = settlement_of(parts)
    transports = Transports(folders=parts.grants, policy=parts.policy)
    transfers = transfers_of(parts, transports)
    completing = completing_of(parts, settlement)
    uploads = Uploads(
        records=parts.records,
        store=parts.store,
        keeper=parts.keeper,
        overdue=parts.overdue,
        clock=clock,
    )
    return Services(
        accounts=accounts,
        grants=parts.grants,
        uploads=uploads,
        creation=creation_of(parts, transports),
        transfers=transfers,
        completing=completing,
        relay=relay_of(parts, transports, completing),
        own_parts=OwnParts(
            records=parts.records,
            multiparts=parts.multiparts,
            keeper=parts.keeper,
            transfers=transfers,
            completing=completing,
            uploads=uploads,
            clock=clock,
        ),
        operation_tickets=operation_tickets_of(settings),
        ticketing=Ticketing(
            tickets=tickets,
            policy=parts.policy,
            life=timedelta(seconds=settings.tickets.companion_seconds),
            clock=clock,
        ),
        sites=Sites(settings.store.bucket, settings.public_url.rstrip("/"), parts.signer.location),
        downloads=Downloads(
            records=parts.records,
            store=parts.store,
            signer=parts.signer,
            policy=parts.policy,
            url_life=parts.url_life,
            clock=clock,
        ),
        verdicts=Verdicts(records=parts.records, store=parts.store, clock=clock),
        completion=completion_of(parts, settlement, completing),
        readiness=_readiness(parts),
        timeline=Timeline(records=parts.records, history=SqlTimeline(parts.database), clock=clock),
        endpoints=room.endpoints,
        trials=room.trials,
        streams=room.streams,
        eventbridge=doors.eventbridge,
        seaweedfs=doors.seaweedfs,
        sns=doors.sns,
    )


def _readiness(parts: Parts) -> Readiness:
    settings = parts.settings
    return Readiness(
        checks={
            "database": parts.database.ping,
            "store": lambda: parts.store.ping(settings.store.bucket),
            "cognito": parts.grants.check,
        },
        required=frozenset(settings.required_dependencies),
        believe_seconds=settings.dependency_check_seconds,
        check_seconds=settings.dependency_check_seconds,
    )
