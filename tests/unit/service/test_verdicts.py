"""What is quarantined stays so until a verdict, which is given on what was looked at."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from errors import StoreUnavailableError, UploadNotFoundError, UploadStateError
from service.uploads.model import Upload
from service.uploads.model import UploadStatus as S
from service.uploads.verdicts import Verdict
from tests.fakes.clock import START
from tests.fakes.records import upload
from tests.fakes.store import stored
from tests.fakes.uploads import UploadWorld

BOTH = pytest.mark.parametrize("verdict", ["clean", "rejected"])


def quarantined(**changes: Any) -> UploadWorld:
    values = {"status": S.QUARANTINED, "etag": "one", "size": 5, "charged": 5}
    world = UploadWorld(upload(**{**values, "next_look_at": None, **changes}))
    world.store.put(world.row().key, stored())
    return world


async def test_what_is_clean_is_completed() -> None:
    world = quarantined()
    released = await world.verdicts.give("upl_1", "clean", None)
    assert released == world.row()
    assert (released.status, released.completed_at, released.charged) == (S.COMPLETED, START, 5)
    assert world.store.holds(released.key)


@pytest.mark.parametrize(
    ("reason", "said"), [(None, "rejected by a verdict"), ("a virus", "a virus")]
)
async def test_what_is_rejected_is_deleted_and_gives_its_quota_back(
    reason: str | None, said: str
) -> None:
    world = quarantined()
    rejected = await world.verdicts.give("upl_1", "rejected", reason)
    assert (rejected.status, rejected.status_reason, rejected.charged) == (S.REJECTED, said, 0)
    assert world.store.deletions == [(rejected.key, "one")]
    assert not world.store.holds(rejected.key)


@BOTH
async def test_the_same_verdict_twice_is_one(verdict: Verdict) -> None:
    world = quarantined()
    first = await world.verdicts.give("upl_1", verdict, None)
    assert await world.verdicts.give("upl_1", verdict, "again") == first
    assert len(world.records.moves) == 1


async def test_a_verdict_is_not_taken_back() -> None:
    world = quarantined()
    await world.verdicts.give("upl_1", "clean", None)
    with pytest.raises(UploadStateError):
        await world.verdicts.give("upl_1", "rejected", None)
    assert world.store.holds(world.row().key)


@BOTH
@pytest.mark.parametrize(
    "status", [S.PENDING, S.UPLOADING, S.RECEIVED, S.ABORTED, S.EXPIRED, S.DELETED]
)
async def test_there_is_no_verdict_on_anything_else(status: S, verdict: Verdict) -> None:
    world = UploadWorld(upload(status=status))
    with pytest.raises(UploadStateError, match="not quarantined") as caught:
        await world.verdicts.give("upl_1", verdict, None)
    coming = status in (S.PENDING, S.UPLOADING, S.RECEIVED)
    assert caught.value.retry_mode == ("wait" if coming else "fatal")
    assert (world.records.moves, world.store.deletions) == ([], [])


@BOTH
async def test_there_is_none_on_what_there_is_not(verdict: Verdict) -> None:
    with pytest.raises(UploadNotFoundError):
        await UploadWorld().verdicts.give("upl_1", verdict, None)


@pytest.mark.parametrize("now_there", [None, stored(etag="two")])
async def test_what_was_written_again_or_is_gone_is_not_released(now_there: Any) -> None:
    world = quarantined()
    world.store.objects.clear()
    if now_there is not None:
        world.store.put(world.row().key, now_there)
    with pytest.raises(UploadStateError, match="not the one that was verified"):
        await world.verdicts.give("upl_1", "clean", None)
    assert world.row().status is S.QUARANTINED


@BOTH
async def test_a_race_that_is_lost_is_said(verdict: Verdict) -> None:
    world = quarantined()
    world.records.lost_races = 1
    with pytest.raises(UploadStateError):
        await world.verdicts.give("upl_1", verdict, None)
    assert (world.row().status, world.store.deletions) == (S.QUARANTINED, [])


async def test_what_could_not_be_deleted_now_the_sweep_deletes() -> None:
    world = quarantined(looks=9)
    world.store.delete_failures = [StoreUnavailableError()]
    with pytest.raises(StoreUnavailableError):
        await world.verdicts.give("upl_1", "rejected", None)
    assert (world.row().status, world.row().looks) == (S.REJECTED, 0)
    await world.sweep().step()
    assert not world.store.holds(world.row().key)


async def test_another_object_in_its_place_is_deleted_by_the_sweep_as_well() -> None:
    world = quarantined()
    world.store.before_delete = stored(etag="two")
    await world.verdicts.give("upl_1", "rejected", None)
    await world.sweep().step()
    assert not world.store.holds(world.row().key)


@BOTH
async def test_one_that_was_completed_before_is_replaced_by_what_is_released(
    verdict: Verdict,
) -> None:
    world = UploadWorld(upload(status=S.QUARANTINED, etag="one", completed_at=START))
    world.store.put(world.row().key, stored(etag="one"))
    given = await world.verdicts.give("upl_1", verdict, None)
    assert given.status is (S.REPLACED if verdict == "clean" else S.REJECTED)
    assert given.completed_at == START
    assert await world.verdicts.give("upl_1", verdict, None) == given


@BOTH
async def test_a_verdict_on_other_bytes_is_none(verdict: Verdict) -> None:
    world = quarantined()
    with pytest.raises(UploadStateError, match="not the one that was looked at") as caught:
        await world.verdicts.give("upl_1", verdict, None, etag="of before")
    assert caught.value.retry_mode == "fatal"
    assert (world.row().status, world.store.deletions) == (S.QUARANTINED, [])
    given = await world.verdicts.give("upl_1", verdict, None, etag="one")
    assert await world.verdicts.give("upl_1", verdict, None, etag="one") == given


async def test_a_verdict_that_is_repeated_does_not_release_what_was_written_since() -> None:
    """Its answer was lost, the user wrote again, and the scanner asks again."""
    world = UploadWorld(upload(status=S.QUARANTINED, etag="two", completed_at=START))
    world.store.put(world.row().key, stored(etag="two"))
    with pytest.raises(UploadStateError):
        await world.verdicts.give("upl_1", "clean", None, etag="one")
    assert world.row().status is S.QUARANTINED


@BOTH
async def test_the_same_verdict_twice_at_once_is_one(verdict: Verdict) -> None:
    world = quarantined()
    get = world.records.get

    async def together(upload_id: str) -> Upload | None:
        found = await get(upload_id)
        await asyncio.sleep(0)
        return found

    world.records.get = together  # type: ignore[method-assign]
    with capture_logs() as lines:
        first, second = await asyncio.gather(
            *(world.verdicts.give("upl_1", verdict, None) for _ in range(2))
        )
    assert first == second
    assert len(world.records.moves) == 1
    assert [line["event"] for line in lines] == [f"upload.{first.status}"]


async def test_a_verdict_is_not_the_same_where_other_bytes_have_it() -> None:
    world = UploadWorld(upload(status=S.COMPLETED, etag="two"))
    with pytest.raises(UploadStateError, match="not the one that was looked at"):
        await world.verdicts.give("upl_1", "clean", None, etag="one")


async def test_a_verdict_does_not_count_for_what_has_come_while_it_was_given() -> None:
    """It was released by another verdict and written again, all of it since the first look."""
    world = quarantined()
    head = world.store.head

    async def moves(bucket: str, key: str) -> Any:
        world.records.rows["upl_1"] = upload(status=S.REPLACED, etag="two")
        return await head(bucket, key)

    world.store.head = moves  # type: ignore[method-assign]
    with pytest.raises(UploadStateError, match="moved on meanwhile"):
        await world.verdicts.give("upl_1", "clean", None)
