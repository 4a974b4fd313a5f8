"""What Postgres read for a piece of work, by its own counters: a statement whose plan passes over
its index is seen here, whichever it was.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from state.database import Database

# Those of a million rows. Of small tables it reads the whole, and rightly.
LARGE = ("inbox", "events", "deliveries", "uploads")
_TABLES = (
    "SELECT seq_tup_read, coalesce(idx_tup_fetch, 0) AS fetched FROM pg_stat_user_tables"
    " WHERE relname = ANY($1)"
)
_INDEXES = "SELECT indexrelname, idx_scan FROM pg_stat_user_indexes WHERE relname = ANY($1)"
_OTHERS = (
    "SELECT 1 FROM pg_stat_activity WHERE datname = current_database()"
    " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


@dataclass
class Reads:
    """Rows of the large tables; of those the ones that were read one after another, without an
    index. `indexes` are those that were used. Complete when its context has ended.
    """

    rows: int = 0
    in_sequence: int = 0
    indexes: tuple[str, ...] = ()


@contextlib.asynccontextmanager
async def watched(url: str) -> AsyncIterator[tuple[Database, Reads]]:
    """A database for one piece of work. A server counts for certain what a connection has done
    once that is closed.
    """
    reads, before = Reads(), await _counts(url)
    async with Database.opened(url) as database:
        yield database, reads
    after = await _counts(url)
    reads.in_sequence = after.in_sequence - before.in_sequence
    reads.rows = reads.in_sequence + after.fetched - before.fetched
    reads.indexes = tuple(
        sorted(name for name, used in after.scans.items() if used > before.scans.get(name, 0))
    )


@dataclass(frozen=True)
class _Counts:
    in_sequence: int
    fetched: int
    scans: dict[str, int]


async def _counts(url: str) -> _Counts:
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        await _alone(connection)
        tables = (await connection.exec_driver_sql(_TABLES, (list(LARGE),))).mappings().all()
        indexes = (await connection.exec_driver_sql(_INDEXES, (list(LARGE),))).mappings().all()
    await engine.dispose()
    return _Counts(
        sum(row["seq_tup_read"] for row in tables),
        sum(row["fetched"] for row in tables),
        {row["indexrelname"]: row["idx_scan"] for row in indexes},
    )


async def _alone(connection: AsyncConnection) -> None:
    async with asyncio.timeout(10):
        while (await connection.exec_driver_sql(_OTHERS)).first() is not None:
            await connection.rollback()  # or the next look would see what this one saw
            await asyncio.sleep(0.05)
    await connection.rollback()
