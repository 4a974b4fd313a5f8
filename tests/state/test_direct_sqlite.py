"""What is read from SQLite past SQLAlchemy means the same, and fails the same."""

import asyncio
import sqlite3
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Select, bindparam, select, text
from sqlalchemy.exc import DBAPIError

from errors import UnavailableError
from service.uploads.model import UploadStatus
from state import direct_sqlite, schema
from state.database import Database
from state.tables import uploads
from state.upload_rows import upload_of
from state.uploads import SqlUploadRecords
from tests.fakes.clock import START
from tests.fakes.records import BUCKET, upload
from tests.state.test_direct import FULL

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
BY_ID = select(uploads).where(uploads.c.id == bindparam("id"))
AMONG: Select[Any] = select(uploads).where(uploads.c.id.in_(bindparam("ids", expanding=True)))


@pytest.mark.parametrize("more", [{}, FULL])
async def test_a_record_is_read_as_sqlalchemy_reads_it(
    database: Database, more: dict[str, Any]
) -> None:
    records, made = SqlUploadRecords(database), upload(**more)
    assert await records.add(made)
    async with database.transaction() as connection:
        (row,) = (await connection.execute(select(uploads))).mappings()
    for found in (await records.get(made.id), await records.by_key(BUCKET, made.key)):
        assert found == upload_of(row) == made
        assert found.created_at.tzinfo is UTC


async def test_many_at_once_each_have_their_own(database: Database) -> None:
    records = SqlUploadRecords(database)
    made = [upload(id=f"upl_{number}") for number in range(150)]
    for one in made:
        assert await records.add(one)
    ids = [one.id for one in made]
    assert await asyncio.gather(*map(records.get, [*ids, "upl_none", *ids])) == [*made, None, *made]


async def test_what_was_changed_a_moment_ago_is_seen(database: Database) -> None:
    records, made = SqlUploadRecords(database), upload()
    assert await records.add(made)
    moved = await records.transition(made, UploadStatus.UPLOADING, START)
    assert moved is not None
    assert await records.get(made.id) == moved
    amended = await records.amend(moved, START, multipart_id="m")
    assert await records.get(made.id) == amended


async def test_nothing_is_left_open_by_reading(database: Database, tmp_path: Path) -> None:
    records, made = SqlUploadRecords(database), upload()
    assert await records.add(made)
    assert await records.get(made.id) == made
    with sqlite3.connect(tmp_path / "test.db", timeout=0) as other:
        other.execute("UPDATE uploads SET looks = 7")
    other.close()
    found = await records.get(made.id)
    assert found is not None
    assert found.looks == 7


async def test_a_list_of_values_goes_sqlalchemys_way(database: Database) -> None:
    made = upload()
    assert await SqlUploadRecords(database).add(made)
    assert await direct_sqlite.rows(database.engine, AMONG, {"ids": [made.id]}) is None
    (row,) = await database.rows(AMONG, {"ids": [made.id]})
    assert upload_of(row) == made


async def test_what_is_refused_is_said_as_everywhere(database: Database) -> None:
    unbindable = {"id": object()}
    assert await direct_sqlite.rows(database.engine, BY_ID, unbindable) is None
    with pytest.raises(DBAPIError):
        await database.rows(BY_ID, unbindable)


async def test_a_file_that_cannot_be_read_is_a_database_that_is_away(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute(text("DROP TABLE uploads"))
    with pytest.raises(UnavailableError):
        await SqlUploadRecords(database).get("upl_1")


async def test_a_connection_that_does_not_come_free_is_a_database_that_is_away(
    database: Database, database_url: str
) -> None:
    async with Database.opened(database_url, timeout_seconds=2) as hasty:
        await schema.upgrade(hasty)
        async with hasty.transaction():
            with pytest.raises(UnavailableError):
                await SqlUploadRecords(hasty).get("upl_1")
