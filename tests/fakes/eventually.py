"""Waiting for what no event tells of, but not for ever."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable


async def eventually(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):  # on a machine that has much else to do
        while not await _holds(condition):  # noqa: ASYNC110 - that nothing tells is the point
            await asyncio.sleep(0.001)


async def _holds(condition: Callable[[], bool | Awaitable[bool]]) -> bool:
    found = condition()
    return await found if inspect.isawaitable(found) else found
