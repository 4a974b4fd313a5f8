"""Thousands at once: every request on a connection of its own, all of them open before."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from benchmarks.connection import LOST, Answer, Connection, statuses

_LONGEST_SECONDS = 120.0
_CONNECTING = 64  # at once, well below any listener's backlog


@dataclass(frozen=True, slots=True)
class Burst:
    """From the first request to the last answer."""

    seconds: float
    answers: list[Answer]

    @property
    def answered(self) -> int:
        return sum(answer.status != LOST for answer in self.answers)

    @property
    def per_second(self) -> float:
        return self.answered / self.seconds

    def told(self) -> dict[str, int]:
        """How many answers of each status."""
        return {
            str(status or "lost"): count for status, count in sorted(statuses(self.answers).items())
        }


@asynccontextmanager
async def crowd(
    ports: Sequence[int], requests: Sequence[bytes], *, open_before: bool = True
) -> AsyncIterator[Callable[[], Awaitable[Burst]]]:
    """What is yielded sends them all, once; they go to the ports in turn. `open_before`: the
    connections are open by then, which a server must allow that gives each open one a thread.
    Where answers are still missing after two minutes, it raises TimeoutError.
    """
    where = [ports[at % len(ports)] for at in range(len(requests))]
    connections = await _opened(where) if open_before else []

    async def go() -> Burst:
        gc.collect()
        gc.disable()
        began = time.perf_counter()
        connections.extend([] if connections else await _opened(where, requests))
        asked = [
            connection.answer or connection.ask(request)
            for connection, request in zip(connections, requests, strict=True)
        ]
        async with asyncio.timeout(_LONGEST_SECONDS):
            answers = await asyncio.gather(*asked)
        return Burst(max(answer.ended for answer in answers) - began, answers)

    try:
        yield go
    finally:
        gc.enable()
        for connection in connections:
            connection.close()


async def _opened(ports: Sequence[int], requests: Sequence[bytes] = ()) -> list[Connection]:
    """Each sends its request at once, if there are any."""

    async def one(at: int) -> Connection:
        connection = await Connection.made(ports[at])
        if requests:
            connection.ask(requests[at])
        return connection

    found: list[Connection] = []
    for start in range(0, len(ports), _CONNECTING):
        some = range(start, min(start + _CONNECTING, len(ports)))
        found += await asyncio.gather(*map(one, some))
    return found
