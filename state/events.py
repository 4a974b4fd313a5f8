"""Writes an event in the transaction of the transition that it tells of.

The user's next number is taken under the lock of the user's own row, held until the commit: so
whoever reads up to a number has missed none before it. In the order of locks of state/usage.py
this row comes last of all.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from sqlalchemy import CTE, Text, bindparam, cast, insert, literal, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from service.delivery.events import Happening
from state.tables import events, user_sequences
from state.upsert import insert_into

_GIVEN = ("id", "type", "user_id", "upload_id", "before", "after", "reason", "at")
_NUMBER = '"sequence":'


async def write(connection: AsyncConnection, happening: Happening) -> int:
    """The event's number in the user's sequence, 1 being the first."""
    if connection.dialect.name == "postgresql":
        found = await connection.execute(numbered_and_written(), parameters(happening))
        return int(found.scalar_one())
    sequence = await _next(connection, happening.user_id)
    row = {name: getattr(happening, name) for name in _GIVEN}
    written = {**row, "sequence": sequence, "payload": happening.payload(sequence)}
    await connection.execute(insert(events), written)
    return sequence


async def _next(connection: AsyncConnection, user_id: str) -> int:
    found = await connection.execute(_numbered(), {"of_user": user_id})
    return int(found.scalar_one())


@cache
def _numbered() -> Any:
    return (
        sqlite.insert(user_sequences)
        .values(user_id=bindparam("of_user"), last=1)
        .on_conflict_do_update(index_elements=["user_id"], set_={"last": user_sequences.c.last + 1})
        .returning(user_sequences.c.last)
    )


@cache
def numbered_and_written(after: CTE | None = None) -> Any:
    """Of Postgres one statement, which answers with the number: without a row where `after`, whose
    locks are taken first, has none.
    """
    first = select(_text("user_id"), literal(1))
    number = (
        postgresql.insert(user_sequences)
        .from_select(["user_id", "last"], first if after is None else first.select_from(after))
        .on_conflict_do_update(index_elements=["user_id"], set_={"last": user_sequences.c.last + 1})
        .returning(user_sequences.c.last)
        .cte("number")
    )
    payload = _text("payload_before") + cast(number.c.last, Text) + _text("payload_after")
    given = [_text(name) for name in _GIVEN if name != "at"]
    at = bindparam("given_at", type_=events.c.at.type)
    names = [*(name for name in _GIVEN if name != "at"), "at", "sequence", "payload"]
    row = select(*given, at, number.c.last, payload)
    return insert(events).from_select(names, row).returning(events.c.sequence)


def _text(name: str) -> Any:
    """Of any length: Postgres cuts what is cast to less, and refuses what is stored. By no column's
    name, which SQLAlchemy would take for a value to set.
    """
    return bindparam(f"given_{name}", type_=Text())


def parameters(happening: Happening) -> Mapping[str, Any]:
    """Of `numbered_and_written`. The number is put into the payload where it is taken."""
    before, number, after = happening.payload(0).partition(f"{_NUMBER}0")
    if not number:
        raise ValueError("a payload without a place for its number")
    values = {f"given_{name}": getattr(happening, name) for name in _GIVEN}
    around = {"given_payload_before": f"{before}{_NUMBER}", "given_payload_after": after}
    return {**values, **around}


async def lock(connection: AsyncConnection, user_id: str) -> None:
    """Whoever else writes an event of this user waits until the commit."""
    statement = (
        insert_into(connection, user_sequences)
        .values(user_id=user_id, last=0)
        .on_conflict_do_update(index_elements=["user_id"], set_={"last": user_sequences.c.last})
    )
    await connection.execute(statement)
