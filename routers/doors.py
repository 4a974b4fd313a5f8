"""Doors: short ways to the routes that are asked for most.

FastAPI's way to a route (finding it among all others, its dependencies, the check of its answer)
costs more than a signature or a cached grant does. A door answers one route's usual calls by
itself; whatever is unusual goes the long way, through the FastAPI route of the same path, which
also describes it in the document. A client cannot tell which way it went.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from starlette.requests import ClientDisconnect
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from auth.callers import UnverifiedToken
from errors import UploadgateError
from routers.middleware.body_limit import WHOLE_BODY
from routers.middleware.request_id import SCOPE_KEY
from routers.problems import answer_to

Header = tuple[bytes, bytes]
JSON: Header = (b"content-type", b"application/json")
NO_STORE: Header = (b"cache-control", b"no-store")
_JSON_TYPES = frozenset({b"application/json", b"application/json; charset=utf-8"})
_JUDGED = frozenset({b"authorization", b"content-type", b"transfer-encoding"})
_BEARER = b"Bearer "


class Answer(NamedTuple):
    """`headers` in small letters; Content-Length, the request's id and CORS are added to them."""

    body: bytes
    headers: tuple[Header, ...] = (JSON, NO_STORE)
    status: int = 200


class Door(Protocol):
    """`path` is the route's, as the document has it; its parameters are in `scope["path_params"]`,
    all of them plain texts.
    """

    @property
    def path(self) -> str: ...

    @property
    def method(self) -> str: ...

    async def answer(self, scope: Scope, receive: Receive) -> Answer | None:
        """None: the long way, for which nothing may have been received or done. Raises
        UploadgateError, answered as everywhere, and ClientDisconnect.
        """
        ...


class Doors:
    """Tried first. Innermost of the middlewares: in front of it all calls are alike."""

    def __init__(self, app: ASGIApp, *, doors: Iterable[Door]) -> None:
        self._app = app
        self._plain: dict[tuple[str, str], Door] = {}
        self._patterns: dict[str, list[tuple[str, re.Pattern[str], Door]]] = {}
        for door in doors:
            head = door.path.partition("{")[0]
            if head == door.path:
                self._plain[door.method, door.path] = door
            else:
                pattern = compile_path(door.path)[0]
                self._patterns.setdefault(door.method, []).append((head, pattern, door))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        door = self._find(scope) if scope["type"] == "http" else None
        if door is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = door  # which the log names
        try:
            answer = await door.answer(scope, receive)
        except UploadgateError as error:
            await answer_to(error, scope.get(SCOPE_KEY))(scope, receive, send)
            return
        if answer is None:
            del scope["route"]
            await self._app(scope, receive, send)
            return
        body = answer.body
        headers = [(b"content-length", b"%d" % len(body)), *answer.headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _find(self, scope: Scope) -> Door | None:
        method, path = scope["method"], scope["path"]
        door = self._plain.get((method, path))
        if door is not None or method not in self._patterns:
            return door
        for head, pattern, known in self._patterns[method]:
            if path.startswith(head) and (match := pattern.match(path)) is not None:
                scope["path_params"] = match.groupdict()
                return known
        return None


class ApiCall(NamedTuple):
    """What most calls of the API are: a bearer token, and JSON or nothing."""

    unverified_token: UnverifiedToken
    body: bytes


def usual_call(scope: Scope) -> ApiCall | None:
    """None for what FastAPI has to judge: a query, no token or another scheme, a header twice, a
    body of another type, or one that has not been read yet.
    """
    body = scope.get(WHOLE_BODY)
    if body is None or scope["query_string"]:
        return None
    judged: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in _JUDGED:
            if name in judged:
                return None
            judged[name] = value
    token = _bearer_token(judged.get(b"authorization", b""))
    usual = b"transfer-encoding" not in judged
    if body:
        usual = usual and judged.get(b"content-type") in _JSON_TYPES
    return ApiCall(UnverifiedToken(token), body) if token and usual else None


def _bearer_token(authorization: bytes) -> str:
    """As FastAPI reads it, of the scheme's usual spelling."""
    if not authorization.startswith(_BEARER):
        return ""
    return str(authorization[len(_BEARER) :], "latin-1").strip()


async def received_body(receive: Receive) -> bytes:
    """For a path whose body is read behind the gate. Raises ClientDisconnect, and what BodyLimit
    raises; after it there is no long way.
    """
    pieces = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(pieces)
