"""Reading statements that SQLAlchemy has written once, by one visit to the SQLite driver's thread.

As state/direct.py for Postgres. SQLAlchemy's way makes several visits (cursor, statement, rows,
commit), and most of a row's cost is its own.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Dialect, Select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from state.direct import Prepared

_AWAY = (sqlite3.OperationalError, sqlite3.InterfaceError)
Processor = Callable[[Any], Any]


async def rows(
    engine: AsyncEngine, statement: Select[Any], values: Mapping[str, Any]
) -> Sequence[Mapping[str, Any]] | None:
    """Names the columns, with values as the tables' types give them. None where the statement
    cannot be had so, or SQLite refuses it: SQLAlchemy's way says why, as everywhere else. Raises
    OSError where the file cannot be read, and SQLAlchemy's TimeoutError where the connection does
    not come free.

    Only reading: what changes something would begin a transaction that nobody ends. `statement` is
    kept, so it must be one of a few.
    """
    found = _prepared(statement, engine.dialect)
    if found is None:
        return None
    prepared, columns = found
    try:
        connection = await engine.raw_connection()
    except (sqlite3.Error, DBAPIError) as error:
        raise ConnectionError from error
    try:
        driver: Any = connection.driver_connection
        fetched = await driver.execute_fetchall(prepared.sql, prepared.arguments(values))
    except _AWAY as error:
        raise ConnectionError from error
    except sqlite3.Error:
        return None
    finally:
        await greenlet_spawn(connection.close)
    return [columns.row(one) for one in fetched]


class _Columns:
    def __init__(self, statement: Select[Any], dialect: Dialect) -> None:
        selected = list(statement.selected_columns)
        processors = [_processor(column.type, dialect) for column in selected]
        self._names = [str(column.key) for column in selected]
        self._read = [
            (name, processor)
            for name, processor in zip(self._names, processors, strict=True)
            if processor is not None
        ]

    def row(self, values: Sequence[Any]) -> Mapping[str, Any]:
        found = dict(zip(self._names, values, strict=True))
        for name, processor in self._read:
            found[name] = processor(found[name])
        return found


@lru_cache(maxsize=64)
def _prepared(statement: Any, dialect: Dialect) -> tuple[Prepared, _Columns] | None:
    """None where its text depends on the values, as that of `IN` with a list does."""
    prepared = Prepared(statement, dialect)
    return None if prepared.is_open else (prepared, _Columns(statement, dialect))


def _processor(kind: Any, dialect: Dialect) -> Processor | None:
    found: Processor | None = kind.dialect_impl(dialect).result_processor(dialect, None)
    return found
