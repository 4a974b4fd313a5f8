"""Brings the schema up to date. On Postgres one replica at a time, by an advisory lock. An
upgrade is done whole or not at all.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from state.database import Database

_CONNECT_SECONDS = 10
_LOCK = 7_205_531_844  # any constant that no other application takes


def configuration(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection, revision: str) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    else:
        # Else the driver begins at the first INSERT, and what was made before it would stay.
        connection.execute(text("BEGIN IMMEDIATE"))
    command.upgrade(configuration(connection), revision)


async def upgrade(database: Database, revision: str = "head") -> None:
    """As long as it takes: of millions of rows an index is not made within the time of a request's
    statement. Raises UnavailableError.
    """
    async with unhurried(database) as patient, patient.transaction() as connection:
        await connection.run_sync(_upgrade, revision)


@asynccontextmanager
async def unhurried(database: Database) -> AsyncIterator[Database]:
    """The same database, whose statements may take their time."""
    if not database.is_postgres:
        yield database
        return
    engine = create_async_engine(
        database.engine.url, poolclass=NullPool, connect_args={"timeout": _CONNECT_SECONDS}
    )
    try:
        yield Database(engine)
    finally:
        await engine.dispose()


async def is_current(database: Database) -> bool:
    """Whether the database stands at this program's newest revision. Raises UnavailableError."""
    head = ScriptDirectory.from_config(configuration()).get_current_head()
    async with database.transaction() as connection:
        current = await connection.run_sync(
            lambda sync: MigrationContext.configure(sync).get_current_revision()
        )
    return current == head
