"""Many who ask for one row each at the same time are answered by one statement.

While one statement is under way, those who come wait for the next, so the busier a replica is, the
less of it a row costs; one who comes alone waits for nobody. What is read is never older than the
question: a statement begins after all its questions have come.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import Context
from itertools import islice
from typing import Any

Row = Mapping[Any, Any]
Ask = Callable[[Sequence[str]], Awaitable[Mapping[str, Row]]]
"""Names the rows by their keys; those that are not there are left out."""


class Gathered:
    """`most` keys of one statement, `at_once` statements at a time. Those who wait are as many as
    there are requests, which are bounded where they come in.
    """

    def __init__(self, ask: Ask, *, most: int, at_once: int) -> None:
        self._ask = ask
        self._most = most
        self._at_once = at_once
        self._waiting: dict[asyncio.Future[Row | None], str] = {}
        self._under_way: set[asyncio.Task[None]] = set()

    async def get(self, key: str) -> Row | None:
        """Raises what `ask` raises."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Row | None] = loop.create_future()
        self._waiting[future] = key
        if len(self._waiting) == 1:
            # In nobody's context: what is logged meanwhile is no single request's.
            loop.call_soon(self._start, context=Context())
        try:
            return await future
        finally:
            self._waiting.pop(future, None)  # of a caller who left

    def _start(self) -> None:
        while self._waiting and len(self._under_way) < self._at_once:
            asked = dict(islice(self._waiting.items(), self._most))
            for future in asked:
                del self._waiting[future]
            task = asyncio.create_task(self._answer(asked))
            self._under_way.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._start()

    async def _answer(self, asked: Mapping["asyncio.Future[Row | None]", str]) -> None:
        try:
            found = await self._ask(list(dict.fromkeys(asked.values())))
        except BaseException as error:
            for future in asked:
                if not future.done():
                    _fail(future, error)
            if not isinstance(error, Exception):
                raise
            return
        for future, key in asked.items():
            if not future.done():
                future.set_result(found.get(key))


def _fail(future: "asyncio.Future[Row | None]", error: BaseException) -> None:
    if isinstance(error, Exception):
        future.set_exception(error)
    else:
        future.cancel()  # with the loop's end
