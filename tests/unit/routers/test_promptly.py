import asyncio
from typing import Any

import pytest

from routers.middleware.promptly import within
from tests.fakes.eventually import eventually


async def given(value: Any) -> Any:
    if isinstance(value, BaseException):
        raise value
    return value


async def test_what_is_there_is_given_without_a_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio, "timeout", None)
    assert await within(0, given(7)) == 7
    with pytest.raises(ZeroDivisionError):
        await within(0, given(ZeroDivisionError()))


async def test_what_comes_in_time_is_given() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def twice() -> int:
        await asyncio.sleep(0)
        return await future + 1

    waiting = asyncio.create_task(within(60, twice()))
    await asyncio.sleep(0)
    future.set_result(7)
    assert await waiting == 8


async def test_what_fails_later_fails_the_same() -> None:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await within(60, fails())


async def test_what_does_not_come_is_cancelled() -> None:
    ended: list[str] = []

    async def hangs() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("cleaned up")

    with pytest.raises(TimeoutError):
        await within(0.01, hangs())
    assert ended == ["cleaned up"]


async def test_whoever_is_cut_off_hears_it_as_a_cancellation() -> None:
    started = asyncio.Event()

    async def hangs() -> None:
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(within(60, hangs()))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(task.cancelled)


async def test_what_swallows_a_failure_goes_on() -> None:
    first: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def forgiving() -> int:
        try:
            return await first
        except ValueError:
            await asyncio.sleep(0)
            return 2

    waiting = asyncio.create_task(within(60, forgiving()))
    await asyncio.sleep(0)
    first.set_exception(ValueError())
    assert await waiting == 2
