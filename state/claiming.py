"""Which due deliveries a worker gets: each endpoint's own oldest, the places shared out evenly."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, ScalarSelect, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from service.delivery.ports import Delivery
from state.tables import deliveries, events, webhook_endpoints

_WAITING = deliveries.c.done_at.is_(None)


async def endpoints_with_work(connection: AsyncConnection, now: datetime) -> Sequence[RowMapping]:
    """Enabled ones with something due, the longest due first."""
    oldest: ScalarSelect[datetime | None] = (
        select(deliveries.c.due_at)
        .where(
            deliveries.c.endpoint_id == webhook_endpoints.c.id,
            _WAITING,
            deliveries.c.due_at <= now,
        )
        .order_by(deliveries.c.due_at)
        .limit(1)
        .scalar_subquery()
    )
    e = webhook_endpoints.c
    all_of_them = (
        select(e.id, e.url, e.secret, e.previous_secret, e.previous_until, oldest.label("oldest"))
        .where(e.enabled)
        .subquery()
    )
    found = await connection.execute(
        select(all_of_them)
        .where(all_of_them.c.oldest.is_not(None))
        .order_by(all_of_them.c.oldest, all_of_them.c.id)
    )
    return found.mappings().all()


def shares(
    endpoints: Sequence[str], busy: Mapping[str, int], limit: int, per_endpoint: int
) -> dict[str, int]:
    """One place after another to whichever endpoint has the fewest: neither a backlog nor a
    receiver that is slow takes what the others need. The last quarter of all places is for those
    that have none: some receivers that are slow together hold up nobody else.
    """
    kept_free = (limit + sum(busy.values())) // 4
    taken = {endpoint: busy.get(endpoint, 0) for endpoint in endpoints}
    for left in range(limit, 0, -1):
        endpoint = min(taken, key=taken.__getitem__, default=None)
        if endpoint is None or taken[endpoint] >= per_endpoint:
            break
        if taken[endpoint] and left <= kept_free:
            break
        taken[endpoint] += 1
    return {endpoint: count - busy.get(endpoint, 0) for endpoint, count in taken.items()}


async def lease(
    connection: AsyncConnection,
    endpoint_id: str,
    worker: str,
    now: datetime,
    *,
    until: datetime,
    limit: int,
) -> Sequence[RowMapping]:
    """`due_at` is moved to the lease's end: what is not finished comes due again."""
    due = (
        select(deliveries.c.id)
        .where(deliveries.c.endpoint_id == endpoint_id, _WAITING, deliveries.c.due_at <= now)
        .order_by(deliveries.c.due_at, deliveries.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")  # looked up once: joined to what it locks, it could be again
    )
    statement = (
        update(deliveries)
        .where(deliveries.c.id.in_(select(due.c.id)))
        .values(leased_by=worker, due_at=until, attempts=deliveries.c.attempts + 1)
        .returning(*(deliveries.c[name] for name in ("id", "event_id", "attempts", "failures")))
    )
    rows = (await connection.execute(statement)).mappings().all()
    return sorted(rows, key=_by_id)


def _by_id(row: RowMapping) -> int:
    return int(row["id"])


async def payloads(connection: AsyncConnection, event_ids: Sequence[str]) -> dict[Any, str]:
    wanted = select(events.c.id, events.c.payload).where(events.c.id.in_(event_ids))
    return {row.id: row.payload for row in await connection.execute(wanted)}


def delivery(endpoint: RowMapping, row: RowMapping, payload: str, now: datetime) -> Delivery:
    secrets = [endpoint["secret"]]
    previous, until = endpoint["previous_secret"], endpoint["previous_until"]
    if previous and until and until > now:
        secrets.append(previous)
    return Delivery(
        id=row["id"],
        event_id=row["event_id"],
        endpoint_id=endpoint["id"],
        url=endpoint["url"],
        secrets=tuple(secrets),
        payload=payload,
        attempts=row["attempts"],
        failures=row["failures"],
    )
