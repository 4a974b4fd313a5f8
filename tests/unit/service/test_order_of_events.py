"""Where the store orders the events of a key, what is old news is not looked at."""

from datetime import datetime

import pytest

from service.completion.outcome import News, Outcome
from service.uploads.model import UploadStatus as S
from tests.fakes.clock import START
from tests.fakes.completion import OVERDUE, World
from tests.fakes.inbox import event
from tests.fakes.records import BUCKET, IDENTITY, upload
from tests.fakes.store import stored

KEY = upload().key
ONE_TWO = ("one", "two")


def world() -> World:
    made = World()
    made.records.rows["upl_1"] = upload()
    return made


async def told(made: World, sequencer: str, etag: str, key: str = KEY) -> Outcome:
    return await made.settlement.settle(BUCKET, key, News(sequencer, etag))


async def test_an_older_event_than_the_one_that_moved_the_record_is_old_news() -> None:
    made = world()
    made.store.put(KEY, stored(etag="two"))
    assert await told(made, "00B", "two") is Outcome.COMPLETED
    assert made.records.rows["upl_1"].sequencer == "00B"
    assert await told(made, "00A", "one") is Outcome.SUPERSEDED


async def test_no_place_in_the_order_keeps_the_store_from_being_looked_at() -> None:
    """Some stores take it from a clock, which may lag; and whoever can forge one could silence."""
    made = world()
    made.store.put(KEY, stored(etag="one"))
    await told(made, "FF", "one")
    made.store.put(KEY, stored(etag="two"))
    assert await told(made, "00A", "two") is Outcome.REPLACED


async def test_other_bytes_than_were_told_of_may_be_late_ones() -> None:
    made = world()
    made.store.put(KEY, stored(etag="one"))
    await told(made, "00A", "one")
    assert await told(made, "00B", "two") is Outcome.STALE
    assert await made.settlement.settle(BUCKET, KEY, News(etag="two")) is Outcome.STALE


async def test_a_completion_with_other_bytes_than_were_told_of_is_looked_at_again() -> None:
    made = world()
    made.store.put(KEY, stored(etag="one"))
    assert await told(made, "00B", "two") is Outcome.COMPLETED
    assert made.records.rows["upl_1"].next_look_at == START + OVERDUE
    made.store.put(KEY, stored(etag="two"))
    made.clock.advance(OVERDUE.total_seconds())
    await made.sweep().step()
    assert made.records.rows["upl_1"].etag == "two"


class TestSeveralWritesWithoutAnOrder:
    """Told of in one batch, by a source that orders nothing."""

    BOTH = News(etag="two", others=frozenset({"one"}))

    async def test_an_earlier_one_shows_and_the_later_is_looked_for(self) -> None:
        made = World()
        key = f"{IDENTITY}/free"
        await made.inbox.put([event(key, n, etag=etag) for n, etag in enumerate(ONE_TWO)], START)
        processor = made.processor(absent_looks=8)
        made.store.put(key, stored(etag="one"))
        assert await processor.step() == 2
        (record,) = made.records.rows.values()
        assert (record.status, record.etag) == (S.COMPLETED, "one")
        assert [row.done_at for row in made.inbox.rows] == [None, None]
        made.store.put(key, stored(etag="two"))
        made.clock.advance(1)
        assert await processor.step() == 2
        (record,) = made.records.rows.values()
        assert (record.status, record.etag) == (S.REPLACED, "two")
        assert [row.outcome for row in made.inbox.rows] == ["replaced", "replaced"]

    async def test_one_that_was_written_over_costs_one_more_look(self) -> None:
        made = world()
        await made.inbox.put([event(KEY, n, etag=etag) for n, etag in enumerate(ONE_TWO)], START)
        made.store.put(KEY, stored(etag="two"))
        assert await made.processor(absent_looks=8).step() == 2
        assert [row.outcome for row in made.inbox.rows] == ["completed", "completed"]
        assert made.records.rows["upl_1"].next_look_at == START + OVERDUE
        made.clock.advance(OVERDUE.total_seconds())
        assert await made.sweep().step() == 1
        assert made.store.heads == 2
        assert await made.sweep().step() == 0

    async def test_what_is_never_shown_ends_with_its_looks(self) -> None:
        made = world()
        await made.inbox.put([event(KEY, n, etag=etag) for n, etag in enumerate(ONE_TWO)], START)
        made.store.put(KEY, stored(etag="one"))
        processor = made.processor(absent_looks=3)
        for _ in range(3):
            await processor.step()
            made.clock.advance(300)
        assert {row.outcome for row in made.inbox.rows} == {"stale"}
        assert made.store.heads == 3

    @pytest.mark.parametrize("planned", [None, START, START + 3 * OVERDUE])
    async def test_of_a_record_that_stays_as_it_is_a_look_is_planned(
        self, planned: datetime | None
    ) -> None:
        made = world()
        made.records.rows["upl_1"] = upload(status=S.COMPLETED, etag="two", next_look_at=planned)
        made.store.put(KEY, stored(etag="two"))
        assert await made.settlement.settle(BUCKET, KEY, self.BOTH) is Outcome.UNCHANGED
        soon = START if planned == START else START + OVERDUE
        assert made.records.rows["upl_1"].next_look_at == soon

    async def test_what_shows_neither_is_looked_at_again(self) -> None:
        made = world()
        made.store.put(KEY, stored(etag="zero"))
        assert await made.settlement.settle(BUCKET, KEY, self.BOTH) is Outcome.STALE
        assert made.records.rows["upl_1"].etag == "zero"
        assert await made.settlement.settle(BUCKET, KEY, self.BOTH) is Outcome.STALE

    async def test_an_earlier_one_that_is_rejected_is_not_the_last(self) -> None:
        made = world()
        made.store.put(KEY, stored(etag="one", size=6))
        assert await made.settlement.settle(BUCKET, KEY, self.BOTH) is Outcome.STALE
        assert made.records.rows["upl_1"].status is S.REJECTED
        made.store.put(KEY, stored(etag="zero"))
        assert await made.settlement.settle(BUCKET, KEY, self.BOTH) is Outcome.STALE
        assert not made.store.holds(KEY)

    async def test_what_is_nobodys_is_not_looked_for(self) -> None:
        made = World()
        made.store.put("nobodys", stored(etag="one"))
        assert await made.settlement.settle(BUCKET, "nobodys", self.BOTH) is Outcome.UNOWNED


async def test_a_newer_one_is_looked_at() -> None:
    made = world()
    made.store.put(KEY, stored(etag="one"))
    await told(made, "00A", "one")
    made.store.put(KEY, stored(etag="two"))
    assert await told(made, "00B", "two") is Outcome.REPLACED
    assert made.records.rows["upl_1"].sequencer == "00B"


async def test_the_same_one_again_is_looked_at_and_changes_nothing() -> None:
    made = world()
    made.store.put(KEY, stored(etag="one"))
    await told(made, "00A", "one")
    assert await told(made, "00A", "one") is Outcome.UNCHANGED


async def test_a_store_that_showed_older_bytes_than_the_event_told_of_is_looked_at_again() -> None:
    made = world()
    made.store.put(KEY, stored(etag="one"))
    assert await told(made, "00B", "two") is Outcome.COMPLETED  # of "one": it lags behind
    made.store.put(KEY, stored(etag="two"))
    assert await told(made, "00A", "one") is Outcome.REPLACED
    assert made.records.rows["upl_1"].etag == "two"


async def test_a_place_that_was_told_but_not_seen_silences_nobody() -> None:
    """The store has shown neither of the two yet, so both are looked for again."""
    made = world()
    made.store.put(KEY, stored(etag="one"))
    await told(made, "00C", "three")
    assert made.records.rows["upl_1"].sequencer is None
    assert await told(made, "00B", "two") is Outcome.STALE


@pytest.mark.parametrize("sequencer", ["0", "00", "ffff"])
async def test_without_an_order_everything_is_looked_at(sequencer: str) -> None:
    made = world()
    made.store.put(KEY, stored(etag="one"))
    await made.settlement.settle(BUCKET, KEY)
    assert made.records.rows["upl_1"].sequencer is None
    assert await told(made, sequencer, "one") is Outcome.UNCHANGED


async def test_an_adopted_object_has_its_place_in_the_order() -> None:
    made = World()
    key = f"{IDENTITY}/free"
    made.store.put(key, stored(etag="one"))
    assert await told(made, "00B", "one", key) is Outcome.COMPLETED
    (record,) = made.records.rows.values()
    assert (record.status, record.sequencer) == (S.COMPLETED, "00B")
    assert await told(made, "00A", "zero", key) is Outcome.SUPERSEDED


async def test_late_bytes_are_deleted_whatever_their_place() -> None:
    made = world()
    made.records.rows["upl_1"] = upload(status=S.ABORTED)
    made.store.put(KEY, stored(etag="late"))
    assert await told(made, "00A", "late") is Outcome.STRAY_DELETED
