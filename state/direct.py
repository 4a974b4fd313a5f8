"""Statements that SQLAlchemy has written once, sent to Postgres by the driver itself.

For the few that every completion needs: their way through SQLAlchemy (finding what was compiled,
arranging parameters and columns, switching to and fro) costs more than the driver and the socket.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

import asyncpg  # type: ignore[import-untyped]  # it ships none
from sqlalchemy import Dialect, Executable
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.sql import ClauseElement
from sqlalchemy.util import greenlet_spawn

# By SQLSTATE's classes: connection lost, no room for one, and an operator's (or a time-out's) end.
_AWAY = (
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
)


async def rows(
    engine: AsyncEngine, statement: Executable, values: Mapping[str, Any]
) -> Sequence[Mapping[str, Any]] | None:
    """Names the columns, with values as the tables' types give them. None where Postgres refuses
    the statement, of which nothing is done then: SQLAlchemy's way says why, as everywhere else.
    Raises OSError where it is away, and SQLAlchemy's TimeoutError where no connection comes free.

    `statement` is kept, so it must be one of a few.
    """
    prepared = _prepared(statement, engine.dialect)
    try:
        connection = await engine.raw_connection()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, DBAPIError) as error:
        # Whatever it says at the door, it is away.
        raise ConnectionError from error
    try:
        return await _fetched(connection.driver_connection, prepared, values)
    finally:
        # Waits for nothing, as nothing was begun, and so cannot be cancelled either.
        await greenlet_spawn(connection.close)


async def _fetched(
    driver: Any, prepared: "Prepared", values: Mapping[str, Any]
) -> Sequence[Mapping[str, Any]] | None:
    try:
        found = await driver.fetch(prepared.sql, *prepared.arguments(values))
    except _AWAY as error:
        raise ConnectionError from error
    except asyncpg.PostgresError:
        return None
    return cast("Sequence[Mapping[str, Any]]", found)


class Prepared:
    """A statement as SQLAlchemy writes it, and its arguments in the driver's order."""

    def __init__(self, statement: ClauseElement, dialect: Dialect) -> None:
        compiled: Any = statement.compile(dialect=dialect)
        self.sql = str(compiled)
        self.is_open = bool(compiled.post_compile_params)
        known = compiled.params
        self._places = [
            (name, known[name], _processor(compiled.binds[name].type, dialect))
            for name in compiled.positiontup
        ]

    def arguments(self, values: Mapping[str, Any]) -> list[Any]:
        found = []
        for name, known, processor in self._places:
            value = values.get(name, known)
            found.append(value if processor is None else processor(value))
        return found


@lru_cache(maxsize=256)
def _prepared(statement: Any, dialect: Dialect) -> Prepared:
    return Prepared(statement, dialect)


def _processor(kind: Any, dialect: Dialect) -> Callable[[Any], Any] | None:
    found: Callable[[Any], Any] | None = kind.dialect_impl(dialect).bind_processor(dialect)
    return found
