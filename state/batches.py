"""Many rows by one statement; those that are there already are left as they are."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import String, Table, Text, bindparam, column, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection


async def insert_new(
    connection: AsyncConnection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    unique: tuple[str, ...],
) -> set[tuple[Any, ...]]:
    """The values of the `unique` columns of those that are new. All rows have the same columns.

    Written in order of `unique`, so that two who write the same rows wait for each other in one
    direction only.
    """
    ordered = sorted(rows, key=lambda row: [row[name] for name in unique])
    if connection.dialect.name == "postgresql":
        names = tuple(ordered[0])
        arrays = {name: [row[name] for row in ordered] for name in names}
        found = await connection.execute(_from_arrays(table, names, unique), arrays)
    else:
        found = await connection.execute(_from_values(table, unique), ordered)
    return {tuple(row) for row in found}


@cache
def _from_arrays(table: Table, names: tuple[str, ...], unique: tuple[str, ...]) -> Any:
    """An array a column: the same prepared statement for any number of rows, which rows of
    placeholders are not (they also cost Postgres more to read than the rows to write).
    """
    columns = [table.c[name] for name in names]
    arrays = (bindparam(each.name, type_=postgresql.ARRAY(_plain(each.type))) for each in columns)
    given = func.unnest(*arrays).table_valued(*(column(each.name, each.type) for each in columns))
    return (
        postgresql.insert(table)
        .from_select(names, select(*given.render_derived().c))
        .on_conflict_do_nothing(index_elements=unique)
        .returning(*(table.c[name] for name in unique))
    )


def _plain(kind: Any) -> Any:
    """Postgres cuts a text that is cast to one of bounded length; it refuses one that is stored."""
    return Text() if isinstance(kind, String) else kind


@cache
def _from_values(table: Table, unique: tuple[str, ...]) -> Any:
    return (
        sqlite.insert(table)
        .on_conflict_do_nothing(index_elements=unique)
        .returning(*(table.c[name] for name in unique))
    )
