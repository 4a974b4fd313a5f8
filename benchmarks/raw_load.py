"""A load generator that costs little: kept connections, and requests that are bytes already.

aiohttp's client costs more than the service that is to be measured; this one some 15 µs a request.
"""

import asyncio
import gc
import resource
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import cast

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_SUCCESS = b"2"
_LONGEST_SECONDS = 300


@dataclass
class Run:
    """One run. `took` in seconds, of answers with 2xx; `busy` is the generator's share of its
    core; `bodies` are those of answers with 2xx, `failures` all other statuses and lost
    connections; `statuses` counts all answers.
    """

    seconds: float = 0
    took: list[float] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    failures: int = 0
    busy: float = 0
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def per_second(self) -> float:
        return len(self.took) / self.seconds

    @property
    def median_ms(self) -> float:
        return statistics.median(self.took) * 1000

    @property
    def p99_ms(self) -> float:
        return statistics.quantiles(self.took, n=100)[98] * 1000


class _Sender(asyncio.Protocol):
    """Sends its next request when it has its answer."""

    def __init__(self, requests: Iterator[bytes], run: Run) -> None:
        self._requests = requests
        self._run = run
        self._buffer = b""
        self._waits = False
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its type

    def send(self) -> None:
        request = next(self._requests, None)
        self._waits = request is not None
        if request is None:
            self._transport.close()
            return
        self._began = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer = self._buffer + data if self._buffer else data
        head = buffer.find(_HEAD_END)
        if head < 0:
            return
        at = buffer.lower().find(_LENGTH, 0, head)
        length = int(buffer[at + len(_LENGTH) : buffer.find(b"\r", at)]) if at > 0 else 0
        start = head + len(_HEAD_END)
        if len(buffer) - start < length:
            return
        self._buffer = b""
        self._run.statuses[int(buffer[9:12])] += 1
        if buffer[9:10] == _SUCCESS:
            self._run.took.append(time.perf_counter() - self._began)
            self._run.bodies.append(buffer[start:])
        else:
            self._run.failures += 1
        self.send()

    def connection_lost(self, _error: Exception | None) -> None:
        self._run.failures += self._waits
        if not self.done.done():
            self.done.set_result(None)


async def run(host: str, port: int, requests: Iterable[bytes], *, connections: int) -> Run:
    """All `requests` (whole HTTP/1.1 requests), over so many connections that are open before."""
    loop = asyncio.get_running_loop()
    found = Run()
    given = iter(requests)
    senders = [
        (await loop.create_connection(lambda: _Sender(given, found), host, port))[1]
        for _ in range(connections)
    ]
    gc.collect()
    gc.disable()
    try:
        used, began = _processor_seconds(), time.perf_counter()
        for sender in senders:
            sender.send()
        async with asyncio.timeout(_LONGEST_SECONDS):
            await asyncio.gather(*(sender.done for sender in senders))
        found.seconds = time.perf_counter() - began
        found.busy = (_processor_seconds() - used) / found.seconds
    finally:
        gc.enable()
    return found


def lasting(requests: Iterable[bytes], seconds: float) -> Iterator[bytes]:
    """As many of them as are sent in this time, which begins with the first one."""
    end = time.perf_counter() + seconds
    for request in requests:
        yield request
        if time.perf_counter() > end:
            return


def _processor_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
