"""Cuts a stream of chunks of any length into pieces of given lengths, without copying more than
the one chunk that lies across a cut.
"""

from collections.abc import AsyncIterator

from errors import InvalidRequestError


class Slices:
    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._left = b""

    async def next(self, length: int, *, last: bool = False) -> AsyncIterator[bytes]:
        """Exactly so many bytes; of the `last` ones the end is given only once the stream has
        ended. Raises InvalidRequestError where the stream ends before, or goes on after that.
        """
        if last and length == 0:
            await self._check_end()
        while length > 0:
            chunk = self._left or await self._more()
            if chunk is None:
                raise InvalidRequestError("The body ended before the announced bytes were there")
            now, self._left = chunk[:length], chunk[length:]
            length -= len(now)
            if last and length == 0:
                await self._check_end()
            if now:
                yield now

    async def _check_end(self) -> None:
        while not self._left:
            chunk = await self._more()
            if chunk is None:
                return
            self._left = chunk
        raise InvalidRequestError("The body has more bytes than were announced")

    async def _more(self) -> bytes | None:
        """None at the end."""
        async for chunk in self._chunks:
            return chunk
        return None
