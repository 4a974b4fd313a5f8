"""From every state of the record and every thing found at the store to the record's true state."""

from typing import Any

import pytest

from errors import StoreUnavailableError, UnavailableError
from service.completion.settlement import Outcome
from service.uploads.model import Checksum, Upload
from service.uploads.model import UploadStatus as S
from service.uploads.ports import StoredObject
from service.uploads.transitions import ENDED, IN_FLIGHT
from tests.fakes.clock import START
from tests.fakes.completion import World
from tests.fakes.records import BUCKET, upload
from tests.fakes.store import stored

KEY = upload().key
VERIFIED = (S.COMPLETED, S.QUARANTINED, S.REPLACED)
WANTED = Checksum("CRC32", "AAAAAA==")


def world(status: S, found: StoredObject | None, *, limit: int | None = None, **more: Any) -> World:
    made = World(max_size=limit)
    etag = None if status in IN_FLIGHT else "one"
    made.records.rows["upl_1"] = upload(status=status, etag=etag, **more)
    if found is not None:
        made.store.put(KEY, found)
    return made


async def settled(made: World) -> tuple[Outcome, Upload]:
    outcome = await made.settlement.settle(BUCKET, KEY)
    return outcome, made.records.rows["upl_1"]


@pytest.mark.parametrize("status", S)
async def test_nothing_at_the_store_changes_nothing(status: S) -> None:
    made = world(status, None)
    before = made.records.rows["upl_1"]
    assert await settled(made) == (Outcome.ABSENT, before)


@pytest.mark.parametrize("status", [*IN_FLIGHT, S.RECEIVED])
async def test_what_arrived_as_announced_is_completed_and_pinned(status: S) -> None:
    found = stored(version_id="v1", checksum=WANTED)
    outcome, record = await settled(world(status, found, declared_checksum=WANTED))
    assert (outcome, record.status, record.status_reason) == (Outcome.COMPLETED, S.COMPLETED, None)
    assert (record.size, record.etag, record.version_id) == (5, "one", "v1")
    assert record.checksum == WANTED
    assert (record.completed_at, record.next_look_at) == (START, None)


@pytest.mark.parametrize("status", [*IN_FLIGHT, S.RECEIVED])
@pytest.mark.parametrize(
    ("found", "limit", "reason"),
    [
        (stored(size=4), None, "5 bytes were announced, 4 arrived"),
        (stored(size=6), None, "5 bytes were announced, 6 arrived"),
        (stored(), 4, "more than the 4 bytes allowed"),
        (stored(checksum=Checksum("CRC32", "AAAAAQ==")), None, "the CRC32 checksum differs"),
    ],
)
async def test_what_is_not_as_announced_is_rejected_and_deleted(
    status: S, found: StoredObject, limit: int | None, reason: str
) -> None:
    made = world(status, found, limit=limit, declared_checksum=WANTED)
    outcome, record = await settled(made)
    assert (outcome, record.status, record.status_reason) == (Outcome.REJECTED, S.REJECTED, reason)
    assert made.store.deletions == [(KEY, "one")]
    assert not made.store.holds(KEY)


@pytest.mark.parametrize("checksum", [None, Checksum("CRC64NVME", "AAAAAAAAAAA=")])
async def test_a_checksum_that_cannot_be_compared_is_said(checksum: Checksum | None) -> None:
    found = stored(checksum=checksum)
    outcome, record = await settled(world(S.PENDING, found, declared_checksum=WANTED))
    assert outcome is Outcome.COMPLETED
    assert record.status_reason == "the store holds no such checksum to compare"


@pytest.mark.parametrize("status", sorted(VERIFIED))
async def test_the_same_object_again_changes_nothing(status: S) -> None:
    made = world(status, stored(), next_look_at=None)
    before = made.records.rows["upl_1"]
    assert await settled(made) == (Outcome.UNCHANGED, before)
    assert made.store.holds(KEY)


@pytest.mark.parametrize("status", [S.COMPLETED, S.REPLACED])
async def test_another_object_replaces_and_is_verified_anew(status: S) -> None:
    outcome, record = await settled(world(status, stored(etag="two", version_id="v2")))
    assert (outcome, record.status) == (Outcome.REPLACED, S.REPLACED)
    assert (record.etag, record.version_id) == ("two", "v2")
    assert record.status_reason is not None
    assert record.next_look_at is None


@pytest.mark.parametrize("status", [S.COMPLETED, S.REPLACED])
async def test_a_replacement_that_is_not_as_announced_is_rejected(status: S) -> None:
    made = world(status, stored(etag="two", size=6))
    outcome, record = await settled(made)
    assert (outcome, record.status, record.etag) == (Outcome.REJECTED, S.REJECTED, "two")
    assert not made.store.holds(KEY)


async def test_a_replacement_is_verified_even_if_the_first_try_broke_off() -> None:
    made = world(S.COMPLETED, stored(etag="two", size=6))
    made.records.failing[S.REJECTED] = UnavailableError()
    with pytest.raises(UnavailableError):
        await settled(made)
    assert (await settled(made))[1].status is S.REJECTED
    assert not made.store.holds(KEY)


@pytest.mark.parametrize("status", sorted(ENDED))
async def test_bytes_that_come_after_the_end_are_deleted(status: S) -> None:
    made = world(status, stored(etag="late"))
    outcome, record = await settled(made)
    assert (outcome, record.status) == (Outcome.STRAY_DELETED, status)
    assert made.store.deletions == [(KEY, "late")]
    assert not made.store.holds(KEY)


async def test_a_rejected_object_that_could_not_be_deleted_is_deleted_next_time() -> None:
    made = world(S.PENDING, stored(size=6))
    made.store.delete_failures.append(StoreUnavailableError())
    with pytest.raises(StoreUnavailableError):
        await settled(made)
    assert made.records.rows["upl_1"].next_look_at == START
    assert (await settled(made))[0] is Outcome.STRAY_DELETED
    assert not made.store.holds(KEY)


async def test_a_store_that_is_away_changes_nothing() -> None:
    made = world(S.PENDING, stored())
    made.store.failures.append(StoreUnavailableError())
    with pytest.raises(StoreUnavailableError):
        await settled(made)
    assert made.records.moves == []
