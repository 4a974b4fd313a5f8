"""A steady stream: so many requests a second, whether those before have their answers or not."""

import asyncio
import time
from collections.abc import Iterable

from benchmarks.connection import Answer, Connection


class Steady:
    """`answers` grows while it runs, each one in the order of its end."""

    def __init__(self, port: int, per_second: float) -> None:
        self._port = port
        self._pause = 1 / per_second
        self._free: list[Connection] = []
        self._asked: set[asyncio.Task[None]] = set()
        self.answers: list[Answer] = []

    async def run(self, requests: Iterable[bytes]) -> None:
        """Until there are no more of them, or it is cancelled."""
        due = time.perf_counter()
        for request in requests:
            task = asyncio.create_task(self._ask(request))
            self._asked.add(task)
            task.add_done_callback(self._asked.discard)
            due += self._pause
            await asyncio.sleep(due - time.perf_counter())

    async def close(self, *, within: float) -> None:
        """Waits for what is still asked for, but not for ever."""
        if self._asked:
            _, late = await asyncio.wait(self._asked, timeout=within)
            for task in late:
                task.cancel()
        for connection in self._free:
            connection.close()

    async def _ask(self, request: bytes) -> None:
        connection = self._free.pop() if self._free else await Connection.made(self._port)
        self.answers.append(await connection.ask(request))
        if connection.open:
            self._free.append(connection)
