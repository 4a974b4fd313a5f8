"""Who waits for whom on Postgres."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import select, text

from service.uploads.model import Upload
from state.database import Database
from state.tables import uploads

_WAITS = text(
    "SELECT pid FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@asynccontextmanager
async def locked(database: Database, row: Upload) -> AsyncIterator[None]:
    """Nobody else can change the record meanwhile."""
    async with database.transaction() as connection:
        await connection.execute(select(uploads).where(uploads.c.id == row.id).with_for_update())
        yield


async def waiting(database: Database) -> list[int]:
    """The backends that wait for a lock."""
    async with database.transaction() as connection:
        return [int(row[0]) for row in await connection.execute(_WAITS)]
