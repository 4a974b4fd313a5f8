"""What goes to Postgres past SQLAlchemy means the same, and fails the same."""

import asyncio
from datetime import UTC, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError

from errors import UnavailableError
from service.uploads.model import Checksum, UploadStatus
from state.database import Database
from state.tables import uploads
from state.upload_rows import upload_of
from state.uploads import SqlUploadRecords
from tests.fakes.clock import START
from tests.fakes.eventually import eventually
from tests.fakes.records import upload
from tests.state.locks import locked, waiting

pytestmark = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)

FULL: dict[str, Any] = {
    "declared_checksum": Checksum("CRC32", "DUoRhQ=="),
    "checksum": Checksum("CRC64NVME", "AAAAAAAAAAA="),
    "metadata": {"ü": "🎉", "empty": ""},
    "filename": 'a "b" \\ ü🎉.txt',
    "declared_size": 2**62,
    "completed_at": START.astimezone(timezone(timedelta(hours=5))),
}


async def anyone_waits(database: Database) -> bool:
    return bool(await waiting(database))


@pytest.mark.parametrize("more", [{}, FULL])
async def test_a_record_is_read_as_sqlalchemy_reads_it(
    database: Database, more: dict[str, Any]
) -> None:
    records, made = SqlUploadRecords(database), upload(**more)
    assert await records.add(made)
    async with database.transaction() as connection:
        (row,) = (await connection.execute(select(uploads))).mappings()
    found = await records.get(made.id)
    assert found == upload_of(row) == made
    assert found.created_at.tzinfo is UTC


async def test_a_record_is_changed_as_sqlalchemy_changes_it(database: Database) -> None:
    records, made = SqlUploadRecords(database), upload()
    assert await records.add(made)
    amended = await records.amend(made, START, **FULL)
    assert amended == upload(**FULL)
    assert await records.get(made.id) == amended
    emptied = dict.fromkeys(("declared_checksum", "checksum", "completed_at"))
    assert await records.amend(amended, START, **emptied) == upload(**{**FULL, **emptied})


async def test_what_is_refused_is_said_as_everywhere(database: Database) -> None:
    records, made = SqlUploadRecords(database), upload()
    assert await records.add(made)
    with pytest.raises(DBAPIError):
        await records.amend(made, START, filename="x" * 1025)
    with pytest.raises(DBAPIError):
        await records.transition(made, UploadStatus.COMPLETED, START, etag="x" * 256)
    assert await records.get(made.id) == made


async def test_a_connection_that_is_cut_is_a_database_that_is_away(
    database: Database,
) -> None:
    records, made = SqlUploadRecords(database), upload()
    assert await records.add(made)
    async with locked(database, made):
        amending = asyncio.create_task(records.amend(made, START, filename="b"))
        await eventually(lambda: anyone_waits(database))
        for pid in await waiting(database):
            async with database.transaction() as connection:
                await connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        with pytest.raises(UnavailableError):
            await amending
    assert await records.get(made.id) == made


async def test_a_statement_that_takes_too_long_is_a_database_that_is_away(
    database: Database, database_url: str
) -> None:
    made = upload()
    assert await SqlUploadRecords(database).add(made)
    async with (
        Database.opened(database_url, timeout_seconds=0.2) as hasty,
        locked(database, made),
    ):
        with pytest.raises(UnavailableError):
            await SqlUploadRecords(hasty).amend(made, START, filename="b")
