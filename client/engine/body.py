"""The bytes of one request as they go out: block by block, at the allowed pace, watched."""

from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp.abc import AbstractStreamWriter

from client.engine.events import Progress
from client.engine.local_file import LocalFile
from client.engine.pace import BLOCK, Pace
from client.engine.pouring import Outlet, outlet
from client.engine.threads import Threads
from client.engine.watchdog import Watchdog
from client.problems import ClientError


@dataclass(frozen=True, slots=True)
class Source:
    """Where bytes come from, and whom they are told."""

    file: LocalFile
    threads: Threads
    pace: Pace
    progress: Progress


class Body(aiohttp.Payload):
    """`length` bytes from `offset` on. No generator, because aiohttp sends a request again by
    itself when a kept connection turns out to be closed: the second time goes from the start.

    What went wrong with the file is kept in `failure`, since aiohttp hides it.
    """

    _autoclose = True  # it owns nothing

    def __init__(self, source: Source, offset: int, length: int, watchdog: Watchdog) -> None:
        super().__init__(None)
        self._source = source
        self._offset = offset
        self._size: int = length
        self._watchdog = watchdog
        self._told = 0
        self.failure: ClientError | None = None

    @property
    def offset(self) -> int:
        return self._offset

    @property
    def sent(self) -> int:
        """Bytes that the connection has taken."""
        return self._told

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:  # noqa: ARG002
        """For logs of aiohttp's."""
        return "<part of a file>"

    async def write(self, writer: AbstractStreamWriter) -> None:
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: Any) -> None:  # noqa: ARG002
        self.take_back()
        try:
            await self._write(writer)
        except ClientError as error:
            self.failure = error
            raise

    async def _write(self, writer: AbstractStreamWriter) -> None:
        source = self._source
        if source.pace.limited:
            await self._write_blocks(writer)
            return
        with outlet(writer, source.file, source.threads) as opened:
            if opened is not None:
                await self._pour(opened)
        await self._write_blocks(writer)

    async def _pour(self, opened: Outlet) -> None:
        """All but the last block. Where the file is looked at before that goes, nothing that has
        changed meanwhile becomes a whole request.
        """
        while (left := self._size - self._told - BLOCK) > 0:
            self._watchdog.moved()
            count = await opened.pour(self._offset + self._told, left)
            if not count:
                return
            self._tell(count)

    async def _write_blocks(self, writer: AbstractStreamWriter) -> None:
        source = self._source
        while (left := self._size - self._told) > 0:
            size = min(source.pace.block, left)
            with self._watchdog.resting():
                await source.pace.wait_for(size)
            offset = self._offset + self._told
            await writer.write(await source.threads.read(source.file.read, offset, size))
            self._tell(size)

    def take_back(self, kept: int = 0) -> None:
        """It goes again, or is over: of what was told only `kept` bytes are so."""
        if self._told != kept:
            self._tell(kept - self._told)

    def _tell(self, size: int) -> None:
        self._told += size
        self._source.progress(size)
