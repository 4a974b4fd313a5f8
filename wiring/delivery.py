"""The room of delivery: who is told of what happened."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

from outgoing.guard import Guard
from outgoing.lookup import Resolve, SystemLookup
from outgoing.sender import HttpSender
from service.clock import utc_now
from service.delivery.drainer import Drainer, DrainLimits
from service.delivery.endpoints import EndpointLimits, Endpoints
from service.delivery.hub import Hub
from service.delivery.news import News
from service.delivery.retention import Retention
from service.delivery.streams import Streams, StreamTimes
from service.delivery.trial import TRIALS_AT_ONCE, Trials
from settings import DeliverySettings, EventSettings, Settings
from state.buses import opened_bus
from state.database import Database
from state.endpoints import SqlEndpoints
from state.feed import SqlEventFeed
from state.outbox import SqlOutbox


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRoom:
    drainer: Drainer
    endpoints: Endpoints
    trials: Trials
    news: News
    streams: Streams
    retention: Retention

    def announce(self, user_id: str) -> None:
        """Implements service.delivery.ports.Announce."""
        self.news.announce(user_id)
        self.drainer.news()


@asynccontextmanager
async def opened_delivery(
    settings: Settings, database: Database, version: str, *, streams: bool
) -> AsyncIterator[DeliveryRoom]:
    """`streams`: whether pages listen to this process."""
    values = settings.delivery
    async with AsyncExitStack() as stack:
        guard = guard_of(values, stack.enter_context(SystemLookup.opened()))
        sender = await stack.enter_async_context(
            _sender(values, guard, version, values.concurrency)
        )
        endpoints = endpoints_of(values, database, guard)
        trials = await stack.enter_async_context(opened_trials(values, endpoints, guard, version))
        redis = settings.redis
        bus = await stack.enter_async_context(
            opened_bus(
                database,
                redis_url=None if redis.url is None else redis.url.get_secret_value(),
                prefix=redis.prefix,
                timeout_seconds=redis.timeout_seconds,
            )
        )
        hub = Hub(
            max_streams=settings.events.max_streams,
            max_per_user=settings.events.max_streams_per_user,
        )
        outbox, clock = SqlOutbox(database), database.clock
        yield DeliveryRoom(
            drainer=Drainer(
                outbox=outbox, sender=sender, limits=_limits(values), clock=clock, world=utc_now
            ),
            endpoints=endpoints,
            trials=trials,
            news=News(hub=hub if streams else None, bus=bus),
            streams=_streams(settings.events, database, hub),
            retention=Retention(outbox, keep=timedelta(days=values.keep_days), clock=clock),
        )


@asynccontextmanager
async def opened_trials(
    values: DeliverySettings, endpoints: Endpoints, guard: Guard, version: str
) -> AsyncIterator[Trials]:
    """With connections of their own: they take none from deliveries, and wait for none."""
    async with _sender(values, guard, version, TRIALS_AT_ONCE) as sender:
        yield Trials(endpoints=endpoints, sender=sender, clock=utc_now)


def _sender(
    values: DeliverySettings, guard: Guard, version: str, connections: int
) -> AbstractAsyncContextManager[HttpSender]:
    return HttpSender.opened(
        guard,
        timeout_seconds=values.timeout_seconds,
        connections=connections,
        user_agent=f"uploadgate/{version}",
        clock=utc_now,
    )


def guard_of(values: DeliverySettings, resolve: Resolve) -> Guard:
    return Guard(
        allowed_networks=values.allowed_networks, allow_http=values.allow_http, resolve=resolve
    )


def endpoints_of(values: DeliverySettings, database: Database, guard: Guard) -> Endpoints:
    limits = EndpointLimits(
        most=values.max_endpoints,
        rotation=timedelta(hours=values.rotation_hours),
        keep=timedelta(days=values.keep_days),
    )
    return Endpoints(
        records=SqlEndpoints(database), addresses=guard, limits=limits, clock=database.clock
    )


def _limits(values: DeliverySettings) -> DrainLimits:
    return DrainLimits(
        batch=100,
        concurrency=values.concurrency,
        per_endpoint=values.per_endpoint,
        lease=timedelta(seconds=values.lease_seconds),
        retry_seconds=tuple(values.retry_seconds),
    )


def _streams(values: EventSettings, database: Database, hub: Hub) -> Streams:
    times = StreamTimes(
        heartbeat=values.heartbeat_seconds, look=values.look_seconds, send=values.send_seconds
    )
    return Streams(feed=SqlEventFeed(database), hub=hub, times=times, clock=utc_now)
