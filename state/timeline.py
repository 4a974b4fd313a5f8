"""What the tables say happened to one upload."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import RowMapping, Select, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from service.completion.history import History, StoreEvent, Transition, WebhookDelivery
from service.uploads.model import Upload
from state.database import Database
from state.tables import deliveries, events, inbox, uploads

_T = TypeVar("_T")


class SqlTimeline:
    """Implements service.completion.history.TimelineRecords."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def history(self, upload: Upload, *, with_deliveries: bool, limit: int) -> History:
        async with self._database.transaction() as connection:
            followed_at = await _next_record(connection, upload)
            moved = await _newest(connection, _transitions(upload), limit)
            heard = await _newest(connection, _events_of(upload, followed_at), limit)
            sent = await _newest(connection, _deliveries(upload), limit) if with_deliveries else []
        return History(
            transitions=_oldest_first([_transition(row) for row in moved], limit),
            events=_oldest_first([_store_event(row) for row in heard], limit),
            deliveries=_oldest_first([_delivery(row) for row in sent], limit),
            truncated=any(len(rows) > limit for rows in (moved, heard, sent)),
        )


async def _next_record(connection: AsyncConnection, upload: Upload) -> datetime | None:
    """When the next record of this key was made."""
    query = (
        select(uploads.c.created_at)
        .where(
            uploads.c.bucket == upload.bucket,
            uploads.c.key == upload.key,
            uploads.c.generation > upload.generation,
        )
        .order_by(uploads.c.generation)
        .limit(1)
    )
    found: datetime | None = (await connection.execute(query)).scalar()
    return found


def _transitions(upload: Upload) -> Select[Any]:
    return select(events).where(events.c.upload_id == upload.id).order_by(events.c.sequence.desc())


def _events_of(upload: Upload, followed_at: datetime | None) -> Select[Any]:
    """An event belongs to the record that was there when it was settled: one that makes a record
    is received before it. What waits belongs to the newest.
    """
    waits = inbox.c.done_at.is_(None)
    settled = inbox.c.done_at >= upload.created_at
    in_life = or_(waits, settled)
    if followed_at is not None:
        in_life = and_(settled, inbox.c.done_at < followed_at)
    return (
        select(inbox)
        .where(inbox.c.bucket == upload.bucket, inbox.c.key == upload.key, in_life)
        .order_by(inbox.c.id.desc())
    )


def _deliveries(upload: Upload) -> Select[Any]:
    return (
        select(deliveries)
        .join(events, deliveries.c.event_id == events.c.id)
        .where(events.c.upload_id == upload.id)
        .order_by(deliveries.c.id.desc())
    )


async def _newest(
    connection: AsyncConnection, query: Select[Any], limit: int
) -> Sequence[RowMapping]:
    """One more than the limit, where there are more."""
    found = await connection.execute(query.limit(limit + 1))
    return list(found.mappings())


def _oldest_first(newest_first: Sequence[_T], limit: int) -> Sequence[_T]:
    return newest_first[:limit][::-1]


def _transition(row: RowMapping) -> Transition:
    return Transition(
        at=row["at"],
        before=row["before"],
        after=row["after"],
        reason=row["reason"],
        sequence=row["sequence"],
    )


def _store_event(row: RowMapping) -> StoreEvent:
    return StoreEvent(
        received_at=row["received_at"],
        source=row["source"],
        event_time=row["event_time"],
        size=row["size"],
        etag=row["etag"],
        version_id=row["version_id"],
        sequencer=row["sequencer"],
        outcome=row["outcome"],
        attempts=row["attempts"],
        failed=row["failed"],
        next_attempt_at=row["due_at"] if row["done_at"] is None else None,
        raw=parsed(row["raw"]),
    )


def _delivery(row: RowMapping) -> WebhookDelivery:
    done = row["done_at"]
    return WebhookDelivery(
        at=row["created_at"],
        endpoint_id=row["endpoint_id"],
        event_id=row["event_id"],
        attempts=row["attempts"],
        last_status=row["last_status"],
        last_error=row["last_error"],
        next_attempt_at=row["due_at"] if done is None else None,
        delivered_at=done if row["delivered"] else None,
    )


def parsed(raw: str) -> Any:
    """The source's JSON, or its text where that is none which can be told again: JSON can spell
    lone surrogates, which are no Unicode text.
    """
    try:
        value = json.loads(raw)
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return raw or None
    return value
