import asyncio
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import StoreRefusedError, StoreUnavailableError, UnavailableError
from service.completion.outcome import News, Outcome
from service.completion.processor import retry_delay
from tests.fakes.clock import START
from tests.fakes.completion import LEASE, World
from tests.fakes.inbox import event


class Scripted:
    """A settlement that does, for each key, what it is told. What is absent is so for sure, but
    for the next `unconfirmed`.
    """

    def __init__(
        self,
        script: dict[str, Exception | asyncio.Event],
        outcome: Outcome = Outcome.COMPLETED,
    ) -> None:
        self._script = script
        self.settled: list[str] = []
        self.news: list[News] = []
        self.outcome = outcome
        self.confirmed: list[str] = []
        self.unconfirmed: list[Exception] = []
        self.at_once = self.most_at_once = 0

    async def settle(self, bucket: str, key: str, news: News) -> Outcome:
        told = self._script.get(key)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if isinstance(told, Exception):
                raise told
            if told is not None:
                await told.wait()
            await asyncio.sleep(0)
        finally:
            self.at_once -= 1
        self.settled.append(key)
        self.news.append(news)
        return self.outcome

    async def confirm_absent(self, bucket: str, key: str) -> None:
        if self.unconfirmed:
            raise self.unconfirmed.pop(0)
        self.confirmed.append(key)


async def given_events(*keys: str) -> World:
    world = World()
    await world.inbox.put([event(key) for key in keys], START)
    return world


async def test_what_is_settled_is_done_and_says_what_came_of_it() -> None:
    world = await given_events("a", "b")
    assert await world.processor(Scripted({})).step() == 2
    assert [(row.outcome, row.done_at) for row in world.inbox.rows] == [("completed", START)] * 2
    assert await world.processor(Scripted({})).step() == 0


async def test_a_batch_is_bounded_and_so_is_what_happens_at_once() -> None:
    world = await given_events(*"abcdefgh")
    settlement = Scripted({})
    assert await world.processor(settlement, batch=5, concurrency=2).step() == 5
    assert (len(settlement.settled), settlement.most_at_once) == (5, 2)


async def test_what_fails_is_retried_later_and_later_and_then_given_up() -> None:
    world = await given_events("a")
    processor = world.processor(Scripted({"a": RuntimeError("ours")}), max_attempts=3)
    for attempt, longest in [(1, 1), (2, 2)]:
        assert await processor.step() == 1
        (row,) = world.inbox.rows
        assert (row.attempts, row.leased_by, row.done_at) == (attempt, None, None)
        wait = row.due_at - world.clock()
        assert timedelta(seconds=longest / 2) <= wait <= timedelta(seconds=longest)
        assert await processor.step() == 0
        world.clock.advance(longest)
    assert await processor.step() == 1
    (row,) = world.inbox.rows
    assert (row.failed, row.outcome, row.done_at) == (True, "RuntimeError", world.clock())


async def test_a_store_that_is_away_is_waited_for_however_long() -> None:
    world = await given_events("a")
    script: dict[str, Exception | asyncio.Event] = {"a": StoreUnavailableError()}
    processor = world.processor(Scripted(script), max_attempts=3)
    for _ in range(50):
        assert await processor.step() == 1
        world.clock.advance(300)
    assert world.inbox.rows[0].done_at is None
    script.clear()
    assert await processor.step() == 1
    assert world.inbox.rows[0].outcome == "completed"


@pytest.mark.parametrize("failure", [RuntimeError("ours"), StoreUnavailableError()])
async def test_one_failure_does_not_stop_the_others(failure: Exception) -> None:
    world = await given_events("a", "bad", "b")
    settlement = Scripted({"bad": failure})
    assert await world.processor(settlement).step() == 3
    assert settlement.settled == ["a", "b"]
    assert [row.outcome for row in world.inbox.rows] == ["completed", None, "completed"]
    assert world.inbox.rows[1].due_at > START


async def test_a_fault_of_ours_is_given_up_under_its_name() -> None:
    world = await given_events("bad")
    await world.processor(Scripted({"bad": RuntimeError("secret")}), max_attempts=1).step()
    assert world.inbox.rows[0].outcome == "RuntimeError"


@pytest.mark.parametrize("shorter", ["lease", "longest"])
async def test_a_settlement_that_hangs_ends_with_its_lease_or_before(shorter: str) -> None:
    world = await given_events("hangs", "b")
    settlement = Scripted({"hangs": asyncio.Event()})
    limits = {"lease": LEASE, "longest": LEASE, shorter: timedelta(milliseconds=20)}
    async with asyncio.timeout(60):
        assert await world.processor(settlement, **limits).step() == 2
    assert settlement.settled == ["b"]
    assert (world.inbox.rows[0].leased_by, world.inbox.rows[0].done_at) == (None, None)


async def test_what_takes_too_long_is_tried_again_however_often() -> None:
    """As a store that is away: an object without a record has nothing else that remembers it."""
    world = await given_events("hangs")
    settlement = Scripted({"hangs": asyncio.Event()})
    processor = world.processor(settlement, longest=timedelta(milliseconds=1), max_attempts=2)
    for _ in range(4):
        assert await processor.step() == 1
        world.clock.advance(300)
    assert (world.inbox.rows[0].attempts, world.inbox.rows[0].done_at) == (4, None)


async def test_an_event_is_claimed_for_the_lease() -> None:
    world = await given_events("a")
    hanging = asyncio.Event()
    step = asyncio.create_task(world.processor(Scripted({"a": hanging})).step())
    await asyncio.sleep(0)
    assert world.inbox.rows[0].due_at == START + LEASE
    assert await world.processor(Scripted({})).step() == 0
    hanging.set()
    await step


async def test_an_inbox_that_is_away_is_said_to_who_runs_the_processor() -> None:
    world = await given_events("a")

    async def away(*_: object, **__: object) -> None:
        raise UnavailableError

    world.inbox.settle_all = away  # type: ignore[method-assign]
    with pytest.raises(UnavailableError):
        await world.processor(Scripted({})).step()
    assert world.inbox.rows[0].due_at == START + LEASE


async def test_the_events_of_one_key_need_one_look_at_the_newest_of_them() -> None:
    world = World()
    sequencers = ["0A", None, "0B", "00C"]
    events = [event("a", n, sequencer=s, etag=s) for n, s in enumerate(sequencers)]
    await world.inbox.put([*events, event("b")], START)
    settlement = Scripted({})
    assert await world.processor(settlement).step() == 5
    assert sorted(settlement.settled) == ["a", "b"]
    # A change of tags has no place in the order, so there is none to go by.
    told = News(etag="0B", others=frozenset({"0A", "00C"}))
    assert sorted(settlement.news, key=lambda news: len(news.others)) == [News(), told]
    assert {row.outcome for row in world.inbox.rows} == {"completed"}


async def test_the_newest_in_the_stores_order_is_what_is_told() -> None:
    world = World()
    events = [event("a", n, sequencer=s, etag=s) for n, s in enumerate(["0A", "0B", "00C"])]
    await world.inbox.put(events, START)
    settlement = Scripted({})
    await world.processor(settlement).step()
    assert settlement.news == [News("0B", "0B")]


@pytest.mark.parametrize(
    ("etags", "news"),
    [
        (["one"], News(etag="one")),
        (["one", "one"], News(etag="one")),
        (["one", None], News(etag="one")),
        ([None, None], News()),
        (["one", "two"], News(etag="two", others=frozenset({"one"}))),
        (["one", "two", "one"], News(etag="one", others=frozenset({"two"}))),
    ],
)
async def test_without_an_order_all_that_was_told_of_is_to_show(
    etags: list[str | None], news: News
) -> None:
    world = World()
    await world.inbox.put([event("a", n, etag=etag) for n, etag in enumerate(etags)], START)
    settlement = Scripted({})
    await world.processor(settlement).step()
    assert settlement.news == [news]


@pytest.mark.parametrize("outcome", [Outcome.GONE, Outcome.STALE])
async def test_what_was_there_before_is_waited_for_as_well(outcome: Outcome) -> None:
    """A name that is used again, an overwrite."""
    world = await given_events("late")
    settlement = Scripted({}, outcome)
    assert await world.processor(settlement, absent_looks=2).step() == 1
    assert world.inbox.rows[0].done_at is None
    world.clock.advance(300)
    await world.processor(settlement, absent_looks=2).step()
    assert world.inbox.rows[0].outcome == outcome.value


async def test_an_outage_does_not_use_up_the_looks() -> None:
    world = await given_events("a")
    script: dict[str, Exception | asyncio.Event] = {"a": StoreUnavailableError()}
    settlement = Scripted(script, Outcome.ABSENT)
    processor = world.processor(settlement, absent_looks=2)
    for _ in range(6):
        await processor.step()
        world.clock.advance(300)
    script.clear()
    await processor.step()
    (row,) = world.inbox.rows
    assert row.done_at is None
    # And the looks follow upon each other as if there had been none.
    assert row.due_at - world.clock() <= timedelta(seconds=1)


async def test_what_a_store_shows_late_is_looked_at_again_for_a_while() -> None:
    world = await given_events("late")
    settlement = Scripted({}, Outcome.ABSENT)
    processor = world.processor(settlement, absent_looks=3)
    for _ in range(2):
        assert await processor.step() == 1
        assert world.inbox.rows[0].done_at is None
        world.clock.advance(300)
    settlement.outcome = Outcome.COMPLETED
    assert await processor.step() == 1
    assert world.inbox.rows[0].outcome == "completed"


async def test_what_never_shows_is_left_to_the_sweep() -> None:
    world = await given_events("never")
    processor = world.processor(Scripted({}, Outcome.ABSENT), absent_looks=3)
    for _ in range(3):
        assert await processor.step() == 1
        world.clock.advance(300)
    assert (world.inbox.rows[0].outcome, world.inbox.rows[0].failed) == ("absent", False)


@pytest.mark.parametrize("outcome", [Outcome.ABSENT, Outcome.GONE])
async def test_what_is_absent_for_good_is_so_for_sure(outcome: Outcome) -> None:
    """A missing bucket answers a HEAD as a missing object does."""
    world = await given_events("never")
    settlement = Scripted({}, outcome)
    settlement.unconfirmed += [StoreUnavailableError(), StoreRefusedError()]
    processor = world.processor(settlement, absent_looks=3)
    confirmed = []
    for _ in range(4):
        assert await processor.step() == 1
        assert world.inbox.rows[0].done_at is None
        confirmed.append(list(settlement.confirmed))
        world.clock.advance(300)
    # Not with every look, and an outage uses up none.
    assert (confirmed, world.inbox.rows[0].looks) == ([[]] * 4, 2)
    assert await processor.step() == 1
    assert (world.inbox.rows[0].outcome, settlement.confirmed) == (outcome.value, ["never"])


async def test_other_bytes_than_were_told_of_are_there_and_need_no_proof() -> None:
    world = await given_events("stale")
    settlement = Scripted({}, Outcome.STALE)
    await world.processor(settlement, absent_looks=1).step()
    assert (world.inbox.rows[0].outcome, settlement.confirmed) == ("stale", [])


@given(st.integers(1, 5_000), st.floats(0, 1))
def test_a_retry_waits_at_least_half_a_second_and_at_most_five_minutes(
    attempts: int, jitter: float
) -> None:
    delay = retry_delay(attempts, jitter)
    assert timedelta(seconds=0.5) <= delay <= timedelta(seconds=300)
    assert delay <= retry_delay(attempts, 0)
    assert retry_delay(attempts, jitter) <= retry_delay(attempts + 1, jitter)


def test_the_first_retries_double() -> None:
    seconds = [retry_delay(attempt, 0).total_seconds() for attempt in range(1, 11)]
    assert seconds == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
