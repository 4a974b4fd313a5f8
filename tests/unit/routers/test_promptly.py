import asyncio
import functools
from typing import Any

import pytest

from routers.middleware.promptly import Crowd, within
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


async def test_of_too_many_the_one_who_has_waited_longest_has_had_enough() -> None:
    crowd, event = Crowd(2), asyncio.Event()
    waiting = []
    for number in range(3):
        waiting.append(asyncio.create_task(within(60, event.wait(), crowd=crowd)))
        await eventually(functools.partial(lambda many: len(crowd) == many, min(number + 1, 2)))
    with pytest.raises(TimeoutError):
        await waiting[0]
    event.set()
    assert await asyncio.gather(*waiting[1:]) == [True, True]
    assert len(crowd) == 0


async def test_what_is_there_joins_no_crowd() -> None:
    crowd, never = Crowd(1), asyncio.Event()
    waiting = asyncio.create_task(within(60, never.wait(), crowd=crowd))
    await eventually(lambda: len(crowd) == 1)
    assert await within(60, given(7), crowd=crowd) == 7
    assert not waiting.done()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert len(crowd) == 0


async def test_many_at_once_leave_a_crowd_as_they_came() -> None:
    """Those who are sent away have not all left yet when the next ones come."""
    crowd, event = Crowd(3), asyncio.Event()
    waiting = [asyncio.create_task(within(60, event.wait(), crowd=crowd)) for _ in range(50)]
    await eventually(lambda: sum(task.done() for task in waiting) == 47)
    event.set()
    assert (
        sum(
            not isinstance(end, TimeoutError)
            for end in await asyncio.gather(*waiting, return_exceptions=True)
        )
        == 3
    )
    assert len(crowd) == 0
