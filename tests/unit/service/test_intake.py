"""Many messages, one commit; each caller hears of its own events only, and only when it is done."""

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar
from datetime import datetime

import pytest

from errors import OverloadedError, UnavailableError
from service.completion import intake as module
from service.completion.events import EventId, ObjectEvent
from service.completion.intake import Intake
from tests.fakes.clock import Clock
from tests.fakes.eventually import eventually
from tests.fakes.inbox import event


class Shelf:
    """Takes what it is given when `open` is set; keys in `poison` are a fault of ours."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.batches: list[list[str]] = []
        self.kept: set[EventId] = set()
        self.failures: list[Exception | None] = []
        self.poison: set[str] = set()

    async def put(self, events: Sequence[ObjectEvent], now: datetime) -> set[EventId]:
        self.batches.append([given.key for given in events])
        failure = self.failures.pop(0) if self.failures else None
        await self.open.wait()
        if failure is not None:
            raise failure
        if self.poison & {given.key for given in events}:
            raise ValueError("a fault of ours")
        new = {given.id for given in events} - self.kept
        self.kept |= new
        return new


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_GATHER_SECONDS", 0)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def intake(shelf: Shelf) -> Intake:
    return Intake(shelf, clock=Clock(), most_waiting=10)


def putting(intake: Intake, *keys: str) -> "asyncio.Task[int]":
    return asyncio.create_task(intake.put([event(key) for key in keys]))


async def under_way(intake: Intake, shelf: Shelf) -> "asyncio.Task[int]":
    """One commit that does not end before the shelf is open again."""
    shelf.open.clear()
    first = putting(intake, "first")

    async def begun() -> bool:
        return shelf.batches == [["first"]]

    await eventually(begun)
    return first


async def settled(*tasks: "asyncio.Task[int]") -> list[int | BaseException]:
    async with asyncio.timeout(60):
        return await asyncio.gather(*tasks, return_exceptions=True)


async def test_alone_it_is_written_at_once(intake: Intake, shelf: Shelf) -> None:
    assert await intake.put([event("a"), event("b")]) == 2
    assert await intake.put([event("a"), event("c")]) == 1
    assert shelf.batches == [["a", "b"], ["a", "c"]]


async def test_what_comes_meanwhile_goes_in_together(intake: Intake, shelf: Shelf) -> None:
    first = await under_way(intake, shelf)
    others = [putting(intake, "a"), putting(intake, "b", "c"), putting(intake, "d")]
    await asyncio.sleep(0)
    shelf.open.set()
    assert await settled(first, *others) == [1, 1, 2, 1]
    assert shelf.batches == [["first"], ["a", "b", "c", "d"]]


async def test_nobody_hears_before_the_commit(intake: Intake, shelf: Shelf) -> None:
    first = await under_way(intake, shelf)
    for _ in range(10):
        await asyncio.sleep(0)
    assert not first.done()
    shelf.open.set()
    assert await settled(first) == [1]


async def test_an_event_that_two_bring_counts_once(intake: Intake, shelf: Shelf) -> None:
    await intake.put([event("known")])
    shelf.batches.clear()
    first = await under_way(intake, shelf)
    twice = [putting(intake, "a", "b"), putting(intake, "b", "a", "c"), putting(intake, "known")]
    await asyncio.sleep(0)
    shelf.open.set()
    assert await settled(first, *twice) == [1, 2, 1, 0]
    assert shelf.batches[1] == ["a", "b", "c", "known"]


async def test_a_message_that_names_an_event_twice_counts_it_once(intake: Intake) -> None:
    assert await intake.put([event("a"), event("a")]) == 1


async def test_a_database_that_is_away_fails_all_of_the_batch_and_no_other(
    intake: Intake, shelf: Shelf
) -> None:
    shelf.failures = [None, UnavailableError("away")]
    first = await under_way(intake, shelf)
    batch = [putting(intake, "a"), putting(intake, "b")]
    await asyncio.sleep(0)
    shelf.open.set()
    ended = await settled(first, *batch)
    assert ended[0] == 1
    assert [type(error) for error in ended[1:]] == [UnavailableError, UnavailableError]
    assert await intake.put([event("a")]) == 1


async def test_a_message_that_cannot_be_written_takes_no_neighbour_with_it(
    intake: Intake, shelf: Shelf
) -> None:
    shelf.poison = {"bad"}
    first = await under_way(intake, shelf)
    batch = [putting(intake, "a"), putting(intake, "bad"), putting(intake, "b", "a")]
    await asyncio.sleep(0)
    shelf.open.set()
    ended = await settled(first, *batch)
    assert (ended[0], ended[1], ended[3]) == (1, 1, 1)
    assert isinstance(ended[2], ValueError)


async def test_one_by_one_ends_where_the_database_goes_away(intake: Intake, shelf: Shelf) -> None:
    shelf.failures = [None, ValueError(), None, UnavailableError()]
    first = await under_way(intake, shelf)
    batch = [putting(intake, key) for key in ("a", "b", "c")]
    await asyncio.sleep(0)
    shelf.open.set()
    ended = await settled(first, *batch)
    assert ended[:2] == [1, 1]
    assert [type(error) for error in ended[2:]] == [UnavailableError, UnavailableError]
    assert shelf.batches[2:] == [["a"], ["b"]]


@pytest.mark.parametrize("whose", ["first", "second"])
async def test_a_caller_that_goes_away_takes_nobody_with_it(
    intake: Intake, shelf: Shelf, whose: str
) -> None:
    first = await under_way(intake, shelf)
    second, third = putting(intake, "second"), putting(intake, "third")
    await asyncio.sleep(0)
    gone, left = (first, second) if whose == "first" else (second, first)
    gone.cancel()
    await asyncio.sleep(0)
    shelf.open.set()
    assert await settled(left, third) == [1, 1]
    assert gone.cancelled()
    await intake.aclose()
    assert len(shelf.kept) == 3


async def test_so_many_may_wait_and_no_more(intake: Intake, shelf: Shelf) -> None:
    first = await under_way(intake, shelf)
    waiting = [putting(intake, f"{number}") for number in range(10)]
    await asyncio.sleep(0)
    with pytest.raises(OverloadedError) as caught:
        await intake.put([event("more")])
    assert caught.value.retry_after
    shelf.open.set()
    assert await settled(first, *waiting) == [1] * 11
    assert await intake.put([event("more")]) == 1


async def test_a_full_inbox_is_not_asked_again_for_what_is_no_smaller(
    intake: Intake, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FULL_SECONDS", 1000)
    shelf.failures = [OverloadedError(retry_after=30)]
    for _ in range(2):
        with pytest.raises(OverloadedError):
            await intake.put([event("a"), event("b")])
    assert len(shelf.batches) == 1
    assert await intake.put([event("a")]) == 1


async def test_after_a_while_a_full_inbox_is_asked_again(
    intake: Intake, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FULL_SECONDS", 0)
    shelf.failures = [OverloadedError()]
    with pytest.raises(OverloadedError):
        await intake.put([event("a")])
    assert await intake.put([event("a")]) == 1


async def test_a_commit_takes_so_many_events_at_most(
    intake: Intake, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_BATCH", 3)
    first = await under_way(intake, shelf)
    large = [putting(intake, *"abcd"), putting(intake, "e"), putting(intake, "f", "g")]
    await asyncio.sleep(0)
    shelf.open.set()
    assert await settled(first, *large) == [1, 4, 1, 2]
    assert shelf.batches[1:] == [["a", "b", "c", "d"], ["e", "f", "g"]]


def test_a_write_is_given_up_before_its_source_goes_away() -> None:
    """SNS waits for 15 s; then nobody hears that it is to be sent again."""
    assert module._WRITE_SECONDS < 15


async def test_what_writes_for_many_is_of_no_one_request(intake: Intake, shelf: Shelf) -> None:
    """Or the log would put the others' commits down to the first of them."""
    request: ContextVar[str] = ContextVar("request")
    found: list[str] = []

    async def put(events: Sequence[ObjectEvent], now: datetime) -> set[EventId]:
        found.append(request.get("nobody's"))
        return set()

    shelf.put = put  # type: ignore[method-assign]
    request.set("the first's")
    await intake.put([event("a")])
    assert found == ["nobody's"]


async def test_a_database_that_hangs_is_given_up(
    intake: Intake, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WRITE_SECONDS", 0)
    shelf.open.clear()
    with pytest.raises(UnavailableError):
        await intake.put([event("a")])


async def test_closing_waits_for_what_is_being_written(intake: Intake, shelf: Shelf) -> None:
    first = await under_way(intake, shelf)
    first.cancel()
    closing = asyncio.create_task(intake.aclose())
    await asyncio.sleep(0)
    assert not closing.done()
    shelf.open.set()
    async with asyncio.timeout(60):
        await closing
    assert shelf.kept == {event("first").id}


async def test_callers_are_not_left_waiting_when_the_loop_ends(
    intake: Intake, shelf: Shelf
) -> None:
    first = await under_way(intake, shelf)
    second = putting(intake, "second")
    await asyncio.sleep(0)
    assert intake._writing is not None
    intake._writing.cancel()
    ended = await settled(first, second)
    assert [type(error) for error in ended] == [asyncio.CancelledError] * 2
