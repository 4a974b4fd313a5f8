"""What was rejected is deleted: no other look takes the same bytes for a new upload meanwhile."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from errors import StoreUnavailableError
from service.completion import settlement
from service.completion.outcome import Outcome
from service.completion.processor import ProcessorLimits
from service.uploads.model import Origin
from service.uploads.model import UploadStatus as S
from service.uploads.policy import Profile
from tests.fakes.clock import START
from tests.fakes.completion import World
from tests.fakes.records import BUCKET, IDENTITY, upload
from tests.fakes.store import stored

KEY = f"{IDENTITY}/a.txt"
LATER = 121


def full(*, quarantine: bool = False) -> World:
    """A quota of 9, all of it in use, and 5 bytes more at the store."""
    world = World(profiles=[Profile(quota=9, quarantine=quarantine)])
    other = upload(id="upl_full", status=S.COMPLETED, etag="x", charged=9, next_look_at=None)
    world.records.rows[other.id] = other
    world.store.put(KEY, stored())
    return world


def at_the_key(world: World) -> list[tuple[int, S]]:
    rows = [row for row in world.records.rows.values() if row.key == KEY]
    return [(row.generation, row.status) for row in rows]


async def test_a_look_between_the_rejection_and_its_deletion_takes_nothing() -> None:
    """Room is made and the event comes again, just when the first look is about to delete."""
    world = full()
    delete, looks = world.store.delete, 0

    async def late(bucket: str, key: str, *, etag: str | None) -> bool:
        nonlocal looks
        looks += 1
        if looks == 1:
            del world.records.rows["upl_full"]
            assert await world.settlement.settle(BUCKET, KEY) is Outcome.STRAY_DELETED
        return await delete(bucket, key, etag=etag)

    world.store.delete = late  # type: ignore[method-assign]
    assert await world.settlement.settle(BUCKET, KEY) is Outcome.REJECTED
    assert at_the_key(world) == [(0, S.REJECTED)]
    assert not world.store.holds(KEY)


@pytest.mark.parametrize("quarantine", [False, True])
async def test_what_could_not_be_deleted_may_come_back_unless_a_verdict_may_be_the_reason(
    quarantine: bool,
) -> None:
    world = full(quarantine=quarantine)
    world.store.delete_failures += [StoreUnavailableError()]
    with pytest.raises(StoreUnavailableError):
        await world.settlement.settle(BUCKET, KEY)
    del world.records.rows["upl_full"]
    world.clock.advance(LATER)
    await world.settlement.settle(BUCKET, KEY)
    back: list[Any] = [] if quarantine else [(1, S.COMPLETED)]
    assert at_the_key(world) == [(0, S.REJECTED), *back]
    assert world.store.holds(KEY) is not quarantine


async def test_what_has_no_room_and_cannot_be_deleted_gets_no_record_with_every_look() -> None:
    world = full()
    world.store.delete_failures += [StoreUnavailableError()] * 3
    for _ in range(3):
        with pytest.raises(StoreUnavailableError):
            await world.settlement.settle(BUCKET, KEY)
        world.clock.advance(LATER)
    assert at_the_key(world) == [(0, S.REJECTED)]
    assert await world.settlement.settle(BUCKET, KEY) is Outcome.STRAY_DELETED


async def test_a_stale_look_at_what_is_written_again_does_not_end_in_quarantine_for_ever() -> None:
    """The look's answer was overtaken: what it pins is there no more, and no event is to come."""
    world = World(profiles=[Profile(quarantine=True)])
    before = upload(status=S.COMPLETED, etag="b", charged=5, size=5, next_look_at=None)
    world.records.rows[before.id] = before
    world.store.put(before.key, stored(etag="a"))
    assert await world.settlement.settle(BUCKET, before.key) is Outcome.QUARANTINED
    world.store.put(before.key, stored(etag="b"))
    assert world.records.rows[before.id].next_look_at is not None
    world.clock.advance(3600)
    await world.sweep().step()
    assert world.records.rows[before.id].status is S.REJECTED


async def test_one_record_that_cannot_be_settled_does_not_stop_the_sweep() -> None:
    world = World()
    for number in range(3):
        name = f"upl_{number}"
        world.records.rows[name] = upload(id=name, expires_at=upload().created_at)
    world.records.failing[S.EXPIRED] = RuntimeError("a record that nobody can end")
    world.clock.advance(60)
    assert await world.sweep().step() == 3
    assert [row.status for row in world.records.rows.values()].count(S.EXPIRED) == 2
    world.clock.advance(3600)
    await asyncio.gather(world.sweep().step())
    assert {row.status for row in world.records.rows.values()} == {S.EXPIRED}


async def test_what_was_rejected_just_now_is_not_taken_back_however_old_its_record() -> None:
    """Whoever rejected it may still be about to delete it."""
    world = World()
    old = START - timedelta(days=1)
    record = upload(
        origin=Origin.ADOPTED, key=KEY, status=S.REJECTED, etag="one", created_at=old, size=5
    )
    world.records.rows[record.id] = record
    world.store.put(KEY, stored())
    assert await world.settlement.settle(BUCKET, KEY) is Outcome.STRAY_DELETED
    assert at_the_key(world) == [(0, S.REJECTED)]


def test_a_deletion_that_follows_a_rejection_is_over_before_the_object_may_come_back() -> None:
    """One key may take so long, the sweep's own settling as well."""
    assert 2 * ProcessorLimits(1, 1, START - START, 1).longest < settlement._UNTIL_DELETED
