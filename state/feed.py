"""A user's events in SQL, read by their sequence."""

from collections.abc import Sequence

from sqlalchemy import select

from service.delivery.ports import FeedEvent
from state.database import Database
from state.tables import events, user_sequences


class SqlEventFeed:
    """Implements service.delivery.ports.EventFeed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def last(self, user_id: str) -> int:
        query = select(user_sequences.c.last).where(user_sequences.c.user_id == user_id)
        async with self._database.transaction() as connection:
            return int((await connection.execute(query)).scalar_one_or_none() or 0)

    async def after(self, user_id: str, sequence: int, limit: int) -> Sequence[FeedEvent]:
        query = (
            select(events.c.sequence, events.c.type, events.c.payload)
            .where(events.c.user_id == user_id, events.c.sequence > sequence)
            .order_by(events.c.sequence)
            .limit(limit)
        )
        async with self._database.transaction() as connection:
            return [FeedEvent(*row) for row in await connection.execute(query)]
