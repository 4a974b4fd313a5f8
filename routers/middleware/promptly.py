"""A time-out that costs nothing where nothing has to be waited for."""

import asyncio
import types
from collections.abc import Awaitable, Generator
from typing import Any, TypeVar

Result = TypeVar("Result")


async def within(seconds: float, awaited: Awaitable[Result]) -> Result:
    """As asyncio.timeout, whose timer costs more than most requests' whole body: what has an answer
    at its first step gets none. Raises TimeoutError.
    """
    steps = awaited.__await__()
    try:
        waits = steps.send(None)
    except StopIteration as done:
        result: Result = done.value
        return result
    async with asyncio.timeout(seconds):
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
