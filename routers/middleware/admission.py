"""An admission gate keeps the event loop responsive when thousands arrive at once.

So many requests are handled at a time; the next wait their turn, for a bounded time in a bounded
queue; the rest is told at once to come again. Health checks never wait.
"""

import asyncio
import re
from collections.abc import Sequence
from typing import TypedDict

from starlette.types import ASGIApp, Receive, Scope, Send

from errors import OverloadedError
from routers.middleware.request_id import SCOPE_KEY
from routers.problems import problem_response

_ALWAYS = frozenset({"/livez", "/readyz"})
_WEBHOOKS = "/v1/webhooks/"
_LONG_PLACES = 20  # each may hold a body of a few MiB
_RELAY = re.compile(r"/v1/uploads/[^/]+/content")


def is_relay(scope: Scope) -> bool:
    """Whether a file passes through: with this request alone bodies are not small."""
    return scope["method"] == "PUT" and _RELAY.fullmatch(scope["path"]) is not None


def is_stream(scope: Scope) -> bool:
    """Whether the answer lasts as long as the client listens."""
    return (scope["method"], scope["path"]) == ("GET", "/v1/events")


class Gate:
    """So many places, and a bounded queue before them."""

    def __init__(self, *, places: int, max_waiting: int, wait_seconds: float) -> None:
        self._places = asyncio.Semaphore(places)
        self._max_waiting = max_waiting
        self._wait_seconds = wait_seconds
        self._waiting = 0

    async def admit(self) -> bool:
        if not self._places.locked():
            return await self._places.acquire()  # at once
        if self._waiting >= self._max_waiting:
            return False
        self._waiting += 1
        try:
            async with asyncio.timeout(self._wait_seconds):
                return await self._places.acquire()
        except TimeoutError:
            return False
        finally:
            self._waiting -= 1

    def leave(self) -> None:
        self._places.release()


class Admission:
    """Webhooks have a gate of their own: neither they nor the API's requests wait for the other.
    So have relays and event streams, which take as long as their clients like (beyond their number
    none waits), and the paths of `long_bodies` (patterns), whose bodies are read behind the gate.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_concurrent: int,
        max_concurrent_webhooks: int,
        max_concurrent_relays: int,
        long_bodies: Sequence[str],
        max_waiting: int,
        wait_seconds: float,
        max_concurrent_streams: int = 10_000,
    ) -> None:
        self._app = app
        waits: _Waits = {"max_waiting": max_waiting, "wait_seconds": wait_seconds}
        self._api = Gate(places=max_concurrent, **waits)
        self._webhooks = Gate(places=max_concurrent_webhooks, **waits)
        self._long_bodies = [re.compile(path) for path in long_bodies]
        self._long = Gate(places=_LONG_PLACES, **waits)
        at_once: _Waits = {"max_waiting": 0, "wait_seconds": wait_seconds}
        self._relays = Gate(places=max_concurrent_relays, **at_once)
        self._streams = Gate(places=max_concurrent_streams, **at_once)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _ALWAYS:
            await self._app(scope, receive, send)
            return
        gate = self._gate(scope)
        if not await gate.admit():
            answer = problem_response(OverloadedError(retry_after=2), scope.get(SCOPE_KEY))
            await answer(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            gate.leave()

    def _gate(self, scope: Scope) -> Gate:
        if scope["path"].startswith(_WEBHOOKS):
            return self._webhooks
        if is_relay(scope):
            return self._relays
        if is_stream(scope):
            return self._streams
        long = any(path.fullmatch(scope["path"]) for path in self._long_bodies)
        return self._long if long else self._api


class _Waits(TypedDict):
    max_waiting: int
    wait_seconds: float
