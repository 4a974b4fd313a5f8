"""Multiparts whose parts the client plans."""

from typing import Any

import pytest

from errors import (
    InvalidPartError,
    MultipartGoneError,
    PolicyError,
    StoreUnavailableError,
    UploadEndedError,
    UploadIncompleteError,
    UploadRejectedError,
    UploadStateError,
)
from service.uploads.model import Checksum, Transport, Upload, UploadStatus
from service.uploads.own_parts import OwnParts
from service.uploads.plan import MIB
from service.uploads.policy import Profile
from tests.fakes.clock import START
from tests.fakes.records import upload
from tests.fakes.uploads import UploadWorld, in_parts

SMALLEST = 5 * MIB
SIZE = 2 * SMALLEST + 7


class World(UploadWorld):
    @property
    def own_parts(self) -> OwnParts:
        return OwnParts(
            records=self.records,
            multiparts=self.multiparts,
            keeper=self.keeper,
            transfers=self.transfers,
            completing=self.completing,
            uploads=self.uploads,
            clock=self.clock,
        )

    def arrive(self, *sizes: int) -> dict[int, str]:
        """The ETags by part number, as a client would have noted them."""
        for number, size in enumerate(sizes, 1):
            self.multiparts.put("mp_1", number, size)
        return {number: f"part-{number}" for number in range(1, len(sizes) + 1)}


def begun(**changes: Any) -> Upload:
    return in_parts(**{"declared_size": SIZE, "part_size": None, "part_count": None, **changes})


async def test_beginning_makes_the_services_own_multipart_and_drops_the_plan() -> None:
    world = World(upload(declared_size=SIZE, part_size=8 * MIB, part_count=2))
    row = await world.own_parts.begin(world.row())
    assert (row.part_size, row.part_count, row.multipart_id) == (None, None, "mp_1")
    assert (row.status, row.transport) == (UploadStatus.UPLOADING, Transport.PRESIGNED)
    assert world.row() == row


async def test_beginning_twice_is_the_same_multipart() -> None:
    world = World(upload(declared_size=SIZE))
    first = await world.own_parts.begin(world.row())
    assert await world.own_parts.begin(first) == first
    assert world.multiparts.made == 1


async def test_a_file_announced_for_one_request_may_go_in_parts_with_its_checksum() -> None:
    declared = Checksum("CRC32", "DUoRhQ==")
    world = World(upload(declared_size=5, declared_checksum=declared))
    row = await world.own_parts.begin(world.row())
    assert row.part_checksum == "CRC32"
    assert world.multiparts.under_way["mp_1"].algorithm == "CRC32"


async def test_beginning_goes_on_when_the_record_changes_meanwhile() -> None:
    world = World(upload(declared_size=SIZE, part_size=8 * MIB, part_count=2))
    world.records.lost_amendments = 1
    assert (await world.own_parts.begin(world.row())).part_count is None


async def test_beginning_gives_up_on_a_record_that_never_rests() -> None:
    world = World(in_parts())
    world.records.lost_amendments = 99
    with pytest.raises(UploadStateError):
        await world.own_parts.begin(world.row())


async def test_a_profile_without_presigned_transport_takes_no_parts_of_ones_own() -> None:
    relay = Profile(transports=frozenset({Transport.CREDENTIALS, Transport.RELAY}))
    world = World(upload(declared_size=SIZE), profiles=(relay,))
    with pytest.raises(PolicyError):
        await world.own_parts.begin(world.row())
    assert world.multiparts.made == 0


@pytest.mark.parametrize(
    ("size", "highest"), [(0, 1), (5, 1), (SIZE, 3), (None, 10_000), (48 * 1024**4, 10_000)]
)
async def test_part_numbers_end_where_the_smallest_parts_would(
    size: int | None, highest: int
) -> None:
    world = World(begun(declared_size=size))
    await world.own_parts.sign(world.row(), "mp_1", [1, highest] if highest > 1 else [1])
    for numbers in ([highest + 1], [0], [1, 1]):
        with pytest.raises(InvalidPartError):
            await world.own_parts.sign(world.row(), "mp_1", numbers)


async def test_parts_are_signed_for_no_length() -> None:
    """The client alone knows how it cuts the file."""
    world = World(begun())
    [signed] = await world.own_parts.sign(world.row(), "mp_1", [2])
    assert signed.headers == {}


async def test_another_multipart_is_gone() -> None:
    world = World(begun())
    calls = (
        lambda row: world.own_parts.sign(row, "mp_2", [1]),
        lambda row: world.own_parts.parts(row, "mp_2"),
        lambda row: world.own_parts.complete(row, "mp_2", {1: "part-1"}),
        lambda row: world.own_parts.abort(row, "mp_2"),
    )
    for call in calls:
        with pytest.raises(MultipartGoneError):
            await call(world.row())
    assert world.row() == begun()


async def test_a_multipart_that_the_store_has_dropped_is_gone_and_forgotten() -> None:
    world = World(begun())
    world.multiparts.under_way.clear()
    with pytest.raises(MultipartGoneError):
        await world.own_parts.parts(world.row(), "mp_1")
    assert world.row().multipart_id is None


async def test_what_is_named_and_has_arrived_is_completed() -> None:
    world = World(begun())
    named = world.arrive(SMALLEST, SMALLEST, 7)
    done = await world.own_parts.complete(world.row(), "mp_1", named)
    assert (done.status, done.size) == (UploadStatus.COMPLETED, SIZE)


@pytest.mark.parametrize(
    ("named", "error"),
    [
        ({1: "part-1", 2: "part-2", 3: "part-3"}, UploadIncompleteError),
        ({1: "part-1"}, InvalidPartError),
        ({}, InvalidPartError),
        ({1: "part-1", 2: "another"}, InvalidPartError),
    ],
)
async def test_parts_that_are_not_what_has_arrived_complete_nothing(
    named: dict[int, str], error: type[Exception]
) -> None:
    world = World(begun())
    world.arrive(SMALLEST, SMALLEST)
    with pytest.raises(error):
        await world.own_parts.complete(world.row(), "mp_1", named)
    assert world.row().status is UploadStatus.UPLOADING
    assert world.multiparts.calls["complete"] == 0


async def test_a_missing_part_is_named() -> None:
    world = World(begun())
    world.arrive(SMALLEST)
    with pytest.raises(UploadIncompleteError) as raised:
        await world.own_parts.complete(world.row(), "mp_1", {1: "part-1", 3: "part-3"})
    assert raised.value.missing == (3,)


async def test_more_than_was_announced_is_rejected_before_it_is_an_object() -> None:
    world = World(begun(declared_size=SMALLEST))
    named = world.arrive(SMALLEST, 1)
    with pytest.raises(UploadRejectedError):
        await world.own_parts.complete(world.row(), "mp_1", named)
    assert world.row().status is UploadStatus.REJECTED
    assert world.store.objects == {}
    assert world.multiparts.under_way == {}


async def test_a_size_that_was_never_told_is_measured_before_completing() -> None:
    world = World(begun(declared_size=None), max_size=SIZE)
    named = world.arrive(SMALLEST, SMALLEST, 8)
    with pytest.raises(UploadRejectedError):
        await world.own_parts.complete(world.row(), "mp_1", named)
    assert world.store.objects == {}


async def test_asked_again_after_a_lost_answer_it_is_completed() -> None:
    world = World(begun())
    named = world.arrive(SMALLEST, SMALLEST, 7)
    world.multiparts.lost_answers = 1
    with pytest.raises(StoreUnavailableError):
        await world.own_parts.complete(world.row(), "mp_1", named)
    for _ in range(2):
        done = await world.own_parts.complete(world.row(), "mp_1", named)
        assert done.status is UploadStatus.COMPLETED


async def test_aborting_ends_the_upload_and_clears_the_store() -> None:
    world = World(begun())
    world.arrive(SMALLEST)
    aborted = await world.own_parts.abort(world.row(), "mp_1")
    assert (aborted.status, aborted.charged) == (UploadStatus.ABORTED, 0)
    assert world.multiparts.under_way == {}


async def test_aborting_deletes_nothing_that_has_arrived() -> None:
    world = World(begun())
    seen = world.row()
    await world.own_parts.complete(seen, "mp_1", world.arrive(SMALLEST, SMALLEST, 7))
    for row in (seen, world.row()):
        with pytest.raises(UploadStateError):
            await world.own_parts.abort(row, "mp_1")
    assert world.store.holds(seen.key)


async def test_nothing_is_signed_or_listed_for_an_upload_that_has_ended() -> None:
    world = World(begun(status=UploadStatus.ABORTED))
    for call in (
        world.own_parts.sign(world.row(), "mp_1", [1]),
        world.own_parts.parts(world.row(), "mp_1"),
        world.own_parts.begin(world.row()),
        world.own_parts.complete(world.row(), "mp_1", {}),
    ):
        with pytest.raises(UploadEndedError):
            await call


async def test_nothing_begins_or_goes_on_once_its_time_is_over() -> None:
    world = World(begun(expires_at=START))
    for call in (
        world.own_parts.begin(world.row()),
        world.own_parts.sign(world.row(), "mp_1", [1]),
    ):
        with pytest.raises(UploadEndedError, match="expired"):
            await call
    assert world.signer.signed == []
