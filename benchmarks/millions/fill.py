"""Rows by the million, made by the database itself."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import create_async_engine

_LONGEST_SECONDS = 600.0  # of one statement; the service's own may take much less
_PREPARE = "SET synchronous_commit = off; SET maintenance_work_mem = '256MB'"
_CONSTRAINTS = (
    "SELECT conname, conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE (conrelid = ANY($1::regclass[]) OR confrelid = ANY($1::regclass[]))"
    " AND contype IN ('p', 'u', 'f') ORDER BY contype"  # f, p, u
)
_INDEXES = (
    "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
    " WHERE indrelid = ANY($1::regclass[])"
    " AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)"
)


async def filled(url: str, count: int, tables: Sequence[str], *statements: str) -> None:
    """The tables are emptied first. Statements run all at once; each knows `count` as $1. Indexes
    are made anew when the rows are there, which is many times as fast; and the tables are analysed,
    as autovacuum would by and by.
    """
    async with _connected(url) as driver:
        rebuild = await _dropped(driver, tables)
        await driver.execute(f"TRUNCATE {', '.join(tables)}")
        async with asyncio.TaskGroup() as group:
            for statement in statements:
                group.create_task(_run(url, statement, count))
        for statement in (*rebuild, *(f"ANALYZE {table}" for table in tables)):
            await driver.execute(statement, timeout=_LONGEST_SECONDS)


async def _dropped(driver: Any, tables: Sequence[str]) -> list[str]:
    """What makes them again."""
    constraints = await driver.fetch(_CONSTRAINTS, tables)
    indexes = await driver.fetch(_INDEXES, tables)
    for name, table, _ in constraints:
        await driver.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    for name, _ in indexes:
        await driver.execute(f"DROP INDEX {name}")
    again = [
        f"ALTER TABLE {table} ADD CONSTRAINT {name} {text}" for name, table, text in constraints
    ]
    return [*(text for _, text in indexes), *reversed(again)]  # foreign keys last of all


async def _run(url: str, statement: str, count: int) -> None:
    async with _connected(url) as driver:
        await driver.execute(statement, count, timeout=_LONGEST_SECONDS)


@contextlib.asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Any]:
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        await driver.execute(_PREPARE)
        yield driver
    await engine.dispose()
