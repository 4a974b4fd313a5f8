"""The inbox in SQL: commit first, answer then; claims are leases."""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from errors import OverloadedError
from service.completion.events import ObjectEvent
from service.completion.ports import Claimed
from state.database import Database
from state.tables import inbox
from state.upsert import insert_into, one_of

_MOST_IDS = 1000  # of one statement; SQLite takes 32,766 values
_MOST_FORGOTTEN = 5000  # of one call: some 50 ms, in which others of SQLite's wait


class SqlInbox:
    """Implements service.completion.ports.Inbox. `limit` bounds the events that wait."""

    def __init__(self, database: Database, *, limit: int) -> None:
        self._database = database
        self._limit = limit

    async def put(self, events: Sequence[ObjectEvent], now: datetime) -> int:
        new = 0
        async with self._database.transaction() as connection:
            if await self._waiting(connection) + len(events) > self._limit:
                raise OverloadedError("Too many events wait to be processed", retry_after=30)
            for event in events:
                new += await self._insert(connection, event, now)
        return new

    async def _waiting(self, connection: AsyncConnection) -> int:
        """Counted up to the limit only, so that a full inbox is no slow one."""
        waiting = select(inbox.c.id).where(inbox.c.done_at.is_(None)).limit(self._limit)
        counted = await connection.execute(select(func.count()).select_from(waiting.subquery()))
        return int(counted.scalar_one())

    async def _insert(self, connection: AsyncConnection, event: ObjectEvent, now: datetime) -> int:
        statement = (
            insert_into(connection, inbox)
            .values(
                source=event.source,
                dedupe_key=event.dedupe_key,
                bucket=event.bucket,
                key=event.key,
                size=event.size,
                etag=event.etag,
                version_id=event.version_id,
                sequencer=event.sequencer,
                event_time=event.event_time,
                raw=event.raw,
                received_at=now,
                due_at=now,
            )
            .on_conflict_do_nothing(index_elements=["source", "dedupe_key"])
        )
        return int((await connection.execute(statement)).rowcount > 0)

    async def claim(
        self, worker: str, now: datetime, *, until: datetime, limit: int
    ) -> Sequence[Claimed]:
        """`due_at` is moved to the lease's end: whoever does not finish lets it come due again."""
        due = (
            select(inbox.c.id)
            .where(inbox.c.done_at.is_(None), inbox.c.due_at <= now)
            .order_by(inbox.c.due_at, inbox.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        statement = (
            update(inbox)
            .where(inbox.c.id.in_(due.scalar_subquery()))
            .values(leased_by=worker, due_at=until, attempts=inbox.c.attempts + 1)
            .returning(*(inbox.c[part.name] for part in fields(Claimed)))
        )
        async with self._database.transaction() as connection:
            rows = (await connection.execute(statement)).all()
        return sorted((Claimed(*row) for row in rows), key=lambda event: event.id)

    async def settle(self, event: Claimed, worker: str, outcome: str, now: datetime) -> None:
        await self._end([event], worker, done_at=now, outcome=outcome)

    async def settle_all(
        self, events: Sequence[Claimed], worker: str, outcome: str, now: datetime
    ) -> None:
        await self._end(events, worker, done_at=now, outcome=outcome)

    async def retry(self, event: Claimed, worker: str, due_at: datetime) -> None:
        await self._end([event], worker, due_at=due_at)

    async def give_up(self, event: Claimed, worker: str, outcome: str, now: datetime) -> None:
        await self._end([event], worker, done_at=now, outcome=outcome, failed=True)

    async def _end(self, events: Sequence[Claimed], worker: str, **values: Any) -> None:
        """Nothing is written of those whose lease has passed to another worker."""
        async with self._database.transaction() as connection:
            for some in _slices([event.id for event in events]):
                mine = one_of(connection, inbox.c.id, some) & (inbox.c.leased_by == worker)
                statement = update(inbox).where(mine).values(leased_by=None, **values)
                await connection.execute(statement)

    async def forget(self, before: datetime) -> int:
        """The oldest first, so that it ends where others wait for nothing."""
        oldest = (
            select(inbox.c.id)
            .where(inbox.c.done_at < before)
            .order_by(inbox.c.done_at)
            .limit(_MOST_FORGOTTEN)
            .with_for_update(skip_locked=True)
        )
        statement = delete(inbox).where(inbox.c.id.in_(oldest.scalar_subquery()))
        async with self._database.transaction() as connection:
            return (await connection.execute(statement)).rowcount


def _slices(ids: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(ids), _MOST_IDS):
        yield ids[start : start + _MOST_IDS]
