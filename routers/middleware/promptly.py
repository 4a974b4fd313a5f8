"""A time-out that costs nothing where nothing has to be waited for."""

import asyncio
import types
from collections.abc import Awaitable, Generator, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar

Result = TypeVar("Result")


class Crowd:
    """Those who are waited for at once. Beyond `most` the one who has had the longest time has had
    enough: so who is quick is served, however many dawdle.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._timers: dict[asyncio.Timeout, None] = {}

    def __len__(self) -> int:
        return len(self._timers)

    @contextmanager
    def joined(self, timer: asyncio.Timeout) -> Iterator[None]:
        if len(self._timers) >= self._most:
            oldest = next(iter(self._timers))
            del self._timers[oldest]
            if not oldest.expired():
                oldest.reschedule(asyncio.get_running_loop().time())
        self._timers[timer] = None
        try:
            yield
        finally:
            self._timers.pop(timer, None)


async def within(
    seconds: float, awaited: Awaitable[Result], *, crowd: Crowd | None = None
) -> Result:
    """As asyncio.timeout, whose timer costs more than most requests' whole body: what has an answer
    at its first step gets none, and joins no `crowd`. Raises TimeoutError.
    """
    steps = awaited.__await__()
    try:
        waits = steps.send(None)
    except StopIteration as done:
        result: Result = done.value
        return result
    async with asyncio.timeout(seconds) as timer:
        with nullcontext() if crowd is None else crowd.joined(timer):
            return await _rest(steps, waits)


@types.coroutine
def _rest(steps: Generator[Any, Any, Result], waits: Any) -> Generator[Any, Any, Result]:
    """What `yield from steps` does after the first step."""
    try:
        while True:
            try:
                sent = yield waits
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is for them
                waits = steps.throw(error)
            else:
                waits = steps.send(sent)
    except StopIteration as done:
        result: Result = done.value
        return result
