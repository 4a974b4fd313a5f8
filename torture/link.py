"""One client's connection through a proxy."""

import asyncio
import contextlib
import socket
import struct
from typing import Protocol

from torture.tripwire import Footsteps, Tripwire

CHUNK = 65_536


class Door(Protocol):
    """What a connection asks of the proxy that it goes through."""

    @property
    def delay(self) -> float: ...

    @property
    def swallows(self) -> bool:
        """Whether the upstream's own answers go nowhere."""
        ...

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]: ...

    def instead(self, chunk: bytes) -> bytes | None:
        """What the client gets for this without the upstream: maybe nothing at all."""
        ...

    async def passage(self) -> None:
        """Returns when bytes may pass."""
        ...

    def sent(self, steps: dict[Tripwire, Footsteps], chunk: bytes) -> None:
        """May trip a wire, after which nothing passes: this chunk neither."""
        ...

    def answered(self, steps: dict[Tripwire, Footsteps], chunk: bytes) -> None:
        """The same, of what the upstream answers."""
        ...


class Link:
    """With the one to the upstream, which is made for it when it is needed."""

    def __init__(
        self,
        door: Door,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        task: "asyncio.Task[None]",
    ) -> None:
        self.task = task
        self._door = door
        self._reader = reader
        self._writer = writer
        self._upstream: asyncio.StreamWriter | None = None
        self._answering: asyncio.Task[None] | None = None
        self._steps: dict[Tripwire, Footsteps] = {}

    async def run(self) -> None:
        while chunk := await self._reader.read(CHUNK):
            if (answer := self._door.instead(chunk)) is not None:
                await _write(self._writer, answer)
                continue
            await asyncio.sleep(self._door.delay)
            await self._forward(chunk)
        if self._upstream is not None and self._upstream.can_write_eof():
            self._upstream.write_eof()
        if self._answering is not None:
            await self._answering

    async def _forward(self, chunk: bytes) -> None:
        await self._door.passage()
        self._door.sent(self._steps, chunk)
        await self._door.passage()
        await _write(await self._to_upstream(), chunk)

    async def _to_upstream(self) -> asyncio.StreamWriter:
        if self._upstream is None:
            reader, self._upstream = await self._door.connect()
            self._answering = asyncio.create_task(self._answer(reader))
        return self._upstream

    async def _answer(self, reader: asyncio.StreamReader) -> None:
        """Ends the client's connection when the upstream ends its own."""
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK):
                await self._door.passage()
                self._door.answered(self._steps, chunk)
                await self._door.passage()
                if not self._door.swallows:
                    await _write(self._writer, chunk)
        close(self._writer)

    def end(self, *, reset: bool) -> None:
        self.close(reset=reset)
        self.task.cancel()

    def close(self, *, reset: bool = False) -> None:
        """Nothing that waits is sent on."""
        if self._answering is not None:
            self._answering.cancel()
        if self._upstream is not None:
            self._upstream.transport.abort()
        close(self._writer, reset=reset)


async def _write(writer: asyncio.StreamWriter, content: bytes) -> None:
    writer.write(content)
    await writer.drain()


def close(writer: asyncio.StreamWriter, *, reset: bool = False) -> None:
    """By FIN after what was written, or by RST."""
    if not reset:
        writer.close()
        return
    connected = writer.get_extra_info("socket")
    if connected is not None:
        with contextlib.suppress(OSError):
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
