"""The quota is exact: on every database, whatever happens at the same time."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from errors import QuotaExceededError, TooManyUploadsError
from service.uploads.model import Upload
from service.uploads.model import UploadStatus as S
from service.uploads.plan import LARGEST_OBJECT
from service.uploads.quota import NO_LIMITS, Limits, Usage
from service.uploads.transitions import ENDED, IN_FLIGHT, NEXT
from state.database import Database
from state.tables import usage as table
from state.uploads import SqlUploadRecords
from tests.fakes.clock import START
from tests.fakes.records import upload

WAYS_TO_AN_END = sorted((before, end) for before in NEXT for end in NEXT[before] & ENDED)


@pytest.fixture
def records(database: Database) -> SqlUploadRecords:
    return SqlUploadRecords(database)


def reserving(charged: int, name: str = "a", **changes: Any) -> Upload:
    return upload(id=name, key=name, declared_size=charged, charged=charged, **changes)


async def kept(records: SqlUploadRecords, row: Upload) -> Upload:
    assert await records.add(row)
    return row


async def used(records: SqlUploadRecords) -> Usage:
    return await records.usage("usr_ada", "default")


async def rows(database: Database) -> list[tuple[Any, ...]]:
    async with database.transaction() as connection:
        return [tuple(row) for row in await connection.execute(select(table))]


async def refused(
    records: SqlUploadRecords, rows: list[Upload], limits: Limits
) -> list[BaseException]:
    """Adds all of them at once, and gives back what was raised."""
    adds = (records.add(row, limits=limits) for row in rows)
    return [
        answer
        for answer in await asyncio.gather(*adds, return_exceptions=True)
        if isinstance(answer, BaseException)
    ]


@pytest.mark.parametrize("already", [0, 7])
async def test_of_many_creations_at_once_exactly_as_many_as_fit_are_made(
    records: SqlUploadRecords, already: int
) -> None:
    if already:
        await kept(records, reserving(already, "first"))
    wanted = [reserving(10, str(number)) for number in range(60)]
    errors = await refused(records, wanted, Limits(quota=already + 255))
    assert [type(error) for error in errors] == [QuotaExceededError] * 35
    assert str(errors[0]) == f"5 of {already + 255} bytes are left"
    made = [row for row in wanted if await records.get(row.id) is not None]
    assert len(made) == 25
    assert await used(records) == Usage(already + 250, 25 + bool(already))


async def test_of_many_creations_at_once_no_more_than_may_be_are_in_flight(
    records: SqlUploadRecords,
) -> None:
    wanted = [reserving(10, str(number)) for number in range(40)]
    errors = await refused(records, wanted, Limits(in_flight=3, quota=10_000))
    assert [type(error) for error in errors] == [TooManyUploadsError] * 37
    assert await used(records) == Usage(30, 3)


async def test_users_and_profiles_count_apart(records: SqlUploadRecords) -> None:
    limits = Limits(quota=10, in_flight=1)
    await asyncio.gather(
        *(
            records.add(
                reserving(10, f"{user}{profile}", user_id=user, profile=profile), limits=limits
            )
            for user in ("usr_ada", "usr_eve")
            for profile in ("default", "video")
        )
    )
    for user in ("usr_ada", "usr_eve"):
        for profile in ("default", "video"):
            assert await records.usage(user, profile) == Usage(10, 1)
    assert await records.usage("usr_ada", "avatar") == Usage()


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        (Limits(quota=9), QuotaExceededError),
        (Limits(quota=0), QuotaExceededError),
        (Limits(in_flight=0), TooManyUploadsError),
        (Limits(quota=9, in_flight=0), QuotaExceededError),
    ],
)
async def test_the_very_first_is_held_against_the_limits_too(
    records: SqlUploadRecords, database: Database, limits: Limits, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await records.add(reserving(10), limits=limits)
    assert await records.get("a") is None
    assert await rows(database) == []


async def test_the_last_byte_fits(records: SqlUploadRecords) -> None:
    assert await records.add(reserving(4, "a"), limits=Limits(quota=10))
    assert await records.add(reserving(6, "b"), limits=Limits(quota=10))
    assert await records.add(reserving(0, "c"), limits=Limits(quota=10))
    with pytest.raises(QuotaExceededError, match=r"^0 of 10 bytes are left$"):
        await records.add(reserving(1, "d"), limits=Limits(quota=10))


async def test_a_quota_that_was_lowered_refuses_only_what_grows(records: SqlUploadRecords) -> None:
    await kept(records, reserving(100, "a"))
    with pytest.raises(QuotaExceededError, match=r"^0 of 10 bytes are left$"):
        await records.add(reserving(1, "b"), limits=Limits(quota=10))
    assert await records.add(reserving(0, "c"), limits=Limits(quota=10))


async def test_a_lowered_limit_of_uploads_in_flight_stops_no_bytes(
    records: SqlUploadRecords,
) -> None:
    for name in "abc":
        await kept(records, reserving(1, name))
    arrived = await kept(records, reserving(1, "d", status=S.RECEIVED))
    limits = Limits(quota=10, in_flight=1)
    assert await records.transition(arrived, S.COMPLETED, START, limits=limits, size=7)
    assert await records.add(reserving(0, "e", status=S.RECEIVED), limits=limits)
    assert await used(records) == Usage(10, 3)


async def test_what_counts_nothing_writes_nothing(
    records: SqlUploadRecords, database: Database
) -> None:
    adopted = await kept(records, reserving(0, status=S.RECEIVED))
    await records.transition(adopted, S.REJECTED, START, limits=Limits(0, 0), size=5)
    assert await rows(database) == []


async def test_a_key_that_is_taken_reserves_nothing(records: SqlUploadRecords) -> None:
    wanted = [reserving(10, "k") for _ in range(10)]
    answers = await asyncio.gather(*(records.add(row) for row in wanted))
    assert sum(answers) == 1
    assert not await records.add(upload(id="other", key="k", charged=10))
    assert await used(records) == Usage(10, 1)


@pytest.mark.parametrize(("before", "end"), WAYS_TO_AN_END)
async def test_every_end_gives_back_all_that_was_reserved(
    records: SqlUploadRecords, before: S, end: S
) -> None:
    await kept(records, reserving(7, "other"))
    seen = await kept(records, reserving(10, status=before, etag="e"))
    moved = await records.transition(seen, end, START, size=12)
    assert moved is not None
    assert moved.charged == 0
    assert await used(records) == Usage(7, 1)


@pytest.mark.parametrize("arrived", [0, 3, 10, 13, LARGEST_OBJECT])
async def test_what_arrived_counts_with_its_true_size(
    records: SqlUploadRecords, arrived: int
) -> None:
    seen = await kept(records, reserving(10))
    received = await records.transition(seen, S.RECEIVED, START, size=arrived)
    assert received is not None
    assert (received.charged, await used(records)) == (10, Usage(10, 0))
    completed = await records.transition(received, S.COMPLETED, START, size=arrived)
    assert completed is not None
    assert await records.get("a") == completed
    assert (completed.charged, await used(records)) == (arrived, Usage(arrived, 0))


async def test_a_verdict_that_names_no_size_counts_what_the_record_knows(
    records: SqlUploadRecords,
) -> None:
    seen = await kept(records, reserving(10, status=S.QUARANTINED, size=8))
    await records.transition(seen, S.COMPLETED, START)
    assert await used(records) == Usage(8, 0)


async def test_a_replacement_that_does_not_fit_changes_nothing(records: SqlUploadRecords) -> None:
    await kept(records, reserving(50, "other", status=S.COMPLETED))
    seen = await kept(records, reserving(10, status=S.COMPLETED, etag="one", size=10))
    limits = Limits(quota=100)
    with pytest.raises(QuotaExceededError, match=r"^40 of 100 bytes are left$"):
        await records.transition(seen, S.REPLACED, START, limits=limits, size=51, etag="two")
    assert await records.get("a") == seen
    assert await used(records) == Usage(60, 0)
    replaced = await records.transition(seen, S.REPLACED, START, limits=limits, size=50, etag="two")
    assert replaced is not None
    assert await used(records) == Usage(100, 0)
    await records.transition(replaced, S.REPLACED, START, limits=Limits(0), size=1, etag="three")
    assert await used(records) == Usage(51, 0)


async def test_of_moves_that_race_one_settles(records: SqlUploadRecords) -> None:
    seen = await kept(records, reserving(10, status=S.RECEIVED))
    await kept(records, reserving(100, "other"))
    moves = await asyncio.gather(
        *(
            records.transition(seen, status, START, size=7)
            for status in [S.COMPLETED, S.REJECTED] * 10
        )
    )
    (winner,) = [moved for moved in moves if moved is not None]
    assert winner.charged == (7 if winner.status is S.COMPLETED else 0)
    assert await used(records) == Usage(100 + winner.charged, 1)


async def test_a_charge_that_changed_meanwhile_is_not_settled_twice(
    records: SqlUploadRecords,
) -> None:
    seen = await kept(records, reserving(10, status=S.REPLACED, etag="same"))
    first = await records.transition(seen, S.REPLACED, START, size=4, etag="same")
    assert first is not None
    assert await records.transition(seen, S.DELETED, START) is None
    assert await used(records) == Usage(4, 0)


async def test_creations_and_endings_that_cross_never_stand_in_each_others_way(
    records: SqlUploadRecords,
) -> None:
    """With a deadlock one of them would fail."""
    limits = Limits(quota=400)
    old = [await kept(records, reserving(10, f"old{number}")) for number in range(30)]
    new = [reserving(10, f"new{number}", status=S.RECEIVED) for number in range(15)]
    again = [upload(id=f"x{number}", key=f"old{number}", charged=1) for number in range(15)]
    answers = await asyncio.gather(
        *(records.transition(row, S.ABORTED, START) for row in old),
        *(records.add(row, limits=limits) for row in [*again, *new, *again]),
    )
    assert [bool(answer) for answer in answers] == [True] * 30 + [False] * 15 + [True] * 15 + [
        False
    ] * 15
    assert await used(records) == Usage(150, 0)


async def test_a_usage_below_nothing_is_a_fault_and_changes_nothing(
    records: SqlUploadRecords, database: Database
) -> None:
    seen = await kept(records, reserving(10))
    for values in ({"bytes": 9}, {"bytes": 10, "in_flight": 0}):
        async with database.transaction() as connection:
            await connection.execute(update(table).values(values))
        with pytest.raises(IntegrityError, match="ck_usage_"):
            await records.transition(seen, S.ABORTED, START)
        assert await records.get("a") == seen
    async with database.transaction() as connection:
        await connection.execute(table.delete())
    with pytest.raises(RuntimeError, match="does not exist"):
        await records.transition(seen, S.ABORTED, START)
    assert await records.get("a") == seen


async def test_no_sum_overflows(records: SqlUploadRecords) -> None:
    """Announced sizes cost nothing: whoever may announce without a limit reaches the column's."""
    await kept(records, reserving(2**63 - 1, "a"))
    with pytest.raises(QuotaExceededError):
        await records.add(reserving(1, "b"), limits=NO_LIMITS)
    with pytest.raises(QuotaExceededError):
        await records.add(reserving(1, "c"), limits=Limits(quota=2**70))
    assert await used(records) == Usage(2**63 - 1, 1)


async def test_states_in_flight_are_the_ones_that_are_counted(records: SqlUploadRecords) -> None:
    for status in S:
        await kept(records, reserving(0, status, status=status))
    assert await used(records) == Usage(0, len(IN_FLIGHT))


async def test_an_empty_file_too_many_is_told_of_the_limit_that_it_meets(
    records: SqlUploadRecords,
) -> None:
    """A quota, lowered since, has nothing to do with it."""
    await kept(records, reserving(9, "first"))
    with pytest.raises(TooManyUploadsError):
        await records.add(reserving(0), limits=Limits(quota=1, in_flight=1))
    assert await records.add(reserving(0), limits=Limits(quota=1, in_flight=2))
