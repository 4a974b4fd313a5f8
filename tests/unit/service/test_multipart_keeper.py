"""One multipart a record, whatever happens at once, and nothing left behind."""

import asyncio

import pytest

from errors import (
    StoreUnavailableError,
    UploadEndedError,
    UploadNotFoundError,
    UploadStateError,
)
from service.uploads.model import UploadStatus as S
from tests.fakes.eventually import eventually
from tests.fakes.records import BUCKET
from tests.fakes.uploads import UploadWorld, in_parts

BARE = in_parts(multipart_id=None)


async def test_a_multipart_is_made_once_and_written_down() -> None:
    world = UploadWorld(BARE)
    made = await world.keeper.ensured(BARE)
    assert made.multipart_id == "mp_1"
    assert world.row() == made
    assert await world.keeper.ensured(made) == made
    assert world.multiparts.calls["create"] == 1


async def test_it_carries_our_id_and_the_type_and_the_algorithm() -> None:
    bare = in_parts(multipart_id=None, part_checksum="CRC64NVME", content_type="video/mp4")
    world = UploadWorld(bare)
    await world.keeper.ensured(bare)
    (made,) = world.multiparts.under_way.values()
    assert (made.bucket, made.key) == (BUCKET, bare.key)
    assert (made.upload_id, made.content_type, made.algorithm) == (
        "upl_1",
        "video/mp4",
        "CRC64NVME",
    )


async def test_of_many_who_come_at_once_all_get_the_same_and_the_others_are_aborted() -> None:
    world = UploadWorld(BARE)
    world.multiparts.hold = asyncio.Event()
    asked = [asyncio.create_task(world.keeper.ensured(BARE)) for _ in range(8)]
    await eventually(lambda: world.multiparts.calls["create"] == 8)
    world.multiparts.hold.set()
    found = {made.multipart_id for made in await asyncio.gather(*asked)}
    assert found == {world.row().multipart_id} == set(world.multiparts.under_way)


async def test_one_too_many_that_cannot_be_aborted_now_spoils_nothing() -> None:
    world = UploadWorld(in_parts())
    world.multiparts.failures["abort"] = [StoreUnavailableError()]
    assert (await world.keeper.ensured(BARE)).multipart_id == "mp_1"


@pytest.mark.parametrize("status", [S.ABORTED, S.EXPIRED, S.REJECTED])
async def test_an_upload_that_ended_meanwhile_gets_none(status: S) -> None:
    world = UploadWorld(in_parts(multipart_id=None, status=status))
    with pytest.raises(UploadEndedError):
        await world.keeper.ensured(BARE)
    assert world.multiparts.under_way == {}


async def test_an_upload_that_moved_on_otherwise_is_said() -> None:
    world = UploadWorld(in_parts(multipart_id=None, status=S.PENDING))
    with pytest.raises(UploadStateError):
        await world.keeper.ensured(BARE)
    assert world.multiparts.under_way == {}


async def test_an_upload_that_is_gone_is_not_found() -> None:
    world = UploadWorld(BARE)
    world.records.lost_amendments = 1
    kept = world.records.get

    async def gone(upload_id: str) -> None:
        await kept(upload_id)

    world.records.get = gone  # type: ignore[method-assign]
    with pytest.raises(UploadNotFoundError):
        await world.keeper.ensured(BARE)


async def test_a_store_that_is_away_leaves_the_record_as_it_is() -> None:
    world = UploadWorld(BARE)
    world.multiparts.failures["create"] = [StoreUnavailableError()]
    with pytest.raises(StoreUnavailableError):
        await world.keeper.ensured(BARE)
    assert world.row() == BARE
    assert (await world.keeper.ensured(BARE)).multipart_id == "mp_1"


async def test_what_the_store_has_dropped_is_made_anew_when_asked_for() -> None:
    world = UploadWorld(in_parts())
    world.multiparts.under_way.clear()
    await world.keeper.forgotten(world.row())
    assert world.row().multipart_id is None
    assert (await world.keeper.ensured(world.row())).multipart_id == "mp_2"


async def test_what_was_made_anew_meanwhile_is_not_forgotten() -> None:
    world = UploadWorld(in_parts(multipart_id="mp_2"))
    await world.keeper.forgotten(in_parts(multipart_id="mp_1"))
    assert world.row().multipart_id == "mp_2"


async def test_all_multiparts_of_the_key_are_cleared_and_no_others() -> None:
    world = UploadWorld(in_parts(status=S.ABORTED))
    world.multiparts.begin(world.row().key)
    other = world.multiparts.begin(world.row().key + "x")
    await world.keeper.clear(world.row())
    assert list(world.multiparts.under_way) == [other]
    assert world.row().multipart_id is None


async def test_one_that_the_store_does_not_list_yet_is_cleared_all_the_same() -> None:
    world = UploadWorld(in_parts(status=S.ABORTED))

    async def none(_bucket: str, _key: str) -> list[str]:
        return []

    world.multiparts.of_key = none  # type: ignore[method-assign, assignment]
    await world.keeper.clear(world.row())
    assert world.multiparts.under_way == {}


@pytest.mark.parametrize("call", ["of_key", "abort"])
async def test_what_could_not_be_cleared_is_still_written_down(call: str) -> None:
    world = UploadWorld(in_parts(status=S.ABORTED))
    failures = [StoreUnavailableError(), StoreUnavailableError()]
    world.multiparts.failures[call] = list(failures)
    with pytest.raises(StoreUnavailableError):
        await world.keeper.clear(world.row())
    await world.keeper.try_to_clear(world.row())
    assert world.row().multipart_id == "mp_1"
    await world.keeper.clear(world.row())
    assert (world.row().multipart_id, world.multiparts.under_way) == (None, {})
