"""INSERT … ON CONFLICT, which SQLite and Postgres spell alike and SQLAlchemy keeps apart."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, Table, any_, bindparam, func
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection


def insert_into(connection: AsyncConnection, table: Table) -> Any:
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)


def one_of(
    connection: AsyncConnection, column: Column[Any], values: Sequence[Any]
) -> ColumnElement[bool]:
    """Of Postgres one array, so that any number of values is the same prepared statement."""
    if connection.dialect.name == "postgresql":
        array = bindparam(None, values, type_=postgresql.ARRAY(column.type))
        return column == any_(array)
    return column.in_(values)


def among(dialect: str, column: Column[Any], query: Select[Any]) -> ColumnElement[bool]:
    """Of Postgres one array again, which is made once: as a list it could be asked for anew for
    each row, and `LIMIT` and `SKIP LOCKED` then take other rows each time.
    """
    if dialect == "postgresql":
        return column == any_(func.array(query.scalar_subquery()))
    return column.in_(query)
