"""The pool of connections to Postgres: what is opened, and what is noticed."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from errors import UnavailableError
from state import database as module
from state.database import Database
from state.tables import users
from tests.fakes.clock import START

pytestmark = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)

_BACKEND = text("SELECT pg_backend_pid()")
_END_ALL = text(
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


async def backend(connection: AsyncConnection) -> int:
    return int((await connection.execute(_BACKEND)).scalar_one())


async def burst(database: Database, size: int) -> set[int]:
    """So many transactions at once, and by which connections."""
    together = asyncio.Barrier(size)

    async def one() -> int:
        async with database.transaction() as connection:
            found = await backend(connection)
            await together.wait()
            return found

    return set(await asyncio.gather(*(one() for _ in range(size))))


async def test_a_burst_opens_no_connection_that_the_next_opens_again(database_url: str) -> None:
    async with Database.opened(database_url, pool_size=2, overflow=4) as database:
        first = await burst(database, 6)
        assert len(first) == 6
        assert await burst(database, 6) == first


async def test_there_are_never_more_than_were_allowed(database_url: str) -> None:
    async with Database.opened(
        database_url, pool_size=1, overflow=1, timeout_seconds=3
    ) as database:
        async with database.transaction(), database.single():
            with pytest.raises(UnavailableError):
                await database.ping()
        await database.ping()


async def test_the_connection_used_last_is_used_next(database: Database) -> None:
    await burst(database, 3)
    found = set()
    for _ in range(5):
        async with database.transaction() as connection:
            found.add(await backend(connection))
    assert len(found) == 1


async def test_connections_that_the_server_closed_are_not_used(
    database: Database, database_url: str
) -> None:
    old = await burst(database, 3)
    async with Database.opened(database_url) as other, other.transaction() as connection:
        assert len((await connection.execute(_END_ALL)).all()) >= 3
    assert not old & await burst(database, 3)
    async with database.single() as connection:
        assert await backend(connection) not in old


async def test_one_that_idled_is_asked_whether_it_lives(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with database.transaction() as connection:
        before = await backend(connection)
        driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None
    monkeypatch.setattr(module, "_IDLE_SECONDS", -1.0)
    async with database.transaction() as connection:
        assert await backend(connection) == before
    # As when the network lost it without a word: every question fails, and nothing was closed.
    monkeypatch.setattr(type(driver), "is_closed", lambda _: False)
    driver.terminate()
    async with database.transaction() as connection:
        assert await backend(connection) != before


async def test_a_single_statement_is_committed_without_being_told_to(
    database: Database,
) -> None:
    row = {"id": "u", "username": "u", "username_key": "u", "password_hash": "", "scopes": []}
    async with database.single() as connection:
        await connection.execute(users.insert(), {**row, "created_at": START})
        raw = (await connection.get_raw_connection()).driver_connection
        assert raw is not None
        assert not raw.is_in_transaction()
    # What its connection was told for the one statement holds for no other.
    async with database.transaction() as connection:
        await connection.execute(users.delete())
        await connection.rollback()
    async with database.transaction() as connection:
        assert len((await connection.execute(users.select())).all()) == 1
