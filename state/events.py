"""Writes an event in the transaction of the transition that it tells of.

The user's next number is taken under the lock of the user's own row, held until the commit: so
whoever reads up to a number has missed none before it. In the order of locks of state/usage.py
this row comes last of all.
"""

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from service.delivery.events import Happening
from state.tables import events, user_sequences
from state.upsert import insert_into


async def write(connection: AsyncConnection, happening: Happening) -> int:
    """The event's number in the user's sequence, 1 being the first."""
    sequence = await _next(connection, happening.user_id)
    row = {
        "id": happening.id,
        "type": happening.type.value,
        "user_id": happening.user_id,
        "sequence": sequence,
        "upload_id": happening.upload_id,
        "before": happening.before,
        "after": happening.after,
        "reason": happening.reason,
        "at": happening.at,
        "payload": happening.payload(sequence),
    }
    await connection.execute(insert(events).values(row))
    return sequence


async def _next(connection: AsyncConnection, user_id: str) -> int:
    statement = (
        insert_into(connection, user_sequences)
        .values(user_id=user_id, last=1)
        .on_conflict_do_update(index_elements=["user_id"], set_={"last": user_sequences.c.last + 1})
        .returning(user_sequences.c.last)
    )
    return int((await connection.execute(statement)).scalar_one())


async def lock(connection: AsyncConnection, user_id: str) -> None:
    """Whoever else writes an event of this user waits until the commit."""
    statement = (
        insert_into(connection, user_sequences)
        .values(user_id=user_id, last=0)
        .on_conflict_do_update(index_elements=["user_id"], set_={"last": user_sequences.c.last})
    )
    await connection.execute(statement)
