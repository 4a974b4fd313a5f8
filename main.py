"""The one place where everything is wired: `create_app(settings)`. Nothing is built at import.

Longer than other files for that reason: every part is named here and nowhere else.
"""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TypedDict

import structlog
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

import auth.accounts
import aws.clients
import routers.auth
import routers.credentials
import routers.health
import routers.uploads
import routers.webhooks
import state.schema
from auth.accounts import Accounts
from aws.clients import AwsAccess, AwsClients
from aws.cognito import CognitoIdentityPool
from aws.s3 import S3Store
from aws.sns.certificates import Certificates
from aws.sns.confirm import SubscriptionConfirmer
from aws.sns.fetcher import HttpxCertificateFetcher
from aws.sns.receiver import SnsReceiver
from errors import UnavailableError
from routers import openapi, problems
from routers.middleware.access_log import AccessLog
from routers.middleware.admission import Admission
from routers.middleware.body_limit import BodyLimit
from routers.middleware.faults import FaultBarrier
from routers.middleware.request_id import RequestId
from routers.services import Services
from service.clock import utc_now
from service.completion.adoption import Adoption, AdoptionRules
from service.completion.completion import Completion
from service.completion.processor import Processor, ProcessorLimits
from service.completion.settlement import Settlement
from service.completion.sources.filer import FilerReceiver
from service.completion.sweep import Sweep, SweepLimits
from service.grants.grants import Grants
from service.grants.model import Place
from service.readiness import Readiness
from service.uploads.policy import Policy, Profile
from service.uploads.uploads import Timing, Uploads
from settings import AuthSettings, Settings
from state.accounts import RefreshTokenRepository, UserRepository
from state.database import Database
from state.identities import SqlIdentityHistory
from state.inbox import SqlInbox
from state.uploads import SqlUploadRecords

VERSION = "0.1.0"
EXPOSED_HEADERS = ["ETag", "Location", "Retry-After", "WWW-Authenticate", "X-Request-ID"]
_SCHEMA_RETRY_SECONDS = 2.0
_HOUSEKEEPING_SECONDS = 3600.0
_log = structlog.get_logger("uploadgate")


class LifespanState(TypedDict):
    """What `request.state` carries."""

    services: Services


def create_app(settings: Settings | None = None) -> FastAPI:
    """The whole service. Without settings they are read from the environment."""
    settings = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[LifespanState]:
        async with opened_services(settings) as services:
            app.state.readiness = services.readiness
            yield {"services": services}

    app = FastAPI(
        title="uploadgate",
        version=VERSION,
        summary="Lets users upload straight to S3: no file passes through your servers.",
        lifespan=lifespan,
        docs_url="/docs" if settings.docs else None,
        redoc_url=None,
        redirect_slashes=False,
        separate_input_output_schemas=False,
        servers=[{"url": settings.public_url}],
    )
    for part in (routers.auth, routers.credentials, routers.uploads, routers.webhooks):
        app.include_router(part.router)
    app.include_router(routers.health.router)
    problems.install(app)
    openapi.customise(app)
    _add_middleware(app, settings)
    return app


def _add_middleware(app: FastAPI, settings: Settings) -> None:
    """Innermost first. Refusals of the gate still get CORS headers, an id and a log line."""
    http = settings.http
    app.add_middleware(FaultBarrier)
    app.add_middleware(
        Admission,
        max_concurrent=http.max_concurrent,
        max_concurrent_webhooks=http.max_concurrent_webhooks,
        max_waiting=http.max_waiting,
        wait_seconds=http.wait_seconds,
    )
    app.add_middleware(
        BodyLimit,
        largest=http.body_limit,
        larger={
            "/v1/webhooks/seaweedfs": settings.webhooks.seaweedfs_body_limit,
            "/v1/webhooks/sns": settings.webhooks.sns_body_limit,
        },
        seconds=http.body_seconds,
    )
    app.add_middleware(
        CORSMiddleware,
        allow_origins=http.cors_origins,
        allow_methods=["GET", "POST", "PUT", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "X-Request-ID"],
        expose_headers=EXPOSED_HEADERS,
        max_age=600,
    )
    app.add_middleware(AccessLog)
    app.add_middleware(RequestId)
    if settings.trusted_proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=settings.trusted_proxies)


@asynccontextmanager
async def opened_services(settings: Settings) -> AsyncIterator[Services]:
    """Opens the database and one AWS session with its clients, and closes all in turn."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(opened_database(settings))
        clients = await stack.enter_async_context(aws.clients.opened(_access(settings)))
        accounts = build_accounts(settings.auth, database)
        stack.callback(accounts.close)
        services = _build(settings, database, clients, accounts)
        if settings.webhooks.sns_topic_arns:
            receiver = await _sns_receiver(settings, clients, stack)
            services = replace(services, sns=receiver)
        work = _live(settings, database, services)
        await stack.enter_async_context(_running(work, services.readiness))
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
        max_attempts=settings.aws.max_attempts,
        max_connections=settings.aws.max_connections,
    )


def _build(
    settings: Settings, database: Database, clients: AwsClients, accounts: Accounts
) -> Services:
    bucket = settings.store.bucket
    overdue = timedelta(seconds=settings.completion.overdue_seconds)
    policy = Policy([Profile(max_size=settings.uploads.max_size)], settings.credentials.issue)
    records = SqlUploadRecords(database)
    store = S3Store(clients.s3, call_seconds=settings.aws.call_timeout_seconds)
    grants = Grants(
        pool=_pool(settings, clients),
        history=SqlIdentityHistory(database, utc_now),
        policy=policy,
        place=_place(settings),
        token_seconds=settings.cognito.token_seconds,
        max_calls=settings.cognito.max_concurrent,
        clock=utc_now,
    )
    uploads = Uploads(
        records=records,
        store=store,
        folders=grants,
        policy=policy,
        bucket=bucket,
        timing=Timing(timedelta(seconds=settings.uploads.expires_seconds), overdue),
        clock=utc_now,
    )
    rules = AdoptionRules(settings.store.adoption, settings.store.adoption_skips)
    settlement = Settlement(
        records=records,
        store=store,
        adoption=Adoption(grants, rules, policy.profile(None).name),
        policy=policy,
        clock=utc_now,
    )
    tokens = [token.get_secret_value() for token in settings.webhooks.seaweedfs_tokens]
    return Services(
        accounts=accounts,
        grants=grants,
        uploads=uploads,
        completion=_completion(settings, database, records, settlement, overdue),
        readiness=_readiness(settings, database, store, grants),
        seaweedfs=FilerReceiver(tokens=tokens, bucket=bucket) if tokens else None,
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


def _completion(
    settings: Settings,
    database: Database,
    records: SqlUploadRecords,
    settlement: Settlement,
    overdue: timedelta,
) -> Completion:
    values = settings.completion
    inbox = SqlInbox(database, limit=values.inbox_limit)
    limits = ProcessorLimits(
        batch=values.batch,
        concurrency=values.concurrency,
        lease=timedelta(seconds=values.lease_seconds),
        max_attempts=values.max_attempts,
    )
    kept = timedelta(days=values.inbox_days)
    return Completion(
        inbox=inbox,
        processor=Processor(inbox=inbox, settlement=settlement, limits=limits, clock=utc_now),
        sweep=Sweep(
            records=records,
            inbox=inbox,
            settlement=settlement,
            limits=SweepLimits(overdue, values.batch, kept),
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


async def _live(settings: Settings, database: Database, services: Services) -> None:
    """Makes ready, then completes uploads for as long as the application lives."""
    await _make_schema_ready(settings, database)
    services.readiness.started()
    _log.info("ready", version=VERSION, environment=settings.environment)
    async with asyncio.TaskGroup() as group:
        group.create_task(services.completion.run())
        group.create_task(_keep_house(services.accounts))


async def _keep_house(accounts: Accounts) -> None:
    """Every refresh leaves a row behind until its login expires."""
    while True:
        try:
            await accounts.delete_expired()
        except UnavailableError:
            _log.warning("database.unavailable")
        except Exception:  # noqa: BLE001 - a fault here must not end the completion beside it
            _log.exception("housekeeping.failed")
        await asyncio.sleep(_HOUSEKEEPING_SECONDS)


async def _make_schema_ready(settings: Settings, database: Database) -> None:
    """Unready rather than crashing while the database is away or waits to be migrated."""
    while True:
        try:
            if settings.database.migrate_on_start:
                await state.schema.upgrade(database)
            if await state.schema.is_current(database):
                return
            _log.warning("database.outdated", hint="run: uploadgate db upgrade")
        except UnavailableError:
            _log.warning("database.unavailable")
        except Exception:  # noqa: BLE001 - read-only, locked, …: told, and tried again
            _log.exception("database.not_ready")
        await asyncio.sleep(_SCHEMA_RETRY_SECONDS)


@asynccontextmanager
async def _running(work: Coroutine[None, None, None], readiness: Readiness) -> AsyncIterator[None]:
    """One background task for as long as the block; its failure is told, not swallowed."""
    task = asyncio.create_task(work)
    task.add_done_callback(functools.partial(_tell_failure, readiness))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])  # how it ended has been told


def _tell_failure(readiness: Readiness, task: "asyncio.Task[None]") -> None:
    """A replica that completes nothing any more should get no traffic: it is unready for good."""
    if not task.cancelled() and task.exception() is not None:
        readiness.fail()
        _log.critical("background work ended", exc_info=task.exception())
