"""Events over endpoints: which delivery there must be."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import RowMapping, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from service.delivery.events import DEFAULT_TYPES
from state.tables import deliveries, events, webhook_endpoints
from state.upsert import insert_into

# Two machines' clocks are compared. What waits is moments old, so nothing much is sent too early.
_LEEWAY = timedelta(minutes=5)


async def spread(connection: AsyncConnection, now: datetime, limit: int) -> int:
    """How many events there were. What another worker has in its hands is passed over: should
    that one fail, they are undistributed as before.
    """
    waiting = (
        select(events.c.id, events.c.type, events.c.at)
        .where(events.c.spread_at.is_(None))
        .order_by(events.c.at, events.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    found = (await connection.execute(waiting)).mappings().all()
    if not found:
        return 0
    if rows := _rows(found, await _enabled(connection), now):
        pair = ["event_id", "endpoint_id"]
        statement = insert_into(connection, deliveries).on_conflict_do_nothing(index_elements=pair)
        await connection.execute(statement, rows)
    spread_ones = events.c.id.in_([event["id"] for event in found])
    await connection.execute(update(events).where(spread_ones).values(spread_at=now))
    return len(found)


async def _enabled(connection: AsyncConnection) -> Sequence[RowMapping]:
    """None of them can be deleted before the commit."""
    e = webhook_endpoints.c
    enabled = (
        select(e.id, e.event_types, e.created_at)
        .where(e.enabled)
        .order_by(e.id)
        .with_for_update(read=True, key_share=True)
    )
    return (await connection.execute(enabled)).mappings().all()


def _rows(
    found: Sequence[RowMapping], endpoints: Sequence[RowMapping], now: datetime
) -> list[dict[str, Any]]:
    return [
        {"event_id": event["id"], "endpoint_id": endpoint["id"], "created_at": now, "due_at": now}
        for event in found
        for endpoint in endpoints
        if event["type"] in _wanted(endpoint) and event["at"] >= endpoint["created_at"] - _LEEWAY
    ]


def _wanted(endpoint: RowMapping) -> frozenset[str]:
    types = endpoint["event_types"]
    return DEFAULT_TYPES if types is None else frozenset(types)
