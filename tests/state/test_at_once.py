"""The transition in one statement of Postgres, held to the transition step by step."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select
from sqlalchemy.exc import DBAPIError

from errors import QuotaExceededError, TooManyUploadsError
from service.uploads.model import Checksum, Transport, Upload
from service.uploads.model import UploadStatus as S
from service.uploads.quota import Limits, Usage
from state.database import Database
from state.tables import events, user_sequences
from state.tables import usage as usage_table
from state.uploads import SqlUploadRecords
from tests.fakes.clock import START
from tests.fakes.eventually import eventually
from tests.fakes.records import upload
from tests.state.locks import locked, waiting

pytestmark = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)

LATER = START + timedelta(microseconds=1)


class InTurn(SqlUploadRecords):
    """As SQLite does it."""

    async def _at_once(self, *_: Any) -> None:
        return None


class AtOnce(SqlUploadRecords):
    """Or not at all."""

    async def _in_turn(self, *_: Any) -> None:
        return None


async def written(database: Database, records: SqlUploadRecords, made: Upload) -> Any:
    """All that a transition leaves behind, but the event's own id."""
    async with database.transaction() as connection:
        told = (await connection.execute(select(events).order_by(events.c.sequence))).mappings()
        rows = [{name: value for name, value in row.items() if name != "id"} for row in told]
    return await records.get(made.id), await records.usage(made.user_id, made.profile), rows


async def forget_events(database: Database) -> None:
    async with database.transaction() as connection:
        for table in (events, user_sequences):
            await connection.execute(delete(table))


MOVES: list[tuple[dict[str, Any], S, dict[str, Any]]] = [
    ({"charged": 5}, S.COMPLETED, {"size": 5, "etag": "e", "completed_at": LATER}),
    ({"declared_size": None}, S.COMPLETED, {"size": 7, "etag": "e", "version_id": "v"}),
    ({"charged": 9}, S.COMPLETED, {"size": 5, "checksum": Checksum("CRC32", "DUoRhQ==")}),
    ({"charged": 5}, S.REJECTED, {"status_reason": 'a "reason" \u2028 \x7f', "looks": 0}),
    ({"charged": 5}, S.UPLOADING, {}),
    ({"charged": 5, "metadata": {"sequence": '"sequence":0'}}, S.RECEIVED, {"size": 5}),
    ({"charged": 5, "filename": '"sequence":0, ü🎉'}, S.EXPIRED, {}),
]


@pytest.mark.parametrize(("begin", "status", "changes"), MOVES)
async def test_it_writes_what_step_by_step_is_written(
    database: Database, begin: dict[str, Any], status: S, changes: dict[str, Any]
) -> None:
    found = []
    for kind in (AtOnce, InTurn):
        records, name = kind(database), kind.__name__
        made = upload(id="upl", key=name, user_id=f"usr_{name}", **begin)
        made = replace(made, id=f"upl_{name}")
        assert await records.add(made)
        moved = await records.transition(made, status, LATER, **changes)
        record, usage, rows = await written(database, records, made)
        assert moved == record
        assert [row["sequence"] for row in rows] == [1]
        found.append(json.loads(json.dumps([usage, rows, record], default=str).replace(name, "")))
        await forget_events(database)
    assert found[0] == found[1]


async def test_the_numbers_go_on(database: Database) -> None:
    records = AtOnce(database)
    made = upload(charged=5)
    assert await records.add(made)
    for status in (S.UPLOADING, S.RECEIVED, S.COMPLETED, S.REPLACED):
        moved = await records.transition(made, status, made.updated_at + timedelta(seconds=1))
        assert moved is not None
        made = moved
    _, _, rows = await written(database, records, made)
    assert [row["sequence"] for row in rows] == [1, 2, 3, 4]
    numbers = [json.loads(row["payload"])["data"]["sequence"] for row in rows]
    assert numbers == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "changed",
    [{"transport": Transport.RELAY}, {"updated_at": LATER}, {"status": S.UPLOADING}],
)
async def test_a_record_that_was_changed_since_is_not_moved_at_once(
    database: Database, changed: dict[str, Any]
) -> None:
    made = upload(charged=5)
    records = AtOnce(database)
    assert await records.add(replace(made, **changed))
    before = await written(database, records, made)
    assert await records.transition(made, S.COMPLETED, LATER, size=5) is None
    assert await written(database, records, made) == before


async def test_an_amended_record_moves_all_the_same_and_its_event_shows_it_as_it_is(
    database: Database,
) -> None:
    records = SqlUploadRecords(database)
    made = upload(charged=5)
    assert await records.add(made)
    assert await records.amend(made, LATER, transport=Transport.RELAY)
    assert await records.transition(made, S.COMPLETED, LATER, size=5)
    _, _, rows = await written(database, records, made)
    assert json.loads(rows[0]["payload"])["data"]["upload"]["transport"] == "relay"


async def test_what_does_not_fit_writes_nothing_and_is_said(database: Database) -> None:
    made = upload(charged=5)
    assert await SqlUploadRecords(database).add(made)
    before = await written(database, SqlUploadRecords(database), made)
    small = Limits(quota=10)
    arrived: dict[str, Any] = {"size": 11, "limits": small}
    assert await AtOnce(database).transition(made, S.COMPLETED, LATER, **arrived) is None
    with pytest.raises(QuotaExceededError):
        await SqlUploadRecords(database).transition(made, S.COMPLETED, LATER, **arrived)
    assert await written(database, SqlUploadRecords(database), made) == before


async def test_a_usage_that_is_missing_is_a_fault_and_moves_nothing(database: Database) -> None:
    made = upload(charged=5)
    records = SqlUploadRecords(database)
    assert await records.add(made)
    async with database.transaction() as connection:
        await connection.execute(delete(usage_table))
    with pytest.raises(RuntimeError):
        await records.transition(made, S.COMPLETED, LATER, size=5)
    assert await records.get(made.id) == made


async def test_of_many_at_once_each_moves_once_and_every_number_is_given_once(
    database: Database,
) -> None:
    records = AtOnce(database)
    rows = [upload(id=f"upl_{n}", key=str(n), charged=5) for n in range(10)]
    for row in rows:
        assert await records.add(row)
    moves = [records.transition(row, S.COMPLETED, LATER, size=5) for row in rows * 4]
    moved = [one for one in await asyncio.gather(*moves) if one is not None]
    assert sorted(one.id for one in moved) == sorted(row.id for row in rows)
    _, usage, told = await written(database, records, rows[0])
    assert usage == Usage(50, 0)
    assert [row["sequence"] for row in told] == list(range(1, 11))


async def test_those_that_waited_for_a_record_see_that_it_has_moved(database: Database) -> None:
    """All have begun before any of them ends, and so with the same sight of the record."""
    records, made = AtOnce(database), upload(charged=5)
    assert await records.add(made)
    for number in range(5):
        # Enough is counted that no CHECK would stop what is counted twice.
        assert await records.add(upload(id=f"upl_{number + 2}", key=str(number), charged=5))
    async with locked(database, made):
        moves = [
            asyncio.create_task(records.transition(made, S.COMPLETED, LATER, size=5))
            for _ in range(5)
        ]
        await eventually(lambda: all_wait(database, len(moves)))
    moved = [one for one in await asyncio.gather(*moves) if one is not None]
    assert len(moved) == 1
    assert await records.usage(made.user_id, made.profile) == Usage(30, 5)


async def all_wait(database: Database, count: int) -> bool:
    return len(await waiting(database)) == count


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"charged": 0},
        {"declared_checksum": Checksum("CRC32", "DUoRhQ=="), "metadata": {"ü": "🎉"}},
        {"part_size": 5, "part_count": 2, "fingerprint": "f", "declared_size": 2**40},
    ],
)
async def test_a_new_record_is_added_as_step_by_step(
    database: Database, more: dict[str, Any]
) -> None:
    records = SqlUploadRecords(database)
    made = upload(**{"charged": 5, **more})
    assert await records._added_at_once(made, Limits(quota=5, in_flight=1)) is True
    assert await records.get(made.id) == made
    assert await records.usage(made.user_id, made.profile) == Usage(made.charged, 1)
    other = replace(made, id="upl_2", key="another/key", user_id="usr_eve")
    assert await InTurn(database).add(other)
    assert await records.get(other.id) == other
    assert await records.usage(other.user_id, other.profile) == Usage(made.charged, 1)


async def test_a_new_record_counts_upon_what_is_there(database: Database) -> None:
    records = SqlUploadRecords(database)
    limits = Limits(quota=10, in_flight=2)
    for number in (1, 2):
        made = upload(id=f"upl_{number}", charged=5)
        assert await records._added_at_once(made, limits) is True
    assert await records.usage("usr_ada", "default") == Usage(10, 2)


@pytest.mark.parametrize("limits", [Limits(quota=9), Limits(in_flight=1)])
async def test_a_new_record_that_does_not_fit_writes_nothing(
    database: Database, limits: Limits
) -> None:
    records = SqlUploadRecords(database)
    assert await records.add(upload(id="upl_1", charged=5))
    one_too_many = upload(id="upl_2", charged=5)
    assert await records._added_at_once(one_too_many, limits) is None
    with pytest.raises((QuotaExceededError, TooManyUploadsError)):
        await records.add(one_too_many, limits=limits)
    assert await records.get("upl_2") is None
    assert await records.usage("usr_ada", "default") == Usage(5, 1)


@pytest.mark.parametrize("limits", [Limits(quota=4), Limits(in_flight=0)])
async def test_the_very_first_record_is_held_against_the_limits(
    database: Database, limits: Limits
) -> None:
    assert await SqlUploadRecords(database)._added_at_once(upload(charged=5), limits) is None


async def test_a_key_that_is_taken_reserves_nothing(database: Database) -> None:
    records, made = SqlUploadRecords(database), upload(charged=5)
    assert await records.add(made)
    assert await records._added_at_once(replace(made, id="upl_2"), Limits()) is False
    assert await records._added_at_once(made, Limits()) is False
    assert await records.usage(made.user_id, made.profile) == Usage(5, 1)


async def test_what_no_column_takes_is_said_as_everywhere(database: Database) -> None:
    records = SqlUploadRecords(database)
    assert await records._added_at_once(upload(filename="x" * 1025), Limits()) is None
    with pytest.raises(DBAPIError):
        await records.add(upload(filename="x" * 1025))
