"""Questions for single rows that come together are answered together."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from errors import UnavailableError
from state.gathered import Gathered, Row
from tests.fakes.eventually import eventually


class Rows:
    """Every key but `none` has one. Answers when it is let go; an `error` is raised instead."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.may_answer = asyncio.Semaphore(0)
        self.error: BaseException | None = None

    async def __call__(self, keys: Sequence[str]) -> Mapping[str, Row]:
        self.asked.append(list(keys))
        await self.may_answer.acquire()
        if self.error is not None:
            raise self.error
        return {key: {"id": key} for key in keys if key != "none"}

    async def have_asked(self, times: int) -> None:
        async def asked() -> bool:
            return len(self.asked) >= times

        await eventually(asked)


@pytest.fixture
def rows() -> Rows:
    return Rows()


def started(gathered: Gathered, *keys: str) -> "list[asyncio.Task[Row | None]]":
    return [asyncio.create_task(gathered.get(key)) for key in keys]


async def test_who_come_together_share_one_statement(rows: Rows) -> None:
    gathered = Gathered(rows, most=64, at_once=1)
    tasks = started(gathered, "a", "none", "a", "b")
    rows.may_answer.release()
    assert await asyncio.gather(*tasks) == [{"id": "a"}, None, {"id": "a"}, {"id": "b"}]
    assert rows.asked == [["a", "none", "b"]]


async def test_who_come_later_are_asked_for_anew(rows: Rows) -> None:
    """What is under way may have been read before they came."""
    gathered = Gathered(rows, most=64, at_once=1)
    early = started(gathered, "a")
    await rows.have_asked(1)
    late = started(gathered, "a", "b")
    rows.may_answer.release()
    await asyncio.gather(*early)
    assert not any(task.done() for task in late)
    rows.may_answer.release()
    await asyncio.gather(*late)
    assert rows.asked == [["a"], ["a", "b"]]


async def test_a_slow_statement_stops_nobody(rows: Rows) -> None:
    gathered = Gathered(rows, most=64, at_once=2)
    tasks = started(gathered, "a")
    await rows.have_asked(1)
    tasks += started(gathered, "b")
    await rows.have_asked(2)
    rows.may_answer.release()
    rows.may_answer.release()
    await asyncio.gather(*tasks)


async def test_statements_are_bounded_in_size_and_number(rows: Rows) -> None:
    gathered = Gathered(rows, most=2, at_once=2)
    tasks = started(gathered, *"abcde")
    await rows.have_asked(2)
    assert rows.asked == [["a", "b"], ["c", "d"]]
    for _ in range(3):
        rows.may_answer.release()
    found = await asyncio.gather(*tasks)
    assert [row and row["id"] for row in found] == list("abcde")
    assert rows.asked[2:] == [["e"]]


async def test_a_failure_is_told_to_all_who_asked_and_to_nobody_else(rows: Rows) -> None:
    gathered = Gathered(rows, most=64, at_once=1)
    rows.error = UnavailableError()
    tasks = started(gathered, "a", "b")
    rows.may_answer.release()
    failed = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(error) for error in failed] == [UnavailableError, UnavailableError]
    rows.error = None
    rows.may_answer.release()
    assert await gathered.get("a") == {"id": "a"}


@pytest.mark.parametrize("under_way", [False, True])
async def test_who_leaves_takes_nobody_along(rows: Rows, under_way: bool) -> None:
    gathered = Gathered(rows, most=64, at_once=1)
    leaver, other = started(gathered, "a", "b")
    if under_way:
        await rows.have_asked(1)
    else:
        await asyncio.sleep(0)
    leaver.cancel()
    rows.may_answer.release()
    assert await other == {"id": "b"}
    assert leaver.cancelled()
    assert gathered._waiting == {}


async def test_with_the_end_of_all_who_wait_are_let_go(rows: Rows) -> None:
    gathered = Gathered(rows, most=64, at_once=1)
    (waiter,) = started(gathered, "a")
    await rows.have_asked(1)
    (task,) = gathered._under_way
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
