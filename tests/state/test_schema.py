import asyncio

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect

import errors
from state import schema
from state.database import Database
from state.tables import metadata


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_server_default": True})
    return list(compare_metadata(context, metadata))


def tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names()) - {"alembic_version"}


def downgrade(connection: Connection) -> None:
    command.downgrade(schema.configuration(connection), "base")


async def test_migrations_make_what_the_tables_say(database: Database) -> None:
    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []
        assert await connection.run_sync(tables) == set(metadata.tables)


async def test_down_and_up_again(database: Database) -> None:
    assert await schema.is_current(database)
    async with database.engine.begin() as connection:
        await connection.run_sync(downgrade)
        assert await connection.run_sync(tables) == set()
    assert not await schema.is_current(database)
    await schema.upgrade(database)
    assert await schema.is_current(database)
    async with database.engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_upgrading_what_is_current_changes_nothing(database: Database) -> None:
    await schema.upgrade(database)
    assert await schema.is_current(database)


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)  # SQLite has one process
async def test_replicas_that_start_at_once_migrate_once(database_url: str) -> None:
    async with Database.opened(database_url) as opened:
        await asyncio.gather(*(schema.upgrade(opened) for _ in range(4)))
        assert await schema.is_current(opened)


async def test_a_database_that_is_away_is_unavailable() -> None:
    url = "postgresql+asyncpg://postgres@127.0.0.1:1/none"
    async with Database.opened(url, timeout_seconds=1) as opened:
        with pytest.raises(errors.UnavailableError):
            await opened.ping()
