from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from errors import StoreUnavailableError, UploadNotFoundError, UploadStateError
from service.uploads.model import Upload
from service.uploads.model import UploadStatus as S
from tests.fakes.clock import START
from tests.fakes.records import upload
from tests.fakes.store import stored
from tests.fakes.uploads import UploadWorld, in_parts

KEY = upload().key


class House(UploadWorld):
    def __init__(self, status: S) -> None:
        etag = None if status in (S.PENDING, S.UPLOADING) else "one"
        super().__init__(upload(status=status, etag=etag, next_look_at=None))

    async def delete(self, user_id: str = "usr_ada") -> S:
        return (await self.uploads.delete(user_id, "upl_1")).status

    @property
    def status(self) -> S:
        return self.row().status


@pytest.mark.parametrize("status", [S.PENDING, S.UPLOADING])
async def test_an_upload_in_flight_is_aborted_and_its_place_watched(status: S) -> None:
    house = House(status)
    assert await house.delete() is S.ABORTED
    assert house.store.deletions == []
    assert house.records.rows["upl_1"].next_look_at == START + timedelta(seconds=30)


@pytest.mark.parametrize("status", [S.QUARANTINED, S.COMPLETED, S.REPLACED])
async def test_what_has_arrived_is_deleted_at_the_store_and_in_the_record(status: S) -> None:
    house = House(status)
    house.store.put(KEY, stored())
    assert await house.delete() is S.DELETED
    assert house.store.deletions == [(KEY, "one")]
    assert not house.store.holds(KEY)


async def test_an_object_that_is_gone_already_is_no_obstacle() -> None:
    assert await House(S.COMPLETED).delete() is S.DELETED


async def test_what_is_being_verified_must_wait() -> None:
    house = House(S.RECEIVED)
    with pytest.raises(UploadStateError):
        await house.delete()
    assert house.store.deletions == []


@pytest.mark.parametrize("status", [S.REJECTED, S.ABORTED, S.EXPIRED, S.DELETED])
async def test_what_has_ended_stays_as_it_is(status: S) -> None:
    house = House(status)
    assert await house.delete() is status
    assert (house.records.moves, house.store.deletions) == ([], [])


@pytest.mark.parametrize("status", S)
async def test_another_users_upload_does_not_exist(status: S) -> None:
    house = House(status)
    with pytest.raises(UploadNotFoundError):
        await house.delete("usr_eve")
    assert (house.status, house.store.deletions) == (status, [])


async def test_the_record_stays_when_the_store_fails_and_asking_again_mends_it() -> None:
    house = House(S.COMPLETED)
    house.store.put(KEY, stored())
    house.store.delete_failures.append(StoreUnavailableError())
    with pytest.raises(StoreUnavailableError):
        await house.delete()
    assert house.status is S.COMPLETED
    assert await house.delete() is S.DELETED


async def test_an_object_written_again_meanwhile_is_left_alone() -> None:
    house = House(S.COMPLETED)
    house.store.put(KEY, stored(etag="two"))
    with pytest.raises(UploadStateError):
        await house.delete()
    assert house.status is S.COMPLETED
    assert house.store.holds(KEY)


@pytest.mark.parametrize(("status", "races"), [(S.PENDING, 1), (S.COMPLETED, 2)])
async def test_a_record_that_moved_on_meanwhile_is_said(status: S, races: int) -> None:
    house = House(status)
    house.records.lost_races = races
    with pytest.raises(UploadStateError):
        await house.delete()
    assert house.status is status


async def test_one_whose_object_is_gone_is_deleted_though_it_moved_on_meanwhile() -> None:
    house = House(S.COMPLETED)
    house.records.lost_races = 1
    assert await house.delete() is S.DELETED


@pytest.mark.parametrize(
    ("meanwhile", "ends"),
    [
        (upload(status=S.COMPLETED, etag="one"), S.DELETED),  # a verdict released it
        (upload(status=S.REJECTED, etag="one"), S.REJECTED),  # or rejected it
        (upload(status=S.DELETED, etag="one"), S.DELETED),  # the user asked twice at once
        (upload(status=S.REPLACED, etag="two"), None),  # and other bytes stand there now
    ],
)
async def test_what_becomes_of_it_while_its_object_is_deleted(
    meanwhile: Upload, ends: S | None
) -> None:
    house = House(S.QUARANTINED)
    house.store.put(KEY, stored())
    delete = house.store.delete

    async def moves(bucket: str, key: str, *, etag: str | None) -> bool:
        house.records.rows["upl_1"] = meanwhile
        return await delete(bucket, key, etag=etag)

    house.store.delete = moves  # type: ignore[method-assign]
    if ends is None:
        with pytest.raises(UploadStateError):
            await house.delete()
        assert house.row() == meanwhile
    else:
        assert await house.delete() is ends


@pytest.mark.parametrize("status", [S.PENDING, S.UPLOADING])
async def test_what_was_sent_of_an_aborted_upload_is_cleared_away(status: S) -> None:
    world = UploadWorld(in_parts(status=status))
    world.send(1, 2)
    aborted = await world.uploads.delete("usr_ada", "upl_1")
    assert (aborted.status, aborted.charged) == (S.ABORTED, 0)
    assert (world.multiparts.under_way, world.row().multipart_id) == ({}, None)


async def test_an_abort_counts_though_the_store_is_away_and_the_sweep_clears_up() -> None:
    world = UploadWorld(in_parts())
    world.multiparts.failures["of_key"] = [StoreUnavailableError()]
    assert (await world.uploads.delete("usr_ada", "upl_1")).status is S.ABORTED
    assert list(world.multiparts.under_way) == ["mp_1"]
    world.clock.advance(30)
    await world.sweep().step()
    assert world.multiparts.under_way == {}


async def test_an_abort_that_lost_its_race_clears_nothing() -> None:
    world = UploadWorld(in_parts())
    world.records.lost_races = 1
    with pytest.raises(UploadStateError):
        await world.uploads.delete("usr_ada", "upl_1")
    assert list(world.multiparts.under_way) == ["mp_1"]


async def test_what_is_deleted_gives_its_quota_back() -> None:
    house = House(S.COMPLETED)
    house.records.rows["upl_1"] = upload(status=S.COMPLETED, etag="one", charged=5)
    await house.delete()
    assert house.row().charged == 0


@pytest.mark.parametrize("status", [S.PENDING, S.COMPLETED])
async def test_the_log_says_what_the_user_has_ended(status: S) -> None:
    house = House(status)
    house.store.put(KEY, stored())
    with capture_logs() as lines:
        ended = await house.delete()
        await house.delete()
    assert [(line["event"], line["upload_id"], line["by"]) for line in lines] == [
        (f"upload.{ended}", "upl_1", "user")
    ]
