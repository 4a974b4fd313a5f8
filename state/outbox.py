"""The outbox in SQL: what is claimed, and what becomes of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, Select, and_, delete, exists, func, or_, select, update

from service.delivery.ports import Delivery, Forgotten, Place
from state import claiming, spreading
from state.database import Database
from state.tables import deliveries, events, webhook_endpoints
from state.upsert import one_of


class SqlOutbox:
    """Implements service.delivery.ports.Outbox."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def fan_out(self, now: datetime, limit: int) -> int:
        async with self._database.transaction() as connection:
            return await spreading.spread(connection, now, limit)

    async def claim(
        self,
        worker: str,
        now: datetime,
        *,
        until: datetime,
        limit: int,
        per_endpoint: int,
        busy: Mapping[str, int],
    ) -> Sequence[Delivery]:
        """An endpoint at a time, so that the backlog of one is never read past for another."""
        leased: list[tuple[RowMapping, RowMapping]] = []
        async with self._database.transaction() as connection:
            endpoints = await claiming.endpoints_with_work(connection, now)
            ids = [endpoint["id"] for endpoint in endpoints]
            shares = claiming.shares(ids, busy, limit, per_endpoint)
            for endpoint in endpoints:
                if share := shares[endpoint["id"]]:
                    rows = await claiming.lease(
                        connection, endpoint["id"], worker, now, until=until, limit=share
                    )
                    leased += [(endpoint, row) for row in rows]
            payloads = await claiming.payloads(connection, [row["event_id"] for _, row in leased])
        return [
            claiming.delivery(endpoint, row, payloads[row["event_id"]], now)
            for endpoint, row in leased
        ]

    async def delivered(self, delivery: Delivery, worker: str, now: datetime, status: int) -> None:
        done = {"done_at": now, "delivered": True, "last_status": status, "last_error": None}
        await self._end(delivery, worker, now, **done)

    async def retry(
        self,
        delivery: Delivery,
        worker: str,
        now: datetime,
        *,
        due_at: datetime,
        status: int | None,
        error: str,
    ) -> None:
        told = {"last_status": status, "last_error": error, "failures": delivery.failures + 1}
        await self._end(delivery, worker, now, due_at=due_at, **told)

    async def give_up(
        self, delivery: Delivery, worker: str, now: datetime, *, status: int | None, error: str
    ) -> None:
        told = {"last_status": status, "last_error": error}
        await self._end(delivery, worker, now, done_at=now, **told)

    async def _end(self, delivery: Delivery, worker: str, now: datetime, **values: Any) -> None:
        """The attempts tell apart two leases that one worker has had of the same delivery."""
        statement = (
            update(deliveries)
            .where(
                deliveries.c.id == delivery.id,
                deliveries.c.leased_by == worker,
                deliveries.c.attempts == delivery.attempts,
            )
            .values(leased_by=None, attempted_at=now, **values)
        )
        async with self._database.transaction() as connection:
            await connection.execute(statement)

    async def disable(self, delivery: Delivery, now: datetime, reason: str) -> None:
        statement = (
            update(webhook_endpoints)
            .where(
                webhook_endpoints.c.id == delivery.endpoint_id,
                webhook_endpoints.c.url == delivery.url,
                webhook_endpoints.c.enabled,
            )
            .values(enabled=False, disabled_reason=reason, updated_at=now)
        )
        async with self._database.transaction() as connection:
            await connection.execute(statement)

    async def forget(
        self, before: datetime, limit: int, *, after: Place | None = None
    ) -> Forgotten:
        """Waits for no lock while it holds one: what somebody is writing just now is left."""
        async with self._database.transaction() as connection:
            found = (await connection.execute(_oldest(before, limit, after))).all()
            ids = [row.id for row in found if not row.awaited]
            theirs = select(deliveries.c.id).where(one_of(connection, deliveries.c.event_id, ids))
            free = theirs.with_for_update(skip_locked=True).cte("free")
            await connection.execute(
                delete(deliveries).where(deliveries.c.id.in_(select(free.c.id)))
            )
            left = exists().where(deliveries.c.event_id == events.c.id)
            gone = delete(events).where(one_of(connection, events.c.id, ids), ~left)
            count = (await connection.execute(gone)).rowcount
        last = found[-1] if len(found) == limit else None
        return Forgotten(count, None if last is None else (last.at, last.id))


def _oldest(before: datetime, limit: int, after: Place | None) -> Select[Any]:
    """And whether anything waits for each. They are taken first, and then asked about one by one:
    as one condition the planner may read all deliveries for each call.
    """
    oldest = (
        select(events.c.id, events.c.at)
        .where(events.c.at < before, events.c.spread_at.is_not(None))
        .order_by(events.c.at, events.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    if after is not None:
        at, event_id = after
        oldest = oldest.where(events.c.at >= at, or_(events.c.at > at, events.c.id > event_id))
    taken = oldest.cte("oldest").prefix_with("MATERIALIZED", dialect="postgresql")
    abandoned = and_(~webhook_endpoints.c.enabled, webhook_endpoints.c.updated_at < before)
    waiting = (
        select(func.count().filter(deliveries.c.done_at.is_(None), ~abandoned))
        .select_from(deliveries.join(webhook_endpoints))
        .where(deliveries.c.event_id == taken.c.id)
        .scalar_subquery()
    )
    awaited = (waiting > 0).label("awaited")
    return select(taken.c.id, taken.c.at, awaited).order_by(taken.c.at, taken.c.id)
