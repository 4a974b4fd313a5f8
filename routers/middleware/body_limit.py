"""Bodies are bounded in size and may not dawdle: no file passes through this service."""

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from errors import BodyTooLargeError, RequestTimeoutError


class BodyLimit:
    """`largest` in bytes; `seconds` is the longest wait for the next piece of a body.

    Raises inside the application, where the problem handlers turn it into an answer.
    """

    def __init__(self, app: ASGIApp, *, largest: int, seconds: float) -> None:
        self._app = app
        self._largest = largest
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        left = self._largest
        whole = False
        declared = Headers(scope=scope).get("content-length", "")

        async def limited() -> Message:
            nonlocal left, whole
            if whole:
                return await receive()  # waits for the client to leave: no bound on that
            if declared.isdigit() and int(declared) > self._largest:
                raise self._too_large()
            message = await self._in_time(receive)
            left -= len(message.get("body", b""))
            if left < 0:
                raise self._too_large()
            whole = not message.get("more_body", False)
            return message

        await self._app(scope, limited, send)

    async def _in_time(self, receive: Receive) -> Message:
        try:
            async with asyncio.timeout(self._seconds):
                return await receive()
        except TimeoutError:
            raise RequestTimeoutError from None

    def _too_large(self) -> BodyTooLargeError:
        return BodyTooLargeError(f"A request's body may have {self._largest} bytes at most")
