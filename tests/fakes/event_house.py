"""`GET /v1/events` with events in memory, and a token that is the name of its user."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from fastapi import FastAPI

import errors
import routers.events
from auth.callers import UPLOADS, Caller, UnverifiedToken
from routers import problems
from routers.middleware.access_log import AccessLog
from routers.middleware.admission import Admission
from routers.middleware.body_limit import BodyLimit
from routers.middleware.faults import FaultBarrier
from routers.middleware.request_id import RequestId
from service.delivery.hub import Hub
from service.delivery.streams import Streams, StreamTimes
from tests.fakes.clock import Clock
from tests.fakes.event_page import Page
from tests.fakes.feed import MemoryFeed

TOKEN = {"Authorization": "Bearer of-ada"}
LONG = 3600.0


class EventHouse:
    """The route behind its middlewares; `life` is what is left of the token's, in seconds."""

    def __init__(self, *, life: float = LONG, **changes: float) -> None:
        times = {"heartbeat": LONG, "look": LONG, "send": LONG, **changes}
        self.life = life
        self.clock = Clock()
        self.feed = MemoryFeed()
        self.hub = Hub(max_streams=4, max_per_user=2)
        self.streams = Streams(
            feed=self.feed, hub=self.hub, times=StreamTimes(**times), clock=self.clock
        )
        self.scopes = frozenset({UPLOADS})
        self.app = self._app()

    def _app(self) -> FastAPI:
        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
            yield self.state

        app = FastAPI(lifespan=lifespan)
        app.include_router(routers.events.router)
        problems.install(app)
        app.add_middleware(FaultBarrier)
        app.add_middleware(
            Admission,
            max_concurrent=1,
            webhooks=[],
            max_concurrent_webhooks=1,
            max_concurrent_relays=1,
            max_concurrent_streams=3,
            long_bodies=[],
            max_waiting=0,
            wait_seconds=5,
        )
        app.add_middleware(
            BodyLimit, largest=100, larger={}, seconds=5, idle_seconds=5, least_rate=1
        )
        app.add_middleware(AccessLog)
        app.add_middleware(RequestId)
        return app

    async def authenticate(self, token: UnverifiedToken) -> Caller:
        if not token.startswith("of-"):
            raise errors.InvalidTokenError
        expires_at = self.clock() + timedelta(seconds=self.life)
        return Caller(token.removeprefix("of-"), "Ada", self.scopes, expires_at)

    def page(self, headers: dict[str, str] | None = None, **scope: Any) -> Page:
        return Page(TOKEN | (headers or {}), state=self.state, **scope)

    def stands(self, _: Caller) -> bool:
        return True

    @property
    def state(self) -> dict[str, Any]:
        return {"services": SimpleNamespace(accounts=self, streams=self.streams)}

    def happen(self) -> None:
        self.feed.add()
        self.hub.wake("ada")
