"""Chores are done once an hour, and one that fails keeps none of the others from its turn."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from structlog.testing import capture_logs

import background
from errors import UnavailableError


@pytest.mark.parametrize(
    ("failure", "event"),
    [(UnavailableError(), "database.unavailable"), (RuntimeError("ours"), "housekeeping.failed")],
)
async def test_chores_are_done_and_then_rested_from(failure: Exception, event: str) -> None:
    done, all_done = list[str](), asyncio.Event()

    async def fails() -> None:
        done.append("fails")
        raise failure

    async def works() -> None:
        done.append("works")
        all_done.set()

    chores: list[Callable[[], Awaitable[None]]] = [fails, works]
    with capture_logs() as lines:
        keeping = asyncio.create_task(background._keep_house(chores))
        await all_done.wait()
        for _ in range(20):
            await asyncio.sleep(0)
        keeping.cancel()
        await asyncio.wait([keeping])
    assert done == ["fails", "works"]
    assert [line["event"] for line in lines] == [event]
