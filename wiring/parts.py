"""What several rooms share: the database, the store, the records, the policy."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import auth.accounts
import aws.clients
from auth.accounts import Accounts
from aws.clients import AwsAccess, AwsClients
from aws.heads import Heads
from aws.multiparts import S3Multiparts
from aws.part_lister import PartLister
from aws.s3 import S3Store
from aws.signer.credentials import SessionCredentials
from aws.signer.presigner import Presigner
from aws.sink import StoreSink
from service.delivery.ports import Announce
from service.grants.grants import Grants
from service.uploads.model import Transport
from service.uploads.multiparts import MultipartKeeper
from service.uploads.policy import Policy, Profile
from settings import ProfileSettings, Settings, UploadSettings
from state.accounts import RefreshTokenRepository, UserRepository
from state.database import Database
from state.idempotency import SqlIdempotencyKeys
from state.revocations import SqlEndedLogins
from state.uploads import SqlUploadRecords
from wiring.grants import grants_of
from wiring.shared import Connections, shared_failures_of

# A revocation is visible this many times a statement's time-out after its time, at the latest: the
# bound of a transaction, and as much again for clocks that differ.
_LATE_BY = 6


def opened_database(settings: Settings) -> AbstractAsyncContextManager[Database]:
    return Database.opened(
        settings.database.url.get_secret_value(),
        pool_size=settings.database.pool_size,
        overflow=settings.database.pool_overflow,
        timeout_seconds=settings.database.timeout_seconds,
    )


def build_accounts(
    settings: Settings,
    database: Database,
    *,
    tell: Callable[[str], None] | None = None,
    redis: Connections | None = None,
) -> Accounts:
    """`tell` is for who checks access tokens, too: what one ends, the other replicas hear."""
    values = settings.auth
    checks: dict[str, Any] = {}
    if tell is not None:
        checks = {"ended_logins": SqlEndedLogins(database), "tell": tell}
    return auth.accounts.build(
        users=UserRepository(database),
        refresh_tokens=RefreshTokenRepository(database),
        late_seconds=_LATE_BY * settings.database.timeout_seconds,
        shared_failures=shared_failures_of(settings, redis),
        **checks,
        signing_key=values.signing_key.get_secret_value(),
        previous_signing_keys=[key.get_secret_value() for key in values.previous_signing_keys],
        **values.model_dump(exclude={"signing_key", "previous_signing_keys"}),
    )


def _access(settings: Settings, *, queue: bool) -> AwsAccess:
    secret = settings.aws.secret_access_key
    return AwsAccess(
        region=settings.aws.region,
        access_key_id=settings.aws.access_key_id,
        secret_access_key=None if secret is None else secret.get_secret_value(),
        cognito_endpoint=settings.cognito.endpoint,
        s3_endpoint=settings.store.endpoint,
        sqs_endpoint=settings.sqs.endpoint,
        sqs=queue and settings.sqs.queue_url is not None,
        connect_timeout=settings.aws.connect_timeout_seconds,
        read_timeout=settings.aws.read_timeout_seconds,
        complete_read_timeout=settings.uploads.complete_timeout_seconds,
        max_attempts=settings.aws.max_attempts,
        max_connections=settings.aws.max_connections,
        keep_alive=settings.aws.keep_alive_seconds,
        cognito_connections=settings.cognito.max_concurrent,
        cognito_seconds=settings.cognito.call_timeout_seconds,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What several rooms share."""

    settings: Settings
    database: Database
    clients: AwsClients
    policy: Policy
    records: SqlUploadRecords
    store: S3Store
    multiparts: S3Multiparts
    keeper: MultipartKeeper
    credentials: SessionCredentials
    signer: Presigner
    sink: StoreSink
    keys: SqlIdempotencyKeys
    grants: Grants
    overdue: timedelta
    url_life: timedelta


@asynccontextmanager
async def opened_parts(
    settings: Settings,
    database: Database,
    announce: Announce,
    redis: Connections | None,
    *,
    queue: bool = False,
) -> AsyncIterator[Parts]:
    """One AWS session with its clients. `announce` is told of whom there is news; `queue`: the
    queue is needed, too.
    """
    async with AsyncExitStack() as stack:
        clients = await stack.enter_async_context(
            aws.clients.opened(_access(settings, queue=queue))
        )
        sink = await stack.enter_async_context(_sink(settings))
        lister = await stack.enter_async_context(_lister(settings, clients))
        heads = await stack.enter_async_context(_heads(settings, clients))
        parts = _parts(
            settings, database, clients, announce, redis, sink=sink, lister=lister, heads=heads
        )
        stack.push_async_callback(parts.grants.aclose)
        yield parts


def _sink(settings: Settings) -> AbstractAsyncContextManager[StoreSink]:
    return StoreSink.opened(
        connections=settings.relay.max_concurrent,
        connect_seconds=settings.aws.connect_timeout_seconds,
        idle_seconds=settings.relay.idle_seconds,
    )


def _parts(
    settings: Settings,
    database: Database,
    clients: AwsClients,
    announce: Announce,
    redis: Connections | None,
    *,
    sink: StoreSink,
    lister: PartLister,
    heads: Heads,
) -> Parts:
    policy = Policy(_profiles(settings.uploads), settings.credentials.issue)
    records = SqlUploadRecords(database, announce)
    multiparts = S3Multiparts(
        clients.s3,
        clients.s3_completing,
        lister,
        call_seconds=settings.aws.call_timeout_seconds,
        complete_seconds=settings.uploads.complete_timeout_seconds,
    )
    return Parts(
        settings=settings,
        database=database,
        clients=clients,
        policy=policy,
        records=records,
        store=S3Store(clients.s3, call_seconds=settings.aws.call_timeout_seconds, heads=heads),
        multiparts=multiparts,
        keeper=MultipartKeeper(records=records, multiparts=multiparts, clock=database.clock),
        credentials=clients.credentials,
        signer=signer(settings, clients.credentials, public=True),
        sink=sink,
        keys=SqlIdempotencyKeys(database),
        grants=grants_of(settings, database, clients, redis, policy=policy, announce=announce),
        overdue=timedelta(seconds=settings.completion.overdue_seconds),
        url_life=timedelta(seconds=settings.uploads.url_seconds),
    )


def signer(settings: Settings, credentials: SessionCredentials, *, public: bool) -> Presigner:
    store = settings.store
    return Presigner(
        credentials=credentials,
        region=settings.aws.region,
        endpoint=(store.public_endpoint if public else None) or store.endpoint,
    )


def _lister(settings: Settings, clients: AwsClients) -> AbstractAsyncContextManager[PartLister]:
    return PartLister.opened(
        signer(settings, clients.credentials, public=False),
        connections=settings.aws.max_connections,
        connect_seconds=settings.aws.connect_timeout_seconds,
        read_seconds=settings.aws.read_timeout_seconds,
        attempts=settings.aws.max_attempts,
        call_seconds=settings.aws.call_timeout_seconds,
    )


def _heads(settings: Settings, clients: AwsClients) -> AbstractAsyncContextManager[Heads]:
    return Heads.opened(
        signer(settings, clients.credentials, public=False),
        connections=settings.aws.max_connections,
        connect_seconds=settings.aws.connect_timeout_seconds,
        read_seconds=settings.aws.read_timeout_seconds,
        attempts=settings.aws.max_attempts,
        call_seconds=settings.aws.call_timeout_seconds,
    )


def _profiles(values: UploadSettings) -> list[Profile]:
    """`default` first: what an upload is of that names none."""
    named = {"default": ProfileSettings(max_size=values.max_size), **values.profiles}
    return [
        Profile(
            name=name,
            content_types=tuple(profile.content_types),
            extensions=tuple(profile.extensions),
            transports=frozenset(Transport(transport) for transport in profile.transports),
            **profile.model_dump(exclude={"content_types", "extensions", "transports"}),
        )
        for name, profile in named.items()
    ]
