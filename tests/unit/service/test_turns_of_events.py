"""What counts against an event, and whose it is when its lease is over."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

import pytest

from errors import StoreUnavailableError
from service.completion import processor as processor_module
from service.completion.outcome import News, Outcome
from service.completion.ports import Claimed
from tests.fakes.clock import START
from tests.fakes.completion import LEASE, World
from tests.fakes.eventually import eventually
from tests.fakes.inbox import event
from tests.unit.service.test_processor import Scripted, given_events


async def test_an_outage_uses_up_none_of_the_tries_that_a_fault_of_ours_has() -> None:
    world = await given_events("a")
    for _ in range(20):
        world.clock.advance(600)
        await world.processor(Scripted({"a": StoreUnavailableError()})).step()
    for fault in range(1, 4):
        assert not world.inbox.rows[0].failed
        world.clock.advance(600)
        await world.processor(Scripted({"a": RuntimeError()}), max_attempts=3).step()
        assert world.inbox.rows[0].faults == min(fault, 2)
    assert world.inbox.rows[0].failed


async def test_an_event_whose_lease_is_over_before_its_turn_is_left_to_who_claims_it_next() -> None:
    world = await given_events("a", "b")
    gate = asyncio.Event()
    scripted = Scripted({"a": gate})
    step = asyncio.create_task(world.processor(scripted, concurrency=1).step())
    await eventually(lambda: scripted.at_once == 1)
    world.clock.advance(LEASE.total_seconds())
    gate.set()
    assert await step == 2
    assert scripted.settled == ["a"]
    assert (world.inbox.rows[1].outcome, world.inbox.rows[1].due_at) == (None, START + LEASE)
    assert await world.processor(Scripted({})).step() == 1


async def test_a_step_that_is_late_frees_nothing_that_a_later_one_has_claimed() -> None:
    """Of one processor: several of its steps are under way at once."""
    world = await given_events("a")
    processor = world.processor(gated := Gated())
    late = asyncio.create_task(processor.step())
    await eventually(lambda: gated.waiting == 1)
    world.clock.advance(LEASE.total_seconds())
    second = asyncio.create_task(processor.step())
    await eventually(lambda: gated.waiting == 2)
    holder = world.inbox.rows[0].leased_by
    gated.gates[0].set()
    await late
    assert (world.inbox.rows[0].leased_by, world.inbox.rows[0].done_at) == (holder, None)
    gated.gates[1].set()
    await second
    assert world.inbox.rows[0].outcome == "completed"


class Gated:
    def __init__(self) -> None:
        self.gates = [asyncio.Event(), asyncio.Event()]
        self.waiting = 0

    async def settle(self, bucket: str, key: str, news: News) -> Outcome:
        gate = self.gates[self.waiting]
        self.waiting += 1
        await gate.wait()
        return Outcome.COMPLETED


async def test_an_event_that_was_given_up_or_not_seen_is_taken_up_when_it_is_sent_again() -> None:
    world = await given_events("gone", "broken", "done")
    outcome = Outcome.ABSENT
    await world.processor(Scripted({"broken": RuntimeError()}, outcome), max_attempts=1).step()
    world.inbox.rows[2] = world.inbox.rows[2].__class__(
        world.inbox.rows[2].event, START, outcome="completed", done_at=START
    )
    sent = [event("gone"), event("broken"), event("done")]
    assert await world.inbox.put(sent, START) == {sent[0].id, sent[1].id}
    assert await world.processor(Scripted({})).step() == 2


async def test_what_a_slow_store_has_shown_is_marked_before_the_lease_is_over() -> None:
    """Or else whoever claims the batch next would look at all of it again, and so for ever."""
    world = await given_events(*"abcd")

    class Slow:
        async def settle(self, bucket: str, key: str, news: News) -> Outcome:
            world.clock.advance(LEASE.total_seconds() * 0.4)
            return Outcome.COMPLETED

    for step in range(2):
        assert await world.processor(Slow(), concurrency=1).step() == 4 - 3 * step
    assert [row.outcome for row in world.inbox.rows] == ["completed"] * 4


async def test_what_is_marked_in_the_middle_of_a_lease_is_marked_once() -> None:
    """While others are still looked at; what they find meanwhile waits for the next time."""
    world = await given_events(*"abcd")
    marked: list[list[str]] = []
    marking, settle_all = asyncio.Event(), world.inbox.settle_all

    async def slow(events: Sequence[Claimed], worker: str, outcome: str, now: datetime) -> None:
        marked.append([one.key for one in events])
        await marking.wait()
        await settle_all(events, worker, outcome, now)

    world.inbox.settle_all = slow  # type: ignore[method-assign]
    gates = {key: asyncio.Event() for key in "bcd"}
    scripted = Scripted({**gates})
    step = asyncio.create_task(world.processor(scripted).step())
    await eventually(lambda: scripted.settled == ["a"])
    world.clock.advance(LEASE.total_seconds() / 2)
    gates["b"].set()
    await eventually(lambda: marked == [["a", "b"]])
    gates["c"].set()
    await eventually(lambda: marked == [["a", "b"], ["c"]])
    marking.set()
    done = ["completed"] * 3
    await eventually(lambda: [row.outcome for row in world.inbox.rows] == [*done, None])
    gates["d"].set()
    assert await step == 4
    assert marked == [["a", "b"], ["c"], ["d"]]


@pytest.mark.parametrize("failure", [StoreUnavailableError(), RuntimeError("ours")])
async def test_of_a_key_that_cannot_be_looked_at_every_event_comes_again(
    failure: Exception,
) -> None:
    world = World()
    await world.inbox.put([event("a", number) for number in range(3)], START)
    await world.processor(Scripted({"a": failure})).step()
    ours = isinstance(failure, RuntimeError)
    for row in world.inbox.rows:
        assert (row.leased_by, row.faults) == (None, int(ours))
        assert START < row.due_at < START + LEASE


async def test_an_outage_is_waited_for_longer_and_longer_and_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processor_module, "_MOST_WAITS", 8)
    world = await given_events("a")
    processor = world.processor(Scripted({"a": StoreUnavailableError()}), max_attempts=3)
    for attempt in range(7):
        assert await processor.step() == 1
        (row,) = world.inbox.rows
        wait = (row.due_at - world.clock()).total_seconds()
        assert 2**attempt / 2 <= wait <= 2**attempt
        world.clock.advance(wait)
    assert await processor.step() == 1
    (row,) = world.inbox.rows
    assert (row.failed, row.outcome) == (True, "store_unavailable")


async def test_an_object_that_is_nobodys_is_not_looked_for_again() -> None:
    world = await given_events("a")
    await world.processor(Scripted({}, Outcome.UNOWNED), absent_looks=6).step()
    assert world.inbox.rows[0].outcome == "unowned"
    assert await world.inbox.put([event("a")], START) == set()
