"""An admission gate keeps the event loop responsive when thousands arrive at once.

So many requests are handled at a time; the next wait their turn, for a bounded time in a bounded
queue; the rest is told at once to come again. Health checks never wait.
"""

import math
import re
from collections.abc import Iterable, Sequence
from typing import TypedDict

from starlette.types import ASGIApp, Receive, Scope, Send

from errors import OverloadedError, RateLimit
from routers.middleware.gate import Gate
from routers.middleware.request_id import SCOPE_KEY
from routers.problems import problem_response

_ALWAYS = frozenset({"/livez", "/readyz"})
_GRANTS = ("/v1/credentials", "/v1/credentials/exchange")
_LONG_PLACES = 20  # each may hold a body of a few MiB
_RELAY = re.compile(r"/v1/uploads/[^/]+/content")
_COME_AGAIN_SECONDS = 2


def is_relay(scope: Scope) -> bool:
    """Whether a file passes through: with this request alone bodies are not small."""
    return scope["method"] == "PUT" and _RELAY.fullmatch(scope["path"]) is not None


def is_stream(scope: Scope) -> bool:
    """Whether the answer lasts as long as the client listens."""
    return (scope["method"], scope["path"]) == ("GET", "/v1/events")


class Admission:
    """Each path of `webhooks` has a gate of its own: neither they nor the API's requests wait for
    another. So have grants and exchanges, which take as long as Cognito does; relays and event
    streams, which take as long as their clients like (beyond their number none waits); and the
    paths of `long_bodies` (patterns), whose bodies are read behind the gate.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_concurrent: int,
        webhooks: Iterable[str],
        max_concurrent_webhooks: int,
        max_concurrent_relays: int,
        long_bodies: Sequence[str],
        max_waiting: int,
        wait_seconds: float,
        max_concurrent_grants: int = 200,
        max_concurrent_streams: int = 10_000,
    ) -> None:
        self._app = app
        waits: _Waits = {"max_waiting": max_waiting, "wait_seconds": wait_seconds}
        self._api = Gate(places=max_concurrent, **waits)
        self._grants = Gate(places=max_concurrent_grants, **waits)
        self._webhooks = {path: Gate(places=max_concurrent_webhooks, **waits) for path in webhooks}
        # One pattern: a request of another path is not to try them one by one.
        self._long_bodies = re.compile("|".join(f"(?:{path})" for path in long_bodies) or r"(?!)")
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
            answer = problem_response(_overload(gate), scope.get(SCOPE_KEY))
            await answer(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        finally:
            gate.leave()

    def _gate(self, scope: Scope) -> Gate:
        path = scope["path"]
        if path in _GRANTS:
            return self._grants
        if path in self._webhooks:
            return self._webhooks[path]
        if is_relay(scope):
            return self._relays
        if is_stream(scope):
            return self._streams
        return self._api if self._long_bodies.fullmatch(path) is None else self._long


def _overload(gate: Gate) -> OverloadedError:
    """Its limit: what one gate takes on within the time that a request may wait."""
    limit = RateLimit(
        name="admission",
        quota=gate.places + gate.max_waiting,
        window=math.ceil(gate.wait_seconds),
        remaining=0,
        reset=_COME_AGAIN_SECONDS,
    )
    return OverloadedError(retry_after=_COME_AGAIN_SECONDS, rate_limit=limit)


class _Waits(TypedDict):
    max_waiting: int
    wait_seconds: float
