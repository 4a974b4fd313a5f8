"""The body of one request, held to its size while it streams."""

import asyncio
from collections.abc import AsyncIterator
from typing import Self

from errors import InvalidRequestError


class MeasuredBody(AsyncIterator[bytes]):
    """An iterator over `chunks` that fails rather than give another number of bytes than `size`:
    the last chunk is held back until nothing comes after it, so no request with too many bytes is
    ever whole. What fails here or in `chunks` is kept in `failure`, as the transport wraps it in
    errors of its own.

    The watch runs while the transport has something to do, and stands still while `chunks` is
    waited for. At the end of the context nobody reads `chunks` any more.
    """

    def __init__(self, chunks: AsyncIterator[bytes], size: int) -> None:
        self.failure: Exception | None = None
        self._chunks = chunks
        self._left = size
        self._ended = False
        self._reading = asyncio.Lock()
        self._watch: asyncio.Timeout | None = None
        self._seconds = 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._watch = None
        async with self._reading:  # a transport that gives up cancels its reading a moment later
            pass

    @property
    def whole(self) -> bool:
        """All bytes have been handed over."""
        return self._ended and self.failure is None

    def watched_by(self, watch: asyncio.Timeout, seconds: float) -> None:
        self._watch = watch
        self._seconds = seconds

    def answered(self) -> None:
        """From now on only the rest of the answer is waited for."""
        self._run()
        self._watch = None

    async def __anext__(self) -> bytes:
        async with self._reading:
            self._stand_still()
            try:
                chunk = await self._next()
            except Exception as error:
                self.failure = error
                raise
            finally:
                self._run()
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def _next(self) -> bytes | None:
        chunk = None if self._ended else await self._given()
        if chunk is not None:
            self._left -= len(chunk)
        if chunk is None or self._left == 0:
            await self._end(already=chunk is None)
        elif self._left < 0:
            raise _longer()
        return chunk

    async def _end(self, *, already: bool) -> None:
        if self._left:
            raise InvalidRequestError("The body ended before the announced bytes were there")
        if not already and await self._given() is not None:
            raise _longer()
        self._ended = True

    async def _given(self) -> bytes | None:
        async for chunk in self._chunks:
            if chunk:
                return chunk
        return None

    def _run(self) -> None:
        if self._watch is not None and not self._watch.expired():
            self._watch.reschedule(asyncio.get_running_loop().time() + self._seconds)

    def _stand_still(self) -> None:
        if self._watch is not None and not self._watch.expired():
            self._watch.reschedule(None)


def _longer() -> InvalidRequestError:
    return InvalidRequestError("The body has more bytes than were announced")
