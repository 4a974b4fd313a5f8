"""From the file into the connection without passing through this process, where nothing is
encrypted on the way: the kernel hands over what it has of the file (sendfile).
"""

import asyncio
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter

from client.engine.local_file import LocalFile
from client.engine.threads import Threads

# The kernel takes less at a time: what fits into the connection.
_AT_ONCE = 1024 * 1024


class _Handle:
    """Of a connection. A thread may be at it when it is given up: whoever is last closes it, else
    the thread would write into whatever has the number by then.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self._users = 1
        self._lock = threading.Lock()

    def taken(self) -> bool:
        """False where it is closed already."""
        with self._lock:
            if self._users:
                self._users += 1
            return self._users > 0

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            last = not self._users
        if last:
            os.close(self.number)


class Outlet:
    """For one request, whose headers have been written."""

    def __init__(
        self, transport: asyncio.Transport, handle: _Handle, file: LocalFile, threads: Threads
    ) -> None:
        self._transport = transport
        self._handle = handle
        self._file = file
        self._threads = threads

    async def pour(self, offset: int, most: int) -> int:
        """How many bytes from `offset` on the connection has taken. None, where that cannot be
        done: written the usual way it is told why. Raises FileError where the file has changed.
        """
        while await self._has_room():
            count = await self._threads.read(self._poured, offset, min(most, _AT_ONCE))
            if count is not None:
                return count
        return 0

    async def _has_room(self) -> bool:
        """Once everything before has gone; False where the connection is over."""
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        loop.add_writer(self._handle.number, ready.set)
        try:
            while not self._transport.is_closing():
                await ready.wait()
                if not self._transport.get_write_buffer_size():
                    return not self._transport.is_closing()
                ready.clear()
        finally:
            loop.remove_writer(self._handle.number)
        return False

    def _poured(self, offset: int, most: int) -> int | None:
        if not self._handle.taken():
            return 0
        try:
            count = _sendfile(self._handle.number, self._file.handle, offset, most)
        finally:
            self._handle.leave()
        self._file.check()
        return count


@contextmanager
def outlet(
    writer: AbstractStreamWriter, file: LocalFile, threads: Threads
) -> Iterator[Outlet | None]:
    """None where bytes have to be written the usual way."""
    transport = _plain(writer)
    if transport is None:
        yield None
        return
    # A handle of its own, because the loop lets nobody else wait for that of a transport.
    handle = _Handle(os.dup(transport.get_extra_info("socket").fileno()))
    try:
        yield Outlet(transport, handle, file, threads)
    finally:
        handle.leave()


def _plain(writer: AbstractStreamWriter) -> asyncio.Transport | None:
    if sys.platform != "linux" or not isinstance(writer, StreamWriter):
        return None
    transport = writer.transport
    if transport is None or transport.is_closing() or transport.get_extra_info("sslcontext"):
        return None
    writer.send_headers()
    return transport


def _sendfile(connection: int, file: int, offset: int, most: int) -> int | None:
    """None where there is no room after all."""
    try:
        return os.sendfile(connection, file, offset, most)
    except BlockingIOError:
        return None
    except OSError:  # of the file, of the connection, or there is no such way between the two
        return 0
