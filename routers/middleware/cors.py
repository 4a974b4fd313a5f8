"""Starlette's CORS, with what it answers to the usual calls made beforehand."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

RawHeaders = list[tuple[bytes, bytes]]
_OURS = frozenset({b"vary", b"access-control-allow-origin", b"access-control-expose-headers"})


class Cors(CORSMiddleware):
    """A call from no page, and one from a page that may call, get the same headers every time.
    Everything else is Starlette's: preflights, pages that may not call, `*`.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        allow_origins: Sequence[str],
        allow_methods: Sequence[str],
        allow_headers: Sequence[str],
        expose_headers: Sequence[str],
        max_age: int,
    ) -> None:
        super().__init__(
            app,
            allow_origins=allow_origins,
            allow_methods=allow_methods,
            allow_headers=allow_headers,
            expose_headers=expose_headers,
            max_age=max_age,
        )
        vary = (b"vary", b"Origin")
        exposed = (b"access-control-expose-headers", ", ".join(expose_headers).encode())
        self._usual: dict[bytes | None, RawHeaders] = {None: [vary]}
        if not self.allow_all_origins:
            for origin in map(str.encode, allow_origins):
                allowed = (b"access-control-allow-origin", origin)
                self._usual[origin] = [exposed, allowed, vary]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        added = self._added(scope) if scope["type"] == "http" else None
        if added is None:
            await super().__call__(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] != "http.response.start":
                await send(message)
            elif any(name in _OURS for name, _ in message["headers"]):
                await CORSMiddleware.send(self, message, send, Headers(scope=scope))
            else:
                message["headers"] = [*message["headers"], *added]
                await send(message)

        await self.app(scope, receive, send_with_headers)

    def _added(self, scope: Scope) -> RawHeaders | None:
        if scope["method"] == "OPTIONS":
            return None
        origin = None
        for name, value in scope["headers"]:
            if name == b"origin":
                origin = value
                break
        return self._usual.get(origin)
