"""The statements of a replay.

It takes the endpoint's row first, so that two of one endpoint never wait for each other's
deliveries, and it looks at events that have been spread only, whose deliveries nobody else inserts.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, false, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from service.delivery.endpoint_ports import Mark, Span
from service.delivery.events import EventType
from state.columns import UtcDateTime
from state.tables import deliveries, events, webhook_endpoints
from state.upsert import insert_into, one_of

_MARK = (events.c.at, events.c.id)
# Until the commit, against whoever forgets what is old.
_KEPT: Any = {"read": True, "key_share": True}


async def hold(connection: AsyncConnection, endpoint_id: str) -> bool:
    """Until the commit, against other replays of it and its removal; new deliveries may be made."""
    query = (
        select(webhook_endpoints.c.id)
        .where(webhook_endpoints.c.id == endpoint_id)
        .with_for_update(key_share=True)
    )
    return (await connection.execute(query)).one_or_none() is not None


async def page(
    connection: AsyncConnection, span: Span, after: Mark | None, limit: int
) -> Sequence[Mark]:
    start = span.since if after is None else after.at
    query = (
        select(*_MARK)
        .where(_spread(span.types), events.c.at >= start, events.c.at <= span.until)
        .order_by(*_MARK)
        .limit(limit)
        .with_for_update(**_KEPT)
    )
    if after is not None:
        query = query.where(or_(events.c.at > after.at, events.c.id > after.id))
    return [Mark(*row) for row in await connection.execute(query)]


async def is_wanted(
    connection: AsyncConnection, event_id: str, types: Collection[EventType]
) -> bool:
    query = select(events.c.id).where(events.c.id == event_id, _spread(types))
    query = query.with_for_update(**_KEPT)
    return (await connection.execute(query)).one_or_none() is not None


async def make_due(
    connection: AsyncConnection, endpoint_id: str, event_ids: Sequence[str], now: datetime
) -> int:
    """Inserts what is missing and makes the rest due, in the order of the events."""
    source = (
        select(
            events.c.id,
            literal(endpoint_id),
            literal(now, UtcDateTime),
            literal(now, UtcDateTime),
            literal(0),
            literal(0),
            false(),
        )
        .where(one_of(connection, events.c.id, event_ids))
        .order_by(*_MARK)
    )
    columns = [
        "event_id",
        "endpoint_id",
        "created_at",
        "due_at",
        "attempts",
        "failures",
        "delivered",
    ]
    statement = (
        insert_into(connection, deliveries)
        .from_select(columns, source)
        .on_conflict_do_update(
            index_elements=["event_id", "endpoint_id"], set_=_afresh(now), where=_at_rest(now)
        )
    )
    return int((await connection.execute(statement)).rowcount)


async def make_undelivered_due(
    connection: AsyncConnection, endpoint_id: str, event_ids: Sequence[str], now: datetime
) -> int:
    statement = update(deliveries).where(
        deliveries.c.endpoint_id == endpoint_id,
        one_of(connection, deliveries.c.event_id, event_ids),
        ~deliveries.c.delivered,
        _at_rest(now),
    )
    return (await connection.execute(statement.values(_afresh(now)))).rowcount


def _spread(types: Collection[EventType]) -> ColumnElement[bool]:
    return and_(
        events.c.spread_at.is_not(None),
        events.c.type.in_(sorted(kind.value for kind in types)),
    )


def _afresh(now: datetime) -> dict[str, Any]:
    return {
        "due_at": now,
        "attempts": 0,
        "failures": 0,
        "leased_by": None,
        "attempted_at": None,
        "last_status": None,
        "last_error": None,
        "done_at": None,
        "delivered": False,
    }


def _at_rest(now: datetime) -> ColumnElement[bool]:
    """In nobody's hands. A lease that ran out is nobody's: the late worker writes nothing."""
    return or_(
        deliveries.c.done_at.is_not(None),
        deliveries.c.leased_by.is_(None),
        deliveries.c.due_at <= now,
    )
