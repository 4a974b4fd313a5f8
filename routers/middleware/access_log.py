"""One line a request. The route's template is logged, never a query or a raw path: those may
carry tickets, tokens or names.
"""

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from logs import AccessRecord
from routers.middleware.request_id import SCOPE_KEY

_NAME = "uploadgate.access"
_logger = logging.getLogger(_NAME)
_QUIET = frozenset({"/livez", "/readyz"})


class AccessLog:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 0
        sent = 0

        async def counting(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                sent += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, counting)
        finally:
            self._write(scope, status, sent, time.perf_counter() - began)

    def _write(self, scope: Scope, status: int, sent: int, seconds: float) -> None:
        """Status 0: the client left before an answer began."""
        level = logging.DEBUG if scope["path"] in _QUIET else logging.INFO
        if not _logger.isEnabledFor(level):
            return
        client = scope.get("client")
        values = {
            "method": scope["method"],
            "route": getattr(scope.get("route"), "path", "unmatched"),
            "upload_id": scope.get("path_params", {}).get("upload_id"),
            "status": status,
            "milliseconds": round(seconds * 1000, 2),
            "bytes_sent": sent,
            "client": client[0] if client else None,
            "event": "request",
            "request_id": scope.get(SCOPE_KEY),
        }
        _logger.handle(AccessRecord(_NAME, level, values))
