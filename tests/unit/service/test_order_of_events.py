"""Where the store orders the events of a key, what is old news is not looked at."""

import pytest

from service.completion.settlement import News, Outcome
from service.uploads.model import UploadStatus as S
from tests.fakes.clock import START
from tests.fakes.completion import OVERDUE, World
from tests.fakes.records import BUCKET, IDENTITY, upload
from tests.fakes.store import stored

KEY = upload().key


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
