"""Objects that arrive in a known user's folder without a record."""

from dataclasses import replace
from typing import Any

import pytest

from errors import StoreRefusedError, StoreUnavailableError
from service.completion.adoption import MAX_CONTENT_TYPE, AdoptionRules
from service.completion.outcome import Outcome
from service.uploads.model import Origin, Upload
from service.uploads.model import UploadStatus as S
from service.uploads.policy import Profile
from tests.fakes.clock import START
from tests.fakes.completion import World
from tests.fakes.records import BUCKET, IDENTITY, upload
from tests.fakes.store import stored

KEY = f"{IDENTITY}/holiday/ä b.txt"


def only(world: World) -> Upload:
    (row,) = world.records.rows.values()
    return row


async def test_an_object_in_a_known_folder_gets_a_completed_record() -> None:
    world = World()
    world.store.put(KEY, stored(version_id="v"))
    assert await world.settlement.settle(BUCKET, KEY) is Outcome.COMPLETED
    row = only(world)
    assert (row.user_id, row.origin, row.status) == ("usr_ada", Origin.ADOPTED, S.COMPLETED)
    assert (row.filename, row.key, row.content_type) == ("ä b.txt", KEY, "text/plain")
    assert (row.size, row.etag, row.version_id, row.generation) == (5, "one", "v", 0)
    assert (row.declared_size, row.next_look_at, row.completed_at) == (None, None, START)


@pytest.mark.parametrize("told", ["text/plain; x=" + "y" * 2000, "a\udcff/b", "a/b\0", "a/ä"])
async def test_the_store_may_tell_more_than_a_record_can_hold(told: str) -> None:
    """Whoever holds credentials chooses the content type; the column has 255 characters."""
    world = World()
    world.store.put(KEY, stored(content_type=told))
    assert await world.settlement.settle(BUCKET, KEY) is Outcome.COMPLETED
    assert only(world).content_type == "application/octet-stream"


async def test_a_content_type_that_just_fits_is_kept() -> None:
    world, longest = World(), "text/plain; x=".ljust(MAX_CONTENT_TYPE, "y")
    world.store.put(KEY, stored(content_type=longest))
    await world.settlement.settle(BUCKET, KEY)
    assert only(world).content_type == longest


@pytest.mark.parametrize("key", ["a.txt", "us-east-1:ffff/a.txt", "users/usr_ada/a.txt"])
async def test_an_object_of_nobodys_is_left_alone(key: str) -> None:
    world = World()
    world.store.put(key, stored())
    assert await world.settlement.settle(BUCKET, key) is Outcome.UNOWNED
    assert (world.records.rows, world.store.deletions) == ({}, [])


@pytest.mark.parametrize(
    ("rules", "path", "taken"),
    [
        (AdoptionRules(enabled=False), "a", False),
        (AdoptionRules(skips=["thumbnails/*"]), "thumbnails/a.png", False),
        (AdoptionRules(skips=["thumbnails/*"]), "thumbnails/2030/a.png", False),
        (AdoptionRules(skips=["thumbnails/*"]), "mine/thumbnails/a.png", True),
        (AdoptionRules(skips=["thumbnails/*"]), "Thumbnails/a.png", True),
        (AdoptionRules(skips=["x", "*.tmp"]), "a.tmp", False),
        (AdoptionRules(skips=[]), "a.tmp", True),
    ],
)
async def test_what_the_rules_take(rules: AdoptionRules, path: str, taken: bool) -> None:
    world = World(rules=rules)
    world.store.put(f"{IDENTITY}/{path}", stored())
    outcome = await world.settlement.settle(BUCKET, f"{IDENTITY}/{path}")
    assert outcome is (Outcome.COMPLETED if taken else Outcome.UNOWNED)
    assert bool(world.records.rows) is taken
    assert world.store.holds(f"{IDENTITY}/{path}")


async def test_what_is_over_the_limit_is_rejected_on_arrival() -> None:
    world = World(max_size=4)
    world.store.put(KEY, stored())
    assert await world.settlement.settle(BUCKET, KEY) is Outcome.REJECTED
    assert only(world).status is S.REJECTED
    assert not world.store.holds(KEY)


async def test_a_rejected_object_that_stays_is_not_adopted_again() -> None:
    world = World(max_size=4)
    world.store.put(KEY, stored())
    world.store.delete_failures.append(StoreUnavailableError())
    with pytest.raises(StoreUnavailableError):
        await world.settlement.settle(BUCKET, KEY)
    assert await world.settlement.settle(BUCKET, KEY) is Outcome.STRAY_DELETED
    assert only(world).generation == 0


@pytest.mark.parametrize("status", [S.DELETED, S.REJECTED])
async def test_a_name_may_come_back_in_a_new_generation(status: S) -> None:
    world = World()
    gone = upload(key=KEY, origin=Origin.ADOPTED, status=status, etag="old", generation=3)
    world.records.rows[gone.id] = gone
    world.store.put(KEY, stored(etag="new"))
    assert await world.settlement.settle(BUCKET, KEY) is Outcome.COMPLETED
    newest = await world.records.by_key(BUCKET, KEY)
    assert newest is not None
    assert (newest.status, newest.generation, newest.id == gone.id) == (S.COMPLETED, 4, False)
    assert world.records.rows[gone.id] == gone
    assert world.store.holds(KEY)


async def test_a_deleted_name_may_come_back_with_the_same_bytes() -> None:
    world = World()
    gone = upload(key=KEY, origin=Origin.ADOPTED, status=S.DELETED, etag="one")
    world.records.rows[gone.id] = gone
    world.store.put(KEY, stored())
    assert await world.settlement.settle(BUCKET, KEY) is Outcome.COMPLETED


async def test_a_key_of_ours_never_comes_back() -> None:
    world = World()
    world.records.rows["upl_1"] = upload(status=S.DELETED, etag="one")
    key = world.records.rows["upl_1"].key
    world.store.put(key, stored(etag="late"))
    assert await world.settlement.settle(BUCKET, key) is Outcome.STRAY_DELETED


async def test_an_adoption_is_written_once_in_the_state_that_was_decided() -> None:
    """Nothing is half adopted, whenever the process ends."""
    world = World()
    world.store.put(KEY, stored())
    assert await world.settlement.settle(BUCKET, KEY) is Outcome.COMPLETED
    assert (only(world).status, only(world).etag, only(world).completed_at) == (
        S.COMPLETED,
        "one",
        START,
    )
    assert (only(world).next_look_at, world.records.moves) == (None, [])


async def test_one_that_an_earlier_program_left_half_adopted_is_finished_by_the_sweep() -> None:
    world = World()
    world.store.put(KEY, stored())
    left = upload(key=KEY, status=S.RECEIVED, origin=Origin.ADOPTED, declared_size=None)
    world.records.rows[left.id] = replace(left, next_look_at=START)
    assert await world.sweep().step() == 1
    assert only(world).status is S.COMPLETED


@pytest.mark.parametrize(("others", "fits"), [(0, True), (4, True), (5, False)])
async def test_what_does_not_fit_into_the_quota_is_rejected_and_deleted(
    others: int, fits: bool
) -> None:
    world = World(profiles=[Profile(quota=9)], issue="checked_after_arrival")
    other = upload(status=S.COMPLETED, etag="x", charged=others, next_look_at=None)
    world.records.rows[other.id] = other
    world.store.put(KEY, stored())
    outcome = await world.settlement.settle(BUCKET, KEY)
    (row,) = [row for row in world.records.rows.values() if row is not other]
    assert world.store.holds(KEY) is fits
    if fits:
        assert (outcome, row.status, row.charged) == (Outcome.COMPLETED, S.COMPLETED, 5)
    else:
        assert (outcome, row.status, row.charged) == (Outcome.REJECTED, S.REJECTED, 0)
        assert row.status_reason == "it does not fit into what is left of the quota"
        # From the start: it never counted.
        assert world.records.moves == []


async def test_what_does_not_fit_and_cannot_be_deleted_is_recorded_once() -> None:
    world = World(profiles=[Profile(quota=9)])
    other = upload(status=S.COMPLETED, etag="x", charged=5, next_look_at=None)
    world.records.rows[other.id] = other
    world.store.put(KEY, stored())
    world.store.delete_failures += [StoreRefusedError()] * 5
    for _ in range(5):
        with pytest.raises(StoreRefusedError):
            await world.settlement.settle(BUCKET, KEY)
    (row,) = [row for row in world.records.rows.values() if row is not other]
    assert (row.status, row.charged) == (S.REJECTED, 0)
    assert await world.settlement.settle(BUCKET, KEY) is Outcome.STRAY_DELETED
    assert len(world.records.rows) == 2


async def test_what_fits_again_by_then_is_taken() -> None:
    world = World(profiles=[Profile(quota=9)])
    other = upload(status=S.COMPLETED, etag="x", charged=9, next_look_at=None)
    world.records.rows[other.id] = other
    world.store.put(KEY, stored())
    world.store.delete_failures += [StoreUnavailableError()]
    with pytest.raises(StoreUnavailableError):
        await world.settlement.settle(BUCKET, KEY)
    del world.records.rows[other.id]
    world.clock.advance(121)
    assert await world.settlement.settle(BUCKET, KEY) is Outcome.COMPLETED


async def test_what_another_look_has_refused_already_is_looked_at_anew() -> None:
    world = World(profiles=[Profile(quota=4)])
    world.store.put(KEY, stored())
    add, refused = world.records.add, 0

    async def beaten(record: Upload, **more: Any) -> bool:
        nonlocal refused
        if record.status is S.REJECTED and not refused:
            refused += 1
            await add(replace(record, id="upl_first"), **more)
        return await add(record, **more)

    world.records.add = beaten  # type: ignore[method-assign, assignment]
    assert await world.settlement.settle(BUCKET, KEY) is Outcome.STRAY_DELETED
    assert (only(world).id, only(world).charged) == ("upl_first", 0)
    assert not world.store.holds(KEY)
