"""Announcing uploads: what is checked, what is reserved, and in which order things happen."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from errors import (
    ContentTypeRefusedError,
    IdempotencyInFlightError,
    IdempotencyKeyReusedError,
    InternalError,
    PolicyError,
    QuotaExceededError,
    StoreUnavailableError,
    TooManyUploadsError,
    UnknownProfileError,
    UploadNotFoundError,
    UploadTooLargeError,
)
from service.uploads.creation import NewUpload
from service.uploads.model import Checksum, Origin, Transport
from service.uploads.model import UploadStatus as S
from service.uploads.plan import MIB
from service.uploads.policy import Profile
from tests.fakes.clock import START
from tests.fakes.eventually import eventually
from tests.fakes.records import BUCKET, IDENTITY, upload
from tests.fakes.uploads import ADA, EVE, LIFE, PART, THREE_PARTS, UploadWorld


def new(**changes: Any) -> NewUpload:
    values: dict[str, Any] = {"filename": "né.txt", "size": 5, "content_type": "text/plain"}
    return NewUpload(**{**values, **changes})


LARGE = new(size=THREE_PARTS)


async def test_an_announced_upload_is_recorded() -> None:
    world = UploadWorld()
    crc = Checksum("CRC32", "AAAAAA==")
    made = await world.creation.create(
        ADA, new(checksum=crc, metadata={"a": "b"}, fingerprint="f", transport="presigned")
    )
    assert world.records.rows == {made.id: made}
    assert (made.status, made.origin, made.profile) == (S.PENDING, Origin.API, "default")
    assert (made.user_id, made.bucket) == (ADA, BUCKET)
    assert made.key == f"{IDENTITY}/{made.id}/ne.txt"
    assert (made.filename, made.declared_size, made.size) == ("né.txt", 5, None)
    assert (made.declared_checksum, made.checksum) == (crc, None)
    assert (made.metadata, made.fingerprint) == ({"a": "b"}, "f")
    assert (made.created_at, made.expires_at) == (START, START + LIFE)
    assert made.next_look_at == START + timedelta(seconds=30)
    assert (made.transport, made.transport_reason) == (Transport.PRESIGNED, "requested")
    assert made.charged == 5


async def test_two_uploads_of_one_name_have_two_keys() -> None:
    world = UploadWorld()
    first, second = [await world.creation.create(ADA, new()) for _ in range(2)]
    assert first.key != second.key


async def test_a_key_is_made_by_its_profiles_template() -> None:
    world = UploadWorld(profiles=[Profile(key_template="{year}/{upload_id}{extension}")])
    made = await world.creation.create(ADA, new())
    assert made.key == f"{IDENTITY}/2030/{made.id}.txt"


async def test_what_goes_in_one_put_has_no_multipart() -> None:
    world = UploadWorld()
    made = await world.creation.create(ADA, new(size=PART, checksum=Checksum("CRC32", "AAAAAA==")))
    assert (made.part_size, made.part_count, made.multipart_id) == (None, None, None)
    # Of the object, not of parts that there are not.
    assert made.part_checksum is None
    assert world.multiparts.calls == {}


async def test_the_record_comes_first_and_then_the_multipart() -> None:
    world = UploadWorld()
    world.multiparts.hold = asyncio.Event()
    asked = asyncio.create_task(world.creation.create(ADA, LARGE))
    await eventually(lambda: world.multiparts.calls["create"] == 1)
    (before,) = world.records.rows.values()
    assert (before.status, before.multipart_id) == (S.PENDING, None)
    world.multiparts.hold.set()
    made = await asked
    assert (made.id, made.multipart_id) == (before.id, "mp_1")
    assert (made.part_size, made.part_count, made.part_checksum) == (PART, 3, None)


async def test_a_checksum_of_the_whole_is_one_of_the_parts_too() -> None:
    world = UploadWorld()
    crc = Checksum("CRC64NVME", "AAAAAAAAAAA=")
    made = await world.creation.create(ADA, new(size=THREE_PARTS, checksum=crc))
    assert made.part_checksum == "CRC64NVME"
    assert world.multiparts.under_way["mp_1"].algorithm == "CRC64NVME"


async def test_a_record_of_which_nobody_hears_is_not_left_behind() -> None:
    world = UploadWorld(profiles=[Profile(quota=THREE_PARTS)])
    world.multiparts.failures["create"] = [StoreUnavailableError()]
    with pytest.raises(StoreUnavailableError):
        await world.creation.create(ADA, LARGE)
    (left,) = world.records.rows.values()
    assert (left.status, left.charged) == (S.ABORTED, 0)
    # In case that it was made and only the answer was lost.
    assert left.next_look_at is not None
    await world.creation.create(ADA, LARGE)


REFUSED = pytest.mark.parametrize(
    ("changes", "refused", "profile"),
    [
        ({"profile": "nothing"}, UnknownProfileError, Profile()),
        ({"size": 11}, UploadTooLargeError, Profile(max_size=10)),
        ({"content_type": "a/b"}, ContentTypeRefusedError, Profile(content_types=("image/*",))),
        ({"filename": "a.exe"}, ContentTypeRefusedError, Profile(extensions=("png",))),
        ({"transport": "credentials"}, PolicyError, Profile(max_size=10)),
        ({"size": 11}, QuotaExceededError, Profile(quota=10)),
        ({"size": 11, "transport": "relay"}, QuotaExceededError, Profile(quota=10)),
    ],
)


@REFUSED
async def test_what_is_refused_leaves_nothing(
    changes: dict[str, Any], refused: type[Exception], profile: Profile
) -> None:
    world = UploadWorld(profiles=[profile])
    with pytest.raises(refused):
        await world.creation.create(ADA, new(**changes))
    assert world.records.rows == {}
    assert world.folders.asked == 0
    assert world.multiparts.calls == {}


@REFUSED
async def test_what_is_refused_leaves_its_idempotency_key_free(
    changes: dict[str, Any], refused: type[Exception], profile: Profile
) -> None:
    world = UploadWorld(profiles=[profile])
    for _ in range(2):
        with pytest.raises(refused):
            await world.creation.create(ADA, new(**changes), idempotency_key="k")
    assert world.keys.rows == {}


async def test_a_quota_holds_what_it_holds() -> None:
    world = UploadWorld(profiles=[Profile(quota=12), Profile(name="other", quota=5)])
    for _ in range(2):
        await world.creation.create(ADA, new())
    with pytest.raises(QuotaExceededError, match="2 of 12 bytes are left"):
        await world.creation.create(ADA, new())
    await world.creation.create(ADA, new(size=2))
    # Of one user and one profile alone.
    await world.creation.create(EVE, new())
    await world.creation.create(ADA, new(profile="other"))


async def test_only_so_many_may_be_in_flight() -> None:
    world = UploadWorld(profiles=[Profile(max_in_flight=1)])
    first = await world.creation.create(ADA, new())
    with pytest.raises(TooManyUploadsError):
        await world.creation.create(ADA, new())
    await world.uploads.delete(ADA, first.id)
    await world.creation.create(ADA, new())


@pytest.mark.parametrize(
    ("profile", "reserved"),
    [
        (Profile(max_size=100), 100),
        (Profile(quota=70), 70),
        (Profile(max_size=100, quota=70), 70),
        (Profile(), 0),
    ],
)
async def test_a_size_that_nobody_knows_reserves_the_maximum(
    profile: Profile, reserved: int
) -> None:
    world = UploadWorld(profiles=[profile])
    made = await world.creation.create(ADA, new(size=None, own_parts=True))
    assert (made.declared_size, made.charged) == (None, reserved)
    assert (made.part_size, made.part_count, made.multipart_id) == (None, None, "mp_1")


async def test_a_client_with_parts_of_its_own_gets_a_multipart_without_a_plan() -> None:
    world = UploadWorld()
    made = await world.creation.create(ADA, new(size=MIB, own_parts=True))
    assert (made.part_size, made.part_count, made.multipart_id) == (None, None, "mp_1")
    assert made.charged == MIB


class TestUnderAnIdempotencyKey:
    async def test_the_same_request_twice_makes_one_upload(self) -> None:
        world = UploadWorld()
        asked = [await world.creation.create(ADA, LARGE, idempotency_key="k") for _ in range(3)]
        assert [made.id for made in asked] == [asked[0].id] * 3
        assert len(world.records.rows) == world.multiparts.calls["create"] == 1

    async def test_another_request_is_refused(self) -> None:
        world = UploadWorld()
        await world.creation.create(ADA, new(), idempotency_key="k")
        for other in (new(size=6), new(filename="b"), new(metadata={"a": "b"}), new(profile="x")):
            with pytest.raises(IdempotencyKeyReusedError):
                await world.creation.create(ADA, other, idempotency_key="k")
        assert len(world.records.rows) == 1

    async def test_keys_are_each_users_own(self) -> None:
        world = UploadWorld()
        for user_id in (ADA, EVE):
            await world.creation.create(user_id, new(), idempotency_key="k")
        assert len(world.records.rows) == 2

    async def test_the_order_of_metadata_makes_no_other_request(self) -> None:
        world = UploadWorld()
        for metadata in ({"a": "1", "b": "2"}, {"b": "2", "a": "1"}):
            await world.creation.create(ADA, new(metadata=metadata), idempotency_key="k")
        assert len(world.records.rows) == 1

    async def test_who_comes_while_the_multipart_is_made_goes_on_with_the_same_record(self) -> None:
        world = UploadWorld()
        world.multiparts.hold = asyncio.Event()
        first = asyncio.create_task(world.creation.create(ADA, LARGE, idempotency_key="k"))
        await eventually(lambda: world.multiparts.calls["create"] == 1)
        # Both make a multipart then; one of them stays.
        second = asyncio.create_task(world.creation.create(ADA, LARGE, idempotency_key="k"))
        await eventually(lambda: world.multiparts.calls["create"] == 2)
        world.multiparts.hold.set()
        assert (await first).id == (await second).id
        assert len(world.records.rows) == len(world.multiparts.under_way) == 1

    async def test_a_request_in_flight_is_told_and_its_death_frees_the_key(self) -> None:
        world = UploadWorld(profiles=[Profile(quota=5)])
        asking = asyncio.Event()

        async def hangs(_: str) -> str:
            asking.set()
            await asyncio.Event().wait()
            raise AssertionError

        known = world.folders.known_folder_of
        world.folders.known_folder_of = hangs  # type: ignore[method-assign, assignment]
        first = asyncio.create_task(world.creation.create(ADA, new(), idempotency_key="k"))
        await asking.wait()
        with pytest.raises(IdempotencyInFlightError):
            await world.creation.create(ADA, new(), idempotency_key="k")
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        world.folders.known_folder_of = known  # type: ignore[method-assign]
        await world.creation.create(ADA, new(), idempotency_key="k")

    async def test_a_replica_that_died_holds_the_key_no_longer_than_its_lease(self) -> None:
        world = UploadWorld()
        kept = world.keys.release

        async def dies(_: Any) -> None:
            raise SystemError

        world.keys.release = dies  # type: ignore[method-assign, assignment]
        with pytest.raises(SystemError):
            await world.creation.create(ADA, new(profile="nothing"), idempotency_key="k")
        world.keys.release = kept  # type: ignore[method-assign]
        with pytest.raises(IdempotencyInFlightError):
            await world.creation.create(ADA, new(profile="nothing"), idempotency_key="k")
        world.clock.advance(61)
        with pytest.raises(UnknownProfileError):
            await world.creation.create(ADA, new(profile="nothing"), idempotency_key="k")

    async def test_a_store_that_was_away_costs_no_second_record(self) -> None:
        world = UploadWorld(profiles=[Profile(quota=THREE_PARTS)])
        world.multiparts.failures["create"] = [StoreUnavailableError(), StoreUnavailableError()]
        for _ in range(2):
            with pytest.raises(StoreUnavailableError):
                await world.creation.create(ADA, LARGE, idempotency_key="k")
        (kept,) = world.records.rows.values()
        assert (kept.status, kept.charged) == (S.PENDING, THREE_PARTS)
        made = await world.creation.create(ADA, LARGE, idempotency_key="k")
        assert (made.id, made.multipart_id) == (kept.id, "mp_1")

    async def test_an_upload_that_has_ended_meanwhile_is_answered_as_it_is(self) -> None:
        world = UploadWorld()
        made = await world.creation.create(ADA, LARGE, idempotency_key="k")
        await world.uploads.delete(ADA, made.id)
        again = await world.creation.create(ADA, LARGE, idempotency_key="k")
        assert (again.id, again.status) == (made.id, S.ABORTED)
        assert world.multiparts.under_way == {}

    async def test_an_upload_that_is_there_no_more_is_not_found(self) -> None:
        world = UploadWorld()
        made = await world.creation.create(ADA, new(), idempotency_key="k")
        world.records.rows = {made.id: upload(id=made.id, user_id=EVE)}
        with pytest.raises(UploadNotFoundError):
            await world.creation.create(ADA, new(), idempotency_key="k")


@pytest.mark.parametrize(
    ("ends_in", "expires_in"),
    [(None, LIFE), (timedelta(minutes=1), timedelta(minutes=1)), (2 * LIFE, LIFE)],
)
async def test_an_upload_may_have_to_end_sooner(
    ends_in: timedelta | None, expires_in: timedelta
) -> None:
    ends_by = None if ends_in is None else START + ends_in
    made = await UploadWorld().creation.create(ADA, new(ends_by=ends_by))
    assert made.expires_at == START + expires_in


async def test_an_end_under_a_key_is_part_of_what_was_asked() -> None:
    world = UploadWorld()
    asked = new(ends_by=START + timedelta(minutes=1))
    first = await world.creation.create(ADA, asked, idempotency_key="k")
    assert await world.creation.create(ADA, asked, idempotency_key="k") == first
    with pytest.raises(IdempotencyKeyReusedError):
        await world.creation.create(ADA, new(), idempotency_key="k")


@pytest.mark.parametrize("key", [None, "k"])
async def test_a_record_that_could_not_be_added_is_never_told_as_made(key: str | None) -> None:
    world = UploadWorld()
    add = world.records.add

    async def taken(*_: Any, **__: Any) -> bool:
        return False

    world.records.add = taken  # type: ignore[method-assign]
    with pytest.raises(InternalError):
        await world.creation.create(ADA, LARGE, idempotency_key=key)
    assert (world.records.rows, world.multiparts.calls) == ({}, {})
    world.records.add = add  # type: ignore[method-assign]
    await world.creation.create(ADA, LARGE, idempotency_key=key)
