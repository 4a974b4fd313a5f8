"""The inbox in SQL: commit first, answer then; claims are leases."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Executable, Integer, bindparam, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from errors import OverloadedError
from service.completion.events import EventId, ObjectEvent
from service.completion.outcome import NOT_SHOWN
from service.completion.ports import Claimed
from state.batches import insert_new
from state.database import Database
from state.tables import inbox
from state.upsert import among, one_of

_MOST_IDS = 1000  # of one statement; SQLite takes 32,766 values
_MOST_FORGOTTEN = 5000  # of one call: some 50 ms, in which others of SQLite's wait
_COUNTED_SECONDS = 1.0
_UNSEEN = sorted(outcome.value for outcome in NOT_SHOWN)
_AFRESH: Mapping[str, Any] = {
    "done_at": None,
    "outcome": None,
    "failed": False,
    "leased_by": None,
    "attempts": 0,
    "looks": 0,
    "faults": 0,
}
_OF_EVENT = tuple(part.name for part in fields(ObjectEvent))


class SqlInbox:
    """Implements service.completion.ports.Inbox. `limit` bounds the events that wait."""

    def __init__(self, database: Database, *, limit: int) -> None:
        self._database = database
        self._limit = limit
        self._room = 0
        self._counted_at = 0.0

    async def put(self, events: Sequence[ObjectEvent], now: datetime) -> set[EventId]:
        async with self._database.transaction() as connection:
            await self._check_room(connection, len(events))
            rows = [_row(event, now) for event in events]
            new = await insert_new(connection, inbox, rows, ("source", "dedupe_key"))
            known = [event.id for event in events if event.id not in new]
            if known:
                new |= await _reopened(connection, known, now)
        self._room -= len(new)
        return new

    async def _check_room(self, connection: AsyncConnection, wanted: int) -> None:
        """Counted anew once a second, for what other replicas put and processors take out, and
        before anything is refused.
        """
        now = asyncio.get_running_loop().time()
        if wanted > self._room or now > self._counted_at + _COUNTED_SECONDS:
            self._room = self._limit - await self._waiting(connection)
            self._counted_at = now
        if wanted > self._room:
            raise OverloadedError("Too many events wait to be processed", retry_after=30)

    async def _waiting(self, connection: AsyncConnection) -> int:
        """Counted up to the limit only, so that a full inbox is no slow one."""
        waiting = select(inbox.c.id).where(inbox.c.done_at.is_(None)).limit(self._limit)
        counted = await connection.execute(select(func.count()).select_from(waiting.subquery()))
        return int(counted.scalar_one())

    async def claim(
        self, worker: str, now: datetime, *, until: datetime, limit: int
    ) -> Sequence[Claimed]:
        """`due_at` is moved to the lease's end: whoever does not finish lets it come due again."""
        values = {"worker": worker, "now": now, "until": until, "limit": limit}
        async with self._database.single() as connection:
            found = await connection.execute(_claiming(connection.dialect.name), values)
            rows = found.all()
        return sorted((Claimed(*row) for row in rows), key=lambda event: event.id)

    async def settle(self, event: Claimed, worker: str, outcome: str, now: datetime) -> None:
        await self._end([event], worker, done_at=now, outcome=outcome)

    async def settle_all(
        self, events: Sequence[Claimed], worker: str, outcome: str, now: datetime
    ) -> None:
        await self._end(events, worker, done_at=now, outcome=outcome)

    async def retry(
        self,
        event: Claimed,
        worker: str,
        due_at: datetime,
        *,
        looked: bool = False,
        faulted: bool = False,
    ) -> None:
        counts = {"looks": event.looks + looked, "faults": event.faults + faulted}
        await self._end([event], worker, due_at=due_at, **counts)

    async def give_up(self, event: Claimed, worker: str, outcome: str, now: datetime) -> None:
        await self._end([event], worker, done_at=now, outcome=outcome, failed=True)

    async def _end(self, events: Sequence[Claimed], worker: str, **values: Any) -> None:
        """Nothing is written of those whose lease has passed to another worker."""
        async with self._database.transaction() as connection:
            for some in _slices([event.id for event in events]):
                mine = one_of(connection, inbox.c.id, some) & (inbox.c.leased_by == worker)
                statement = update(inbox).where(mine).values(leased_by=None, **values)
                await connection.execute(statement)

    async def call_back(self, now: datetime, *, beyond: datetime) -> int:
        far = select(inbox.c.id).where(inbox.c.done_at.is_(None), inbox.c.due_at > beyond)
        some = far.limit(_MOST_FORGOTTEN).with_for_update(skip_locked=True)
        async with self._database.single() as connection:
            found = among(connection.dialect.name, inbox.c.id, some)
            statement = update(inbox).where(found).values(due_at=now)
            return (await connection.execute(statement)).rowcount

    async def forget(self, before: datetime) -> int:
        """The oldest first, so that it ends where others wait for nothing."""
        oldest = (
            select(inbox.c.id)
            .where(inbox.c.done_at < before)
            .order_by(inbox.c.done_at)
            .limit(_MOST_FORGOTTEN)
            .with_for_update(skip_locked=True)
        )
        async with self._database.single() as connection:
            found = among(connection.dialect.name, inbox.c.id, oldest)
            return (await connection.execute(delete(inbox).where(found))).rowcount


def _row(event: ObjectEvent, now: datetime) -> dict[str, Any]:
    given = {name: getattr(event, name) for name in _OF_EVENT}
    return {**given, "received_at": now, "due_at": now}


async def _reopened(
    connection: AsyncConnection, known: Sequence[EventId], now: datetime
) -> set[EventId]:
    """One statement a source, which seldom are two, for any number."""
    found: set[EventId] = set()
    for source in sorted({source for source, _ in known}):
        keys = sorted(key for of, key in known if of == source)
        statement = (
            update(inbox)
            .where(
                inbox.c.source == source,
                one_of(connection, inbox.c.dedupe_key, keys),
                inbox.c.done_at.is_not(None),
                or_(inbox.c.failed, one_of(connection, inbox.c.outcome, _UNSEEN)),
            )
            .values({**_AFRESH, "due_at": now})
            .returning(inbox.c.source, inbox.c.dedupe_key)
        )
        found |= {(row.source, row.dedupe_key) for row in await connection.execute(statement)}
    return found


@cache
def _claiming(dialect: str) -> Executable:
    due = (
        select(inbox.c.id)
        .where(inbox.c.done_at.is_(None), inbox.c.due_at <= bindparam("now"))
        .order_by(inbox.c.due_at, inbox.c.id)
        .limit(bindparam("limit", type_=Integer()))
        .with_for_update(skip_locked=True)
    )
    return (
        update(inbox)
        .where(among(dialect, inbox.c.id, due))
        .values(
            leased_by=bindparam("worker"),
            due_at=bindparam("until", type_=inbox.c.due_at.type),
            attempts=inbox.c.attempts + 1,
        )
        .returning(*(inbox.c[part.name] for part in fields(Claimed)))
    )


def _slices(ids: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(ids), _MOST_IDS):
        yield ids[start : start + _MOST_IDS]
