"""Upgrades of a database that has rows."""

import pytest
from alembic import command
from sqlalchemy import Connection, MetaData, Table, inspect, select
from sqlalchemy.exc import DBAPIError

from errors import UnavailableError
from service.uploads.model import UploadStatus as S
from service.uploads.quota import Usage
from state import schema
from state.database import Database
from state.outbox import SqlOutbox
from state.tables import usage
from state.upload_rows import row_of
from state.uploads import SqlUploadRecords
from tests.fakes.clock import START
from tests.fakes.records import upload

# Whose, its state, what was announced, what arrived; and what it counts.
EARLIER = [
    ("ada", S.PENDING, 5, None, 5),
    ("ada", S.UPLOADING, None, None, 0),
    ("ada", S.RECEIVED, 7, 6, 6),
    ("ada", S.COMPLETED, 11, 10, 10),
    ("ada", S.REPLACED, None, 2**40, 2**40),
    ("ada", S.QUARANTINED, 20, 0, 0),
    ("ada", S.REJECTED, 100, 200, 0),
    ("ada", S.ABORTED, 100, None, 0),
    ("ada", S.EXPIRED, 100, None, 0),
    ("eve", S.DELETED, 100, 100, 0),
    ("eve", S.UPLOADING, 3, None, 3),
    ("bob", S.DELETED, 100, 100, 0),
]


def add_earlier(connection: Connection) -> None:
    """Into the table as it stands there."""
    table = Table("uploads", MetaData(), autoload_with=connection)
    for number, (user, status, declared, size, _) in enumerate(EARLIER):
        profile = "default" if number % 2 else "video"
        row = row_of(
            upload(
                id=str(number),
                user_id=user,
                status=status,
                profile=profile,
                declared_size=declared,
                size=size,
            )
        )
        known = {name: value for name, value in row.items() if name in table.c}
        connection.execute(table.insert().values(known))


def downgrade(connection: Connection) -> None:
    command.downgrade(schema.configuration(connection), "0001")


def what_stands(connection: Connection) -> dict[str, list[str]]:
    """The columns of every table."""
    inspector = inspect(connection)
    return {
        table: sorted(column["name"] for column in inspector.get_columns(table))
        for table in inspector.get_table_names()
    }


async def test_earlier_uploads_are_counted_when_the_quota_comes(database_url: str) -> None:
    async with Database.opened(database_url) as database:
        await schema.upgrade(database, "0001")
        async with database.transaction() as connection:
            await connection.run_sync(add_earlier)
        await schema.upgrade(database)
        records = SqlUploadRecords(database)
        for number, (*_, charged) in enumerate(EARLIER):
            found = await records.get(str(number))
            assert found is not None
            assert (found.charged, found.multipart_id) == (charged, None)
        async with database.transaction() as connection:
            counted = {tuple(row) for row in await connection.execute(select(usage))}
        assert counted == {
            ("ada", "video", 5 + 6 + 2**40, 1),
            ("ada", "default", 10, 1),
            ("eve", "video", 3, 1),
            ("eve", "default", 0, 0),
            ("bob", "default", 0, 0),
        }
        pending = await records.get("0")
        assert pending is not None
        await records.transition(pending, S.ABORTED, START)
        assert await records.usage("ada", "video") == Usage(6 + 2**40, 0)


async def test_earlier_uploads_survive_the_way_there_and_back(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.run_sync(downgrade)
        before = await connection.run_sync(what_stands)
        await connection.run_sync(add_earlier)
    await schema.upgrade(database)
    async with database.transaction() as connection:
        await connection.run_sync(downgrade)
        assert await connection.run_sync(what_stands) == before
        counted = await connection.exec_driver_sql("SELECT count(*) FROM uploads")
        assert counted.scalar_one() == len(EARLIER)


async def test_an_upgrade_is_done_whole_or_not_at_all(database_url: str) -> None:
    """Here a table stands in its way, when it has made two others already."""
    async with Database.opened(database_url) as database:
        await schema.upgrade(database, "0001")
        async with database.transaction() as connection:
            await connection.exec_driver_sql("CREATE TABLE tickets (id integer)")
            before = await connection.run_sync(what_stands)
        with pytest.raises((DBAPIError, UnavailableError)):
            await schema.upgrade(database)
        async with database.transaction() as connection:
            assert await connection.run_sync(what_stands) == before
            await connection.exec_driver_sql("DROP TABLE tickets")
        await schema.upgrade(database)
        assert await schema.is_current(database)


DELIVERING = ("webhook_endpoints", "events", "deliveries")


def add_deliveries(connection: Connection) -> None:
    """One that waits after three failures, and one that is done after two."""
    kept = {name: Table(name, MetaData(), autoload_with=connection) for name in DELIVERING}
    endpoint = {"id": "whe_1", "url": "https://a.example", "description": "", "secret": "whsec_x"}
    written = {"enabled": True, "created_at": START, "updated_at": START}
    connection.execute(kept["webhook_endpoints"].insert().values(endpoint | written))
    for number, done in enumerate([None, START], 1):
        event = {"id": f"evt_{number}", "type": "upload.completed", "user_id": "ada", "at": START}
        more = {"sequence": number, "payload": "{}", "spread_at": START}
        connection.execute(kept["events"].insert().values(event | more))
        delivery = {"event_id": event["id"], "endpoint_id": "whe_1", "created_at": START}
        state = {"due_at": START, "done_at": done, "attempts": 4 - number, "delivered": True}
        connection.execute(kept["deliveries"].insert().values(delivery | state))


async def test_what_waits_goes_on_with_its_plan_where_it_was(database_url: str) -> None:
    """Attempts were all there was: those of what is done count no more, and stay as they are."""
    async with Database.opened(database_url) as database:
        await schema.upgrade(database, "0004")
        async with database.transaction() as connection:
            await connection.run_sync(add_deliveries)
        await schema.upgrade(database)
        (waiting,) = await SqlOutbox(database).claim(
            "w", START, until=START, limit=9, per_endpoint=9, busy={}
        )
        assert (waiting.event_id, waiting.attempts, waiting.failures) == ("evt_1", 4, 3)
        async with database.transaction() as connection:
            failures = await connection.exec_driver_sql(
                "SELECT event_id, failures FROM deliveries ORDER BY event_id"
            )
            assert [tuple(row) for row in failures] == [("evt_1", 3), ("evt_2", 0)]
