"""The one place where the parts are joined: ports to adapters, rooms to each other, all of it to
the settings. Opened with the application, closed with it.

Longer than other files for that reason: every part is named here and nowhere else.
"""

import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

import auth.accounts
import aws.clients
import background
from auth.accounts import Accounts
from aws.clients import AwsAccess, AwsClients
from aws.cognito import CognitoIdentityPool
from aws.multiparts import S3Multiparts
from aws.part_lister import PartLister
from aws.s3 import S3Store
from aws.signer.credentials import SessionCredentials
from aws.signer.presigner import Presigner
from aws.sink import StoreSink
from aws.sns.certificates import Certificates
from aws.sns.confirm import SubscriptionConfirmer
from aws.sns.fetcher import HttpxCertificateFetcher
from aws.sns.receiver import SnsReceiver
from routers.services import Services, Sites
from service.clock import utc_now
from service.completion.adoption import Adoption, AdoptionRules
from service.completion.completion import Completion
from service.completion.decision import Deciding
from service.completion.processor import Processor, ProcessorLimits
from service.completion.settlement import Settlement
from service.completion.sources.filer import FilerReceiver
from service.completion.sweep import Sweep, SweepLimits
from service.grants.grants import Grants
from service.grants.model import Place
from service.readiness import Readiness
from service.uploads.completing import Completing
from service.uploads.creation import Creation, PartSizes, Timing
from service.uploads.downloads import Downloads
from service.uploads.model import Transport
from service.uploads.multiparts import MultipartKeeper
from service.uploads.operation_tickets import OperationTickets
from service.uploads.own_parts import OwnParts
from service.uploads.policy import Policy, Profile
from service.uploads.relay import Relay
from service.uploads.ticketing import Ticketing
from service.uploads.transfers import Transfers
from service.uploads.transports import Transports
from service.uploads.uploads import Uploads
from service.uploads.verdicts import Verdicts
from settings import AuthSettings, ProfileSettings, Settings, UploadSettings
from state.accounts import RefreshTokenRepository, UserRepository
from state.database import Database
from state.idempotency import SqlIdempotencyKeys
from state.identities import SqlIdentityHistory
from state.inbox import SqlInbox
from state.tickets import SqlTickets
from state.uploads import SqlUploadRecords

# Of the temporary credentials that Cognito gives, which can write until then.
_KEYS_LIFE = timedelta(hours=1)


@asynccontextmanager
async def opened_services(settings: Settings, version: str) -> AsyncIterator[Services]:
    """Opens the database and one AWS session with its clients, and closes all in turn."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(opened_database(settings))
        clients = await stack.enter_async_context(aws.clients.opened(_access(settings)))
        accounts = build_accounts(settings.auth, database)
        stack.callback(accounts.close)
        sink = await stack.enter_async_context(
            StoreSink.opened(
                connections=settings.relay.max_concurrent,
                connect_seconds=settings.aws.connect_timeout_seconds,
                idle_seconds=settings.relay.idle_seconds,
            )
        )
        lister = await stack.enter_async_context(_lister(settings, clients))
        services, chores = _build(settings, database, clients, accounts, sink=sink, lister=lister)
        if settings.webhooks.sns_topic_arns:
            receiver = await _sns_receiver(settings, clients, stack)
            services = replace(services, sns=receiver)
        work = background.live(
            database,
            migrate=settings.database.migrate_on_start,
            completion=services.completion,
            readiness=services.readiness,
            chores=chores,
            who={"version": version, "environment": settings.environment},
        )
        await stack.enter_async_context(background.running(work, services.readiness))
        yield services


def opened_database(settings: Settings) -> contextlib.AbstractAsyncContextManager[Database]:
    return Database.opened(
        settings.database.url.get_secret_value(),
        pool_size=settings.database.pool_size,
        overflow=settings.database.pool_overflow,
        timeout_seconds=settings.database.timeout_seconds,
    )


def build_accounts(values: AuthSettings, database: Database) -> Accounts:
    return auth.accounts.build(
        users=UserRepository(database),
        refresh_tokens=RefreshTokenRepository(database),
        signing_key=values.signing_key.get_secret_value(),
        previous_signing_keys=[key.get_secret_value() for key in values.previous_signing_keys],
        **values.model_dump(exclude={"signing_key", "previous_signing_keys"}),
    )


def _access(settings: Settings) -> AwsAccess:
    secret = settings.aws.secret_access_key
    return AwsAccess(
        region=settings.aws.region,
        access_key_id=settings.aws.access_key_id,
        secret_access_key=None if secret is None else secret.get_secret_value(),
        cognito_endpoint=settings.cognito.endpoint,
        s3_endpoint=settings.store.endpoint,
        connect_timeout=settings.aws.connect_timeout_seconds,
        read_timeout=settings.aws.read_timeout_seconds,
        complete_read_timeout=settings.uploads.complete_timeout_seconds,
        max_attempts=settings.aws.max_attempts,
        max_connections=settings.aws.max_connections,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What several rooms share."""

    settings: Settings
    database: Database
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


def _build(
    settings: Settings,
    database: Database,
    clients: AwsClients,
    accounts: Accounts,
    *,
    sink: StoreSink,
    lister: PartLister,
) -> tuple[Services, list[background.Chore]]:
    parts = _parts(settings, database, clients, sink, lister)
    settlement = _settlement(parts)
    transports = Transports(folders=parts.grants, policy=parts.policy)
    transfers = _transfers(parts, transports)
    completing = _completing(parts, settlement)
    bucket = settings.store.bucket
    tokens = [token.get_secret_value() for token in settings.webhooks.seaweedfs_tokens]
    uploads = Uploads(
        records=parts.records,
        store=parts.store,
        keeper=parts.keeper,
        overdue=parts.overdue,
        clock=utc_now,
    )
    tickets = SqlTickets(database)
    services = Services(
        accounts=accounts,
        grants=parts.grants,
        uploads=uploads,
        creation=_creation(parts, transports),
        transfers=transfers,
        completing=completing,
        relay=_relay(parts, transports, completing),
        own_parts=OwnParts(
            records=parts.records,
            multiparts=parts.multiparts,
            keeper=parts.keeper,
            transfers=transfers,
            completing=completing,
            uploads=uploads,
            clock=utc_now,
        ),
        operation_tickets=_operation_tickets(settings),
        ticketing=Ticketing(
            tickets=tickets,
            policy=parts.policy,
            life=timedelta(seconds=settings.tickets.companion_seconds),
            clock=utc_now,
        ),
        sites=Sites(bucket, settings.public_url.rstrip("/"), parts.signer.location),
        downloads=Downloads(
            records=parts.records,
            store=parts.store,
            signer=parts.signer,
            policy=parts.policy,
            url_life=parts.url_life,
            clock=utc_now,
        ),
        verdicts=Verdicts(records=parts.records, store=parts.store, clock=utc_now),
        completion=_completion(parts, settlement, completing),
        readiness=_readiness(settings, database, parts.store, parts.grants),
        seaweedfs=FilerReceiver(tokens=tokens, bucket=bucket) if tokens else None,
    )
    kept = timedelta(hours=settings.uploads.idempotency_hours)
    return services, [
        accounts.delete_expired,
        lambda: parts.keys.forget(utc_now() - kept),
        lambda: tickets.forget(utc_now()),
    ]


def _parts(
    settings: Settings,
    database: Database,
    clients: AwsClients,
    sink: StoreSink,
    lister: PartLister,
) -> _Parts:
    policy = Policy(_profiles(settings.uploads), settings.credentials.issue)
    records = SqlUploadRecords(database)
    multiparts = S3Multiparts(
        clients.s3,
        clients.s3_completing,
        lister,
        call_seconds=settings.aws.call_timeout_seconds,
        complete_seconds=settings.uploads.complete_timeout_seconds,
    )
    return _Parts(
        settings=settings,
        database=database,
        policy=policy,
        records=records,
        store=S3Store(clients.s3, call_seconds=settings.aws.call_timeout_seconds),
        multiparts=multiparts,
        keeper=MultipartKeeper(records=records, multiparts=multiparts, clock=utc_now),
        credentials=clients.credentials,
        signer=_signer(settings, clients.credentials, public=True),
        sink=sink,
        keys=SqlIdempotencyKeys(database),
        grants=_grants(settings, database, clients, policy),
        overdue=timedelta(seconds=settings.completion.overdue_seconds),
        url_life=timedelta(seconds=settings.uploads.url_seconds),
    )


def _signer(settings: Settings, credentials: SessionCredentials, *, public: bool) -> Presigner:
    store = settings.store
    return Presigner(
        credentials=credentials,
        region=settings.aws.region,
        endpoint=(store.public_endpoint if public else None) or store.endpoint,
    )


def _lister(
    settings: Settings, clients: AwsClients
) -> contextlib.AbstractAsyncContextManager[PartLister]:
    return PartLister.opened(
        _signer(settings, clients.credentials, public=False),
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


def _grants(settings: Settings, database: Database, clients: AwsClients, policy: Policy) -> Grants:
    return Grants(
        pool=_pool(settings, clients),
        history=SqlIdentityHistory(database, utc_now),
        policy=policy,
        place=_place(settings),
        token_seconds=settings.cognito.token_seconds,
        max_calls=settings.cognito.max_concurrent,
        clock=utc_now,
    )


def _creation(parts: _Parts, transports: Transports) -> Creation:
    values = parts.settings.uploads
    return Creation(
        records=parts.records,
        keys=parts.keys,
        keeper=parts.keeper,
        transports=transports,
        policy=parts.policy,
        bucket=parts.settings.store.bucket,
        timing=Timing(
            expires=timedelta(seconds=values.expires_seconds),
            overdue=parts.overdue,
            lease=timedelta(seconds=values.idempotency_lease_seconds),
        ),
        part_sizes=PartSizes(threshold=values.multipart_threshold, preferred=values.part_size),
        clock=utc_now,
    )


def _transfers(parts: _Parts, transports: Transports) -> Transfers:
    return Transfers(
        records=parts.records,
        multiparts=parts.multiparts,
        keeper=parts.keeper,
        signer=parts.signer,
        transports=transports,
        policy=parts.policy,
        url_life=parts.url_life,
        clock=utc_now,
    )


def _relay(parts: _Parts, transports: Transports, completing: Completing) -> Relay:
    """Signs for itself: the store may have another address here than for clients."""
    inside = replace(parts, signer=_signer(parts.settings, parts.credentials, public=False))
    return Relay(
        transfers=_transfers(inside, transports),
        keeper=inside.keeper,
        signer=inside.signer,
        sink=inside.sink,
        completing=completing,
        most_of_one_user=inside.settings.relay.max_per_user,
    )


def _operation_tickets(settings: Settings) -> OperationTickets:
    keys = [settings.auth.signing_key, *settings.auth.previous_signing_keys]
    return OperationTickets(
        [key.get_secret_value() for key in keys],
        life=timedelta(seconds=settings.tickets.operation_seconds),
        clock=utc_now,
    )


def _completing(parts: _Parts, settlement: Settlement) -> Completing:
    seconds = parts.settings.uploads.complete_timeout_seconds
    return Completing(
        records=parts.records,
        keys=parts.keys,
        store=parts.store,
        multiparts=parts.multiparts,
        keeper=parts.keeper,
        policy=parts.policy,
        settle=settlement.settle,
        lease=timedelta(seconds=seconds + 60),
        clock=utc_now,
    )


def _settlement(parts: _Parts) -> Settlement:
    store = parts.settings.store
    rules = AdoptionRules(store.adoption, store.adoption_skips)
    return Settlement(
        records=parts.records,
        store=parts.store,
        adoption=Adoption(parts.grants, rules, parts.policy.profile(None).name),
        deciding=Deciding(parts.policy, parts.url_life),
        scans=None,
        clock=utc_now,
    )


def _pool(settings: Settings, clients: AwsClients) -> CognitoIdentityPool | None:
    if settings.cognito.identity_pool_id is None:
        return None
    return CognitoIdentityPool(
        client=clients.cognito,
        public_client=clients.cognito_public,
        pool_id=settings.cognito.identity_pool_id,
        developer_provider_name=settings.cognito.developer_provider_name,
        call_seconds=settings.aws.call_timeout_seconds,
    )


def _place(settings: Settings) -> Place:
    return Place(
        region=settings.aws.region,
        bucket=settings.store.bucket,
        cognito_endpoint=settings.cognito.public_endpoint or settings.cognito.endpoint,
        s3_endpoint=settings.store.public_endpoint or settings.store.endpoint,
    )


def _completion(parts: _Parts, settlement: Settlement, completing: Completing) -> Completion:
    settings, database, overdue = parts.settings, parts.database, parts.overdue
    values = settings.completion
    inbox = SqlInbox(database, limit=values.inbox_limit)
    limits = ProcessorLimits(
        batch=values.batch,
        concurrency=values.concurrency,
        lease=timedelta(seconds=values.lease_seconds),
        max_attempts=values.max_attempts,
        absent_attempts=values.absent_attempts,
    )
    kept = timedelta(days=values.inbox_days)
    return Completion(
        inbox=inbox,
        processor=Processor(inbox=inbox, settlement=settlement, limits=limits, clock=utc_now),
        sweep=Sweep(
            records=parts.records,
            inbox=inbox,
            settlement=settlement,
            keeper=parts.keeper,
            reject_overgrown=completing.reject_overgrown,
            limits=SweepLimits(
                overdue=overdue,
                late_bytes=max(parts.url_life, _KEYS_LIFE) + overdue,
                batch=values.batch,
                concurrency=values.concurrency,
                keep_events=kept,
            ),
            clock=utc_now,
        ),
        sweep_seconds=values.sweep_interval_seconds,
        bucket=settings.store.bucket,
        clock=utc_now,
    )


def _readiness(settings: Settings, database: Database, store: S3Store, grants: Grants) -> Readiness:
    return Readiness(
        checks={
            "database": database.ping,
            "store": lambda: store.ping(settings.store.bucket),
            "cognito": grants.check,
        },
        required=frozenset(settings.required_dependencies),
        believe_seconds=settings.dependency_check_seconds,
        check_seconds=settings.dependency_check_seconds,
    )


async def _sns_receiver(
    settings: Settings, clients: AwsClients, stack: AsyncExitStack
) -> SnsReceiver:
    fetcher = await stack.enter_async_context(HttpxCertificateFetcher())
    certificates = Certificates(fetcher, clock=utc_now)
    stack.push_async_callback(certificates.aclose)
    return SnsReceiver(
        topic_arns=frozenset(settings.webhooks.sns_topic_arns),
        sha256_only=settings.webhooks.sns_sha256_only,
        certificates=certificates,
        confirm=SubscriptionConfirmer(clients=clients.sns),
        clock=utc_now,
        max_age_seconds=settings.webhooks.sns_max_age_seconds,
    )
