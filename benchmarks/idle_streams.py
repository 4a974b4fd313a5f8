"""Pages that listen: so many open event streams, each on a connection of its own."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

_AT_ONCE = 64  # being opened, well below any listener's backlog
_LONGEST = 300.0
_COME_AGAIN = b"HTTP/1.1 503"
_ATTEMPTS, _RETRY_SECONDS = 20, 2.0


class _Page(asyncio.Protocol):
    """`ready` is whether the stream has told its first event; False: told to come again."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._told = b""
        self.ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self.ready.done():
            return
        self._told += data
        if b"event: ready" in self._told:
            self._told = b""
            self.ready.set_result(True)
        elif self._told.startswith(_COME_AGAIN):
            self.ready.set_result(False)
            self.transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(f"no stream: {self._told[:300]!r}"))


@asynccontextmanager
async def opened(port: int, tokens: Sequence[str]) -> AsyncIterator[None]:
    """One for each token; all of them have begun."""
    pages: list[_Page] = []
    try:
        async with asyncio.timeout(_LONGEST):
            for start in range(0, len(tokens), _AT_ONCE):
                some = tokens[start : start + _AT_ONCE]
                pages += await asyncio.gather(*(_begun(port, token) for token in some))
        yield
    finally:
        for page in pages:
            page.transport.abort()


async def _begun(port: int, token: str) -> _Page:
    request = (
        "GET /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n"
        f"Authorization: Bearer {token}\r\n\r\n"
    )
    loop = asyncio.get_running_loop()
    for _ in range(_ATTEMPTS):
        _, page = await loop.create_connection(lambda: _Page(request.encode()), "127.0.0.1", port)
        if await page.ready:
            return page
        await asyncio.sleep(_RETRY_SECONDS)
    raise ConnectionError("no stream begins")
