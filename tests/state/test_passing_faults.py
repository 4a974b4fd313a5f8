"""What passes is told as unavailable, so that nobody gives up over it."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from errors import UnavailableError
from state import schema
from state.database import Database

pytestmark = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)

READ_ONLY = "CREATE TABLE nothing (id int)"


async def done(database: Database, *statements: str) -> None:
    async with database.transaction() as connection:
        for statement in statements:
            await connection.execute(text(statement))


@pytest.mark.parametrize(
    ("setting", "statement"),
    [
        ("SET TRANSACTION READ ONLY", READ_ONLY),  # a primary that was demoted
        ("SET LOCAL statement_timeout = 1", "SELECT pg_sleep(10)"),
    ],
)
async def test_what_passes_is_unavailable(database: Database, setting: str, statement: str) -> None:
    with pytest.raises(UnavailableError):
        await done(database, setting, statement)


async def test_what_does_not_pass_is_a_fault(database: Database) -> None:
    with pytest.raises(DBAPIError):
        await done(database, "SELECT nonsense")


async def test_the_schema_is_changed_without_a_requests_time_out(database_url: str) -> None:
    async with Database.opened(database_url, timeout_seconds=0.2) as hurried:
        with pytest.raises(UnavailableError):
            await done(hurried, "SELECT pg_sleep(0.5)")
        async with schema.unhurried(hurried) as patient, patient.transaction() as connection:
            await connection.execute(text("SELECT pg_sleep(0.5)"))
