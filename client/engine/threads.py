"""Blocking calls off the event loop, as many at once as there are threads for."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """Reads of the disk and calls of the service have threads of their own: the latter may wait
    for half a minute.
    """

    def __init__(self, *, reads: int, calls: int) -> None:
        self._reads = ThreadPoolExecutor(reads, "uploadgate-read")
        self._calls = ThreadPoolExecutor(calls, "uploadgate-call")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for pool in (self._reads, self._calls):
            pool.shutdown(wait=False, cancel_futures=True)

    async def read(self, function: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
        return await _in(self._reads, partial(function, *args, **more))

    async def call(self, function: Callable[P, T], *args: P.args, **more: P.kwargs) -> T:
        return await _in(self._calls, partial(function, *args, **more))


async def _in(pool: ThreadPoolExecutor, function: Callable[[], T]) -> T:
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(pool, function)
