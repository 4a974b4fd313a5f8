"""Names to addresses, by the system's own resolver."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Self

Resolve = Callable[[str], Awaitable[Sequence[str]]]
"""The addresses of a host name, as text. Raises OSError."""

# More than endpoints are usually allowed: names that never resolve hold up no other.
_THREADS = 64


class SystemLookup:
    """A lookup blocks a thread and cannot be ended. They are threads of its own, so that names
    which never resolve do not hold up the lookups of the store or of Cognito; and a name that is
    being looked up is not looked up beside that, so that one of them takes one thread.
    """

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self._running: dict[str, asyncio.Future[Sequence[str]]] = {}

    @classmethod
    @contextmanager
    def opened(cls) -> Iterator[Self]:
        threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="webhook-dns")
        try:
            yield cls(threads)
        finally:
            threads.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, host: str) -> Sequence[str]:
        """Waits as long as its caller does; the lookup itself goes on for others."""
        running = self._running.get(host)
        if running is None:
            if len(self._running) >= _THREADS:
                raise OSError("too many lookups do not end")
            loop = asyncio.get_running_loop()
            running = loop.run_in_executor(self._threads, _addresses, host)
            self._running[host] = running
            running.add_done_callback(lambda done: self._ended(host, done))
        return await asyncio.shield(running)

    def _ended(self, host: str, done: asyncio.Future[Sequence[str]]) -> None:
        del self._running[host]
        if not done.cancelled():
            done.exception()  # may have outlived all who asked


def _addresses(host: str) -> Sequence[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label that is too long for its codec
        raise OSError("not a host name") from error
    # A scope (%eth0) is of link-local addresses, which are refused anyway.
    return list(dict.fromkeys(str(where[4][0]).partition("%")[0] for where in found))
