"""`create_app(settings)`: the HTTP side of the service. wiring builds what it serves.

Nothing is built at import.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypedDict

from fastapi import FastAPI
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

import routers.auth
import routers.companion
import routers.credentials
import routers.events
import routers.health
import routers.s3_multipart
import routers.s3_wire
import routers.timeline
import routers.transfers
import routers.uploads
import routers.uppy
import routers.webhook_endpoints
import routers.webhooks
from routers import event_webhooks, openapi, problems
from routers.doors import Doors
from routers.middleware.access_log import AccessLog
from routers.middleware.admission import Admission
from routers.middleware.body_limit import BodyLimit
from routers.middleware.cors import Cors
from routers.middleware.faults import FaultBarrier
from routers.middleware.request_id import RequestId
from routers.services import Services
from routers.webhook_front import WebhookFront
from settings import Settings
from wiring import opened_services

VERSION = "0.6.0"
EXPOSED_HEADERS = [
    "ETag",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "WWW-Authenticate",
    "X-Request-ID",
]


class LifespanState(TypedDict):
    """What `request.state` carries."""

    services: Services


def create_app(settings: Settings | None = None) -> FastAPI:
    """The whole service. Without settings they are read from the environment."""
    settings = settings or Settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[LifespanState]:
        async with opened_services(settings, VERSION) as services:
            app.state.readiness = services.readiness
            app.state.streams = services.streams
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
        webhooks=event_webhooks.offered(),
    )
    for part in (
        routers.auth,
        routers.credentials,
        routers.uploads,
        routers.transfers,
        routers.timeline,
        routers.events,
        routers.s3_wire,
        routers.s3_multipart,
        routers.uppy,
        routers.companion,
        routers.webhooks,
        routers.webhook_endpoints,
    ):
        app.include_router(part.router)
    app.include_router(routers.health.router)
    problems.install(app)
    openapi.customise(app)
    _add_middleware(app, settings)
    return app


def _add_middleware(app: FastAPI, settings: Settings) -> None:
    """Innermost first. Refusals of the gate still get CORS headers, an id and a log line."""
    http = settings.http
    webhooks = routers.webhooks.doors()
    app.add_middleware(
        Doors,
        doors=[
            routers.credentials.GrantDoor(),
            *webhooks,
            *routers.transfers.doors(),
            *routers.s3_wire.doors(),
        ],
    )
    app.add_middleware(FaultBarrier)
    app.add_middleware(
        Admission,
        max_concurrent=http.max_concurrent,
        max_concurrent_grants=http.max_concurrent_grants,
        webhooks=[door.path for door in webhooks],
        max_concurrent_webhooks=http.max_concurrent_webhooks,
        max_concurrent_relays=settings.relay.max_concurrent,
        max_concurrent_streams=settings.events.max_streams,
        long_bodies=routers.s3_multipart.LONG_LISTS,
        max_waiting=http.max_waiting,
        wait_seconds=http.wait_seconds,
    )
    app.add_middleware(WebhookFront, webhooks=webhooks)
    app.add_middleware(
        BodyLimit,
        largest=http.body_limit,
        larger={
            "/v1/webhooks/eventbridge": settings.webhooks.eventbridge_body_limit,
            "/v1/webhooks/seaweedfs": settings.webhooks.seaweedfs_body_limit,
            "/v1/webhooks/sns": settings.webhooks.sns_body_limit,
            **dict.fromkeys(routers.s3_multipart.LONG_LISTS, routers.s3_multipart.LONGEST_LIST),
        },
        seconds=http.body_seconds,
        idle_seconds=settings.relay.idle_seconds,
        least_rate=settings.relay.least_rate,
    )
    app.add_middleware(
        Cors,
        allow_origins=http.cors_origins,
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=[
            "Authorization",
            "Content-Range",
            "Content-Type",
            "Idempotency-Key",
            "Last-Event-ID",
            "X-Request-ID",
        ],
        expose_headers=EXPOSED_HEADERS,
        max_age=600,
    )
    app.add_middleware(AccessLog)
    app.add_middleware(RequestId)
    if settings.trusted_proxies:
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=settings.trusted_proxies)
