"""Bodies are bounded in size and in the time they take.

A body is read whole before the request takes a place behind the admission gate, so that clients
who dawdle hold no place. Webhooks may be larger: their sources' doors read them, and each source's
gate is its own. A relay's body is a file: the route passes it on as it comes, and only the time
without a byte is bounded.
"""

import asyncio
import re
from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from errors import BodyTooLargeError, RequestTimeoutError
from routers.middleware.admission import is_relay
from routers.middleware.promptly import within
from routers.middleware.request_id import SCOPE_KEY
from routers.problems import problem_response

WHOLE_BODY = "uploadgate.body"
"""Key of the scope: the body's bytes, where it has been read whole already."""
_LONGEST_NUMBER = 20


class BodyLimit:
    """`largest` in bytes, `larger` by pattern of paths (with no group in it) for those read behind
    the gate; `seconds` is the longest time for a whole body, `idle_seconds` that between two pieces
    of a relay's, which must come at `least_rate` bytes a second or more on the average.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        largest: int,
        larger: Mapping[str, int],
        seconds: float,
        idle_seconds: float,
        least_rate: int,
    ) -> None:
        self._app = app
        self._largest = largest
        # One pattern with a group each: a request of another path is not to try them one by one.
        self._larger = re.compile("|".join(f"({path})" for path in larger) or r"(?!)")
        self._limits = list(larger.values())
        self._seconds = seconds
        self._idle_seconds = idle_seconds
        self._least_rate = least_rate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if is_relay(scope):
            await self._app(scope, _Flow(receive, self._idle_seconds, self._least_rate).piece, send)
            return
        limit = self._limit_behind_the_gate(scope["path"])
        if limit is not None:
            await self._app(scope, _Body(scope, receive, limit, self._seconds).piece, send)
            return
        body = _Body(scope, receive, self._largest, self._seconds)
        try:
            whole = await body.whole()
        except (BodyTooLargeError, RequestTimeoutError) as error:
            await problem_response(error, scope.get(SCOPE_KEY))(scope, receive, send)
            return
        if whole is not None:
            scope[WHOLE_BODY] = whole
            await self._app(scope, replayed(whole, receive), send)

    def _limit_behind_the_gate(self, path: str) -> int | None:
        found = self._larger.fullmatch(path)
        return None if found is None else self._limits[(found.lastindex or 1) - 1]


class _Body:
    """One request's body. Raises BodyTooLargeError or RequestTimeoutError."""

    def __init__(self, scope: Scope, receive: Receive, limit: int, seconds: float) -> None:
        self._receive = receive
        self._limit = limit
        self._left = limit
        self._deadline = asyncio.get_running_loop().time() + seconds
        self._ended = False
        self._declared = _declared_length(scope)

    async def whole(self) -> bytes | None:
        """None when the client left."""
        pieces = []
        while not self._ended:
            message = await self.piece()
            if message["type"] == "http.disconnect":
                return None
            pieces.append(message.get("body", b""))
        return b"".join(pieces)

    async def piece(self) -> Message:
        if self._ended:
            return await self._receive()  # waits for the client to leave: no bound on that
        if self._declared > self._limit:
            raise self._too_large()
        try:
            left = self._deadline - asyncio.get_running_loop().time()
            message = await within(left, self._receive())
        except TimeoutError:
            raise RequestTimeoutError from None
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise self._too_large()
        self._ended = not message.get("more_body", False)
        return message

    def _too_large(self) -> BodyTooLargeError:
        return BodyTooLargeError(f"This request's body may have {self._limit} bytes at most")


def _declared_length(scope: Scope) -> int:
    """0 where none is declared, or in no way that can be read."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() and len(value) < _LONGEST_NUMBER else 0
    return 0


class _Flow:
    """A relay's body. What counts is the time that the client is waited for, not the store's.
    Raises RequestTimeoutError.
    """

    def __init__(self, receive: Receive, idle_seconds: float, least_rate: int) -> None:
        self._receive = receive
        self._idle_seconds = idle_seconds
        self._least_rate = least_rate
        self._waited = 0.0
        self._received = 0
        self._ended = False

    async def piece(self) -> Message:
        if self._ended:
            return await self._receive()  # waits for the client to leave: no bound on that
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            message = await within(self._idle_seconds, self._receive())
        except TimeoutError:
            raise RequestTimeoutError from None
        self._waited += clock() - began
        self._received += len(message.get("body", b""))
        self._ended = not message.get("more_body", False)
        if not self._ended and self._trickles():
            raise RequestTimeoutError("The body comes too slowly")
        return message

    def _trickles(self) -> bool:
        beyond = self._waited - self._idle_seconds
        return beyond > 0 and self._received < beyond * self._least_rate


def replayed(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
