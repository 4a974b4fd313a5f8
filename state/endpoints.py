"""Webhook endpoints in SQL, for their management. What goes out to them is the outbox's."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, insert, literal, select, text, update
from sqlalchemy.exc import IntegrityError

from service.delivery.endpoint_ports import (
    Batch,
    Changes,
    DeliveryRecord,
    DeliveryStatus,
    ManagedEndpoint,
    Mark,
    Span,
)
from service.delivery.events import EventType
from service.delivery.ports import Endpoint
from state import replays
from state.database import Database
from state.endpoint_rows import delivery_of, endpoint_of, row_of, types_column
from state.tables import deliveries, events, webhook_endpoints

_LOCK = 7_205_531_845  # of adding endpoints; any constant that no other application takes

_STATUS: dict[DeliveryStatus, ColumnElement[bool]] = {
    DeliveryStatus.WAITING: deliveries.c.done_at.is_(None),
    DeliveryStatus.DELIVERED: deliveries.c.delivered,
    DeliveryStatus.FAILED: and_(deliveries.c.done_at.is_not(None), ~deliveries.c.delivered),
}


class SqlEndpoints:
    """Implements service.delivery.endpoint_ports.EndpointRecords."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, endpoint: Endpoint, *, most: int) -> bool:
        """Counted by the statement that inserts: SQLite has one writer, and on Postgres a lock
        lets one in at a time.
        """
        row = row_of(endpoint)
        values = [_literal(name, value) for name, value in row.items()]
        count = select(func.count()).select_from(webhook_endpoints).scalar_subquery()
        statement = insert(webhook_endpoints).from_select(
            list(row), select(*values).where(count < most)
        )
        async with self._database.transaction() as connection:
            if connection.dialect.name == "postgresql":
                lock = text("SELECT pg_advisory_xact_lock(:lock)")
                await connection.execute(lock, {"lock": _LOCK})
            return (await connection.execute(statement)).rowcount == 1

    async def all(self, now: datetime) -> Sequence[ManagedEndpoint]:
        query = select(webhook_endpoints).order_by(
            webhook_endpoints.c.created_at, webhook_endpoints.c.id
        )
        async with self._database.transaction() as connection:
            return [endpoint_of(row, now) for row in (await connection.execute(query)).mappings()]

    async def get(self, endpoint_id: str, now: datetime) -> ManagedEndpoint | None:
        return await self._one(select(webhook_endpoints), endpoint_id, now)

    async def change(
        self,
        endpoint_id: str,
        now: datetime,
        changes: Changes,
        *,
        disabled_reason: str | None = None,
    ) -> ManagedEndpoint | None:
        values: dict[str, Any] = {**changes, "updated_at": now}
        if "enabled" in changes:
            values["disabled_reason"] = disabled_reason
        if "event_types" in changes:
            values["event_types"] = types_column(changes["event_types"])
        return await self._update(endpoint_id, now, values)

    async def rotate(
        self, endpoint_id: str, secret: str, now: datetime, *, previous_until: datetime
    ) -> ManagedEndpoint | None:
        values = {
            "previous_secret": webhook_endpoints.c.secret,
            "previous_until": previous_until,
            "secret": secret,
            "updated_at": now,
        }
        return await self._update(endpoint_id, now, values)

    async def clear(self, endpoint_id: str, limit: int) -> int:
        """Waits for no lock while it holds one, so it cannot be part of a deadlock."""
        some = (
            select(deliveries.c.id)
            .where(deliveries.c.endpoint_id == endpoint_id)
            .order_by(deliveries.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        statement = delete(deliveries).where(deliveries.c.id.in_(some.scalar_subquery()))
        async with self._database.transaction() as connection:
            return (await connection.execute(statement)).rowcount

    async def remove(self, endpoint_id: str) -> bool:
        statement = delete(webhook_endpoints).where(webhook_endpoints.c.id == endpoint_id)
        try:
            async with self._database.transaction() as connection:
                await connection.execute(statement)
        except IntegrityError:
            return False
        return True

    async def deliveries(
        self, endpoint_id: str, *, status: DeliveryStatus | None, before: int | None, limit: int
    ) -> Sequence[DeliveryRecord]:
        query = (
            select(deliveries, events.c.type)
            .join(events, events.c.id == deliveries.c.event_id)
            .where(deliveries.c.endpoint_id == endpoint_id)
            .order_by(deliveries.c.id.desc())
            .limit(limit)
        )
        if status is not None:
            query = query.where(_STATUS[status])
        if before is not None:
            query = query.where(deliveries.c.id < before)
        async with self._database.transaction() as connection:
            return [delivery_of(row) for row in (await connection.execute(query)).mappings()]

    async def replay(
        self, endpoint_id: str, span: Span, after: Mark | None, now: datetime, limit: int
    ) -> Batch | None:
        make = replays.make_undelivered_due if span.only_failed else replays.make_due
        async with self._database.transaction() as connection:
            if not await replays.hold(connection, endpoint_id):
                return None
            marks = await replays.page(connection, span, after, limit)
            due = await make(connection, endpoint_id, [mark.id for mark in marks], now)
        return Batch(due, marks[-1] if len(marks) == limit else None)

    async def replay_event(
        self, endpoint_id: str, event_id: str, types: Collection[EventType], now: datetime
    ) -> bool | None:
        if "\0" in event_id:
            return False  # no text for Postgres, and no id of ours
        async with self._database.transaction() as connection:
            if not await replays.hold(connection, endpoint_id):
                return None
            if not await replays.is_wanted(connection, event_id, types):
                return False
            return await replays.make_due(connection, endpoint_id, [event_id], now) == 1

    async def _update(
        self, endpoint_id: str, now: datetime, values: Mapping[str, Any]
    ) -> ManagedEndpoint | None:
        statement = update(webhook_endpoints).values(values).returning(*webhook_endpoints.c)
        return await self._one(statement, endpoint_id, now)

    async def _one(self, statement: Any, endpoint_id: str, now: datetime) -> ManagedEndpoint | None:
        if "\0" in endpoint_id:
            return None
        statement = statement.where(webhook_endpoints.c.id == endpoint_id)
        async with self._database.transaction() as connection:
            row = (await connection.execute(statement)).mappings().one_or_none()
        return None if row is None else endpoint_of(row, now)


def _literal(name: str, value: Any) -> ColumnElement[Any]:
    if isinstance(value, ColumnElement):
        return value
    return literal(value, webhook_endpoints.c[name].type)
