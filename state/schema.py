"""Brings the schema up to date. On Postgres one replica at a time, by an advisory lock. An
upgrade is done whole or not at all.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import Enum
from pathlib import Path

import structlog
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from errors import UnavailableError
from state import postgres_sessions
from state.database import Database
from state.tables import metadata

_CONNECT_SECONDS = 10
_HEAD = "head"
_LOCK = 7_205_531_844  # any constant that no other application takes
# Who waits for a table to change it holds up everybody behind it: for less than a statement of
# theirs may take, and then lets them pass.
_LOCK_SECONDS = 3.0
_OF_A_TRANSACTION = 0.1
_PASS_SECONDS = 6.0
_TRIES = 12
_NOT_HAD = ("55P03", "40P01")
_HELD = (
    "The schema is not changed yet: a transaction that is open for long (a backup, a query, a "
    "session that somebody forgot) uses what has to be changed"
)
_log = structlog.get_logger("uploadgate")


class Standing(Enum):
    """Where the database stands for this program. AHEAD: a newer version, with which this one can
    go on, has upgraded it.
    """

    BEHIND = "behind"
    CURRENT = "current"
    AHEAD = "ahead"


def configuration(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _tell(reason: str) -> None:
    _log.warning("database.upgrade_waits", reason=reason)


async def upgrade(
    database: Database, revision: str = _HEAD, *, tell: Callable[[str], None] = _tell
) -> None:
    """As long as it takes: of millions of rows an index is not made within the time of a request's
    statement. Nothing is done where a newer version has been here. Raises UnavailableError, also
    when somebody else's transaction is in the way for long; `tell` hears of it before.
    """
    if revision == _HEAD and await standing(database) is not Standing.BEHIND:
        return  # nor is a turn waited for, which another's upgrade may keep for long
    seconds = _LOCK_SECONDS
    if database.longest is not None:
        seconds = min(seconds, database.longest * _OF_A_TRANSACTION)
    async with unhurried(database) as patient, patient.transaction() as connection:
        await connection.run_sync(_begin, seconds)
        if await connection.run_sync(_standing) is not Standing.AHEAD:
            await _change(connection, revision, tell)


def _begin(connection: Connection, lock_seconds: float) -> None:
    if connection.dialect.name != "postgresql":
        # Else the driver begins at the first INSERT, and what was made before it would stay.
        connection.execute(text("BEGIN IMMEDIATE"))
        return
    # Also where the server, or a pooler that lent its connection before, is in a hurry.
    for setting in ("idle_in_transaction_session_timeout", "statement_timeout", "lock_timeout"):
        connection.execute(text(f"SET LOCAL {setting} = 0"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    connection.execute(text(f"SET LOCAL lock_timeout = {max(1, round(lock_seconds * 1000))}"))


async def _change(connection: AsyncConnection, revision: str, tell: Callable[[str], None]) -> None:
    """It keeps its turn between two tries, lest replicas that start at once hold up everybody one
    after the other.
    """
    if connection.dialect.name != "postgresql":
        await connection.run_sync(_upgrade, revision)
        return
    for _ in range(_TRIES):
        if await _changed(connection, revision):
            return
        tell(_HELD)
        await asyncio.sleep(_PASS_SECONDS * (0.5 + random.random()))  # noqa: S311 - no secret
    raise UnavailableError(_HELD)


async def _changed(connection: AsyncConnection, revision: str) -> bool:
    """False, and all is as before, where a lock was not had in time."""
    try:
        async with connection.begin_nested():
            await connection.run_sync(_upgrade, revision)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) not in _NOT_HAD:
            raise
        return False
    return True


def _upgrade(connection: Connection, revision: str) -> None:
    command.upgrade(configuration(connection), revision)


@asynccontextmanager
async def unhurried(database: Database) -> AsyncIterator[Database]:
    """The same database, whose statements and transactions may take their time."""
    if not database.is_postgres:
        yield database
        return
    engine = create_async_engine(
        database.engine.url, poolclass=NullPool, connect_args={"timeout": _CONNECT_SECONDS}
    )
    postgres_sessions.watch(engine, connect_seconds=_CONNECT_SECONDS, longest=None)
    try:
        yield Database(engine)
    finally:
        await engine.dispose()


async def standing(database: Database) -> Standing:
    """Raises UnavailableError, also where the schema is none that this program can work with."""
    async with database.transaction() as connection:
        return await connection.run_sync(_standing)


async def is_current(database: Database) -> bool:
    """Whether the database has all that this program needs. Raises UnavailableError."""
    return await standing(database) is not Standing.BEHIND


def _standing(connection: Connection) -> Standing:
    current = MigrationContext.configure(connection).get_current_revision()
    scripts = ScriptDirectory.from_config(configuration())
    head = scripts.get_current_head()
    if current == head:
        return Standing.CURRENT
    if current is None or current in {script.revision for script in scripts.walk_revisions()}:
        return Standing.BEHIND
    if head is not None and _is_addition(current, head) and _is_ours(connection):
        return Standing.AHEAD
    raise UnavailableError(
        f"The database's schema (revision {current}) is not one that this version works with: run "
        "the version that made it, or a later one"
    )


def _is_ours(connection: Connection) -> bool:
    return set(inspect(connection).get_table_names()) >= set(metadata.tables)


def _is_addition(revision: str, head: str) -> bool:
    """Revisions are numbered. Those of one thousand only add to each other: see CONTRIBUTING.md."""
    same = len(revision) == len(head) and revision.isdecimal() and revision[0] == head[0]
    return same and revision > head
