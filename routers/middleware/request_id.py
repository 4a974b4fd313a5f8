"""Gives every request an id: a proxy's if it is of plain characters, else one of our own."""

import os
import re
from contextvars import ContextVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import STRUCTLOG_KEY_PREFIX

HEADER = "X-Request-ID"
_NAME = HEADER.lower().encode()
SCOPE_KEY = "uploadgate.request_id"
_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,64}")
# By its name one of structlog's, for every line of the request. Its own functions for binding one
# cost six times as much.
_current: ContextVar[str] = ContextVar(f"{STRUCTLOG_KEY_PREFIX}request_id")


class RequestId:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = _given(scope)
        request_id = given if _PLAIN.fullmatch(given) else os.urandom(16).hex()
        scope[SCOPE_KEY] = request_id
        header = (_NAME, request_id.encode())

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), header]
            await send(message)

        before = _current.set(request_id)
        try:
            await self._app(scope, receive, send_with_id)
        finally:
            _current.reset(before)


def _given(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == _NAME:
            return str(value, "latin-1")
    return ""
