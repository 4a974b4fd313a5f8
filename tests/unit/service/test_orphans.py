"""Multiparts that nobody will complete go, and no others."""

from datetime import datetime, timedelta
from io import StringIO

import pytest

from errors import StoreRefusedError, StoreUnavailableError, UnavailableError
from service.completion.orphans import Orphans
from service.uploads.model import Origin, Transport, UploadStatus
from service.uploads.transitions import IN_FLIGHT
from tests.fakes.clock import START, Clock
from tests.fakes.house import captured_logs
from tests.fakes.multiparts import MemoryMultiparts
from tests.fakes.owners import OneOwner
from tests.fakes.records import BUCKET, IDENTITY, MemoryRecords, upload
from tests.fakes.store import MemoryStore

AGE = timedelta(days=7)
OWN = f"{IDENTITY}/video.mp4"
TAKES_PARTS = IN_FLIGHT | {UploadStatus.RECEIVED}


class World:
    def __init__(self) -> None:
        self.clock = Clock()
        self.records = MemoryRecords()
        self.multiparts = MemoryMultiparts(MemoryStore())
        self.orphans = Orphans(
            records=self.records,
            multiparts=self.multiparts,
            owners=OneOwner(),
            bucket=BUCKET,
            orphan_age=AGE,
            clock=self.clock,
        )

    def record(
        self, status: UploadStatus, expires_at: datetime = START + timedelta(days=30)
    ) -> str:
        row = upload(status=status, expires_at=expires_at)
        self.records.rows[row.id] = row
        return row.key

    async def walk(self) -> None:
        while await self.orphans.step():
            pass

    async def left(self, days: float = 7) -> set[str]:
        """The keys of what is under way, once these days are over and a walk is."""
        self.clock.advance(days * 86400)
        await self.walk()
        return {found.key for found in self.multiparts.under_way.values()}


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize(("days", "left"), [(6.99, {OWN}), (7, set()), (100, set())])
async def test_what_a_stock_client_began_and_left_is_aborted_when_it_is_old(
    world: World, days: float, left: set[str]
) -> None:
    world.multiparts.begin(OWN)
    assert await world.left(days) == left


async def test_the_age_is_each_multiparts_own(world: World) -> None:
    world.multiparts.begin(OWN)
    young = world.multiparts.begin(OWN, initiated=START + timedelta(hours=1))
    assert await world.left(7) == {OWN}
    assert set(world.multiparts.under_way) == {young}


@pytest.mark.parametrize(
    "key", ["exports/a.bin", "us-east-1:9f1c0f3e-2f0a-4c55-9a0e-6a4f4a7b1c2d/a", "users/usr_x/a"]
)
async def test_what_is_nobodys_is_not_ours_to_touch(world: World, key: str) -> None:
    world.multiparts.begin(key)
    assert await world.left(100) == {key}


@pytest.mark.parametrize("status", sorted(UploadStatus))
async def test_the_record_of_a_key_decides(world: World, status: UploadStatus) -> None:
    """Its own multipart, or a stock manager's beside it."""
    key = world.record(status)
    world.multiparts.begin(key, "upl_1")
    world.multiparts.begin(key)
    assert await world.left(8) == ({key} if status in TAKES_PARTS else set())


@pytest.mark.parametrize("status", sorted(TAKES_PARTS))
async def test_a_record_in_flight_keeps_its_multipart_until_it_expires(
    world: World, status: UploadStatus
) -> None:
    key = world.record(status, START + timedelta(days=10))
    world.multiparts.begin(key)
    assert await world.left(9.9) == {key}
    assert await world.left(0.1) == set()


async def test_a_key_with_a_record_is_ours_in_no_users_folder_too(world: World) -> None:
    row = upload(key="users/usr_ada/upl_1/a", status=UploadStatus.EXPIRED)
    world.records.rows[row.id] = row
    world.multiparts.begin(row.key)
    assert await world.left() == set()


async def test_the_newest_record_of_a_key_decides(world: World) -> None:
    for generation, status in enumerate((UploadStatus.DELETED, UploadStatus.PENDING)):
        row = upload(
            id=f"upl_{generation}",
            key=OWN,
            status=status,
            generation=generation,
            expires_at=START + timedelta(days=30),
        )
        world.records.rows[row.id] = row
    world.multiparts.begin(OWN)
    assert await world.left(8) == {OWN}


async def test_a_walk_passes_over_what_it_leaves_alone(world: World) -> None:
    world.multiparts.page_size = 2
    kept = {f"exports/{number}" for number in range(4)}
    for key in sorted(kept | {OWN}):
        world.multiparts.begin(key)
    world.clock.advance(8 * 86400)
    assert [await world.orphans.step() for _ in range(3)] == [1, 1, 0]
    assert {found.key for found in world.multiparts.under_way.values()} == kept


async def test_a_step_is_a_page_and_the_next_goes_on(world: World) -> None:
    world.multiparts.page_size = 2
    for number in range(5):
        world.multiparts.begin(f"{OWN}{number}")
    world.clock.advance(8 * 86400)
    for more, left in ((1, 3), (1, 1), (0, 0)):
        assert (await world.orphans.step(), len(world.multiparts.under_way)) == (more, left)
    assert world.multiparts.calls["page"] == 3
    world.multiparts.begin(OWN)
    assert (await world.orphans.step(), len(world.multiparts.under_way)) == (0, 0)


@pytest.mark.parametrize(
    "failure", [StoreUnavailableError(), StoreRefusedError(), UnavailableError(), ValueError("x")]
)
async def test_one_that_cannot_be_aborted_does_not_stop_the_walk_and_is_met_again(
    world: World, failure: Exception
) -> None:
    for number in range(3):
        world.multiparts.begin(f"{OWN}{number}")
    world.multiparts.failures["abort"] = [failure]
    with captured_logs() as written:
        assert await world.left() == {f"{OWN}0"}
    told_of(written, "orphan.not_aborted")
    assert await world.left(0) == set()


def told_of(written: StringIO, event: str) -> None:
    assert f'"event": "{event}"' in written.getvalue()


async def test_a_page_that_cannot_be_had_is_asked_for_again(world: World) -> None:
    world.multiparts.page_size = 1
    for number in range(3):
        world.multiparts.begin(f"{OWN}{number}")
    world.clock.advance(8 * 86400)
    assert await world.orphans.step() == 1
    world.multiparts.failures["page"] = [StoreUnavailableError()]
    with pytest.raises(StoreUnavailableError):
        await world.orphans.step()
    await world.walk()
    assert world.multiparts.under_way == {}


async def test_an_adopted_record_that_is_not_verified_keeps_nothing_beside_it(
    world: World,
) -> None:
    """It has expired as it began: its object is there already."""
    row = upload(
        key=OWN,
        status=UploadStatus.RECEIVED,
        origin=Origin.ADOPTED,
        transport=Transport.CREDENTIALS,
        expires_at=START,
    )
    world.records.rows[row.id] = row
    world.multiparts.begin(OWN)
    assert await world.left() == set()
