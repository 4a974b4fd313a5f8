"""Single questions that arrive together are asked together: one trip to the database for all."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Generic, TypeVar

V = TypeVar("V")


class Gathering(Generic[V]):
    """While one trip is under way, the next questions gather for the following one, `most` at a
    time. `ask` answers for many keys at once; its failure is that of all who asked with it.

    A key that is asked for again before its trip has begun shares the place of the first.
    """

    def __init__(
        self, ask: Callable[[Collection[str]], Awaitable[Mapping[str, V]]], *, most: int = 500
    ) -> None:
        self._ask = ask
        self._most = most
        self._waiting: dict[str, asyncio.Future[V | None]] = {}
        self._working: asyncio.Task[None] | None = None

    async def of(self, key: str) -> V | None:
        """None where the answer has nothing for this key."""
        future = self._waiting.get(key)
        if future is None:
            future = self._waiting[key] = asyncio.get_running_loop().create_future()
        if self._working is None:
            self._working = asyncio.create_task(self._work())
        return await asyncio.shield(future)  # one who leaves takes nothing from the others

    async def _work(self) -> None:
        try:
            while self._waiting:
                keys = list(self._waiting)[: self._most]
                await self._trip({key: self._waiting.pop(key) for key in keys})
        finally:
            self._working = None

    async def _trip(self, futures: Mapping[str, "asyncio.Future[V | None]"]) -> None:
        try:
            found = await self._ask(futures.keys())
        except Exception as error:  # noqa: BLE001 - told to all who wait, whatever it is
            for future in futures.values():
                future.set_exception(error)
                future.exception()  # those who asked may all have left
            return
        except asyncio.CancelledError:
            for future in futures.values():
                future.cancel()
            raise
        for key, future in futures.items():
            future.set_result(found.get(key))
