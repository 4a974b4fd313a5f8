"""Upload records in SQL. Every transition is one compare-and-set UPDATE."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from sqlalchemy import and_, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from service.uploads.model import Checksum, Origin, Transport, Upload, UploadStatus
from service.uploads.ports import Cursor
from service.uploads.transitions import allowed
from state.database import Database
from state.tables import uploads

_CHECKSUMS = ("checksum", "declared_checksum")


class SqlUploadRecords:
    """Implements service.uploads.ports.UploadRecords."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, upload: Upload) -> bool:
        try:
            async with self._database.transaction() as connection:
                await connection.execute(insert(uploads).values(_row(upload)))
        except IntegrityError:
            return False
        return True

    async def get(self, upload_id: str) -> Upload | None:
        if "\0" in upload_id:
            return None  # no text for Postgres, and no id of ours
        async with self._database.transaction() as connection:
            found = await connection.execute(select(uploads).where(uploads.c.id == upload_id))
            return _first(found.mappings().all())

    async def by_key(self, bucket: str, key: str) -> Upload | None:
        query = (
            select(uploads)
            .where(uploads.c.bucket == bucket, uploads.c.key == key)
            .order_by(uploads.c.generation.desc())
            .limit(1)
        )
        async with self._database.transaction() as connection:
            return _first((await connection.execute(query)).mappings().all())

    async def page(
        self, user_id: str, *, status: UploadStatus | None, after: Cursor | None, limit: int
    ) -> Sequence[Upload]:
        query = select(uploads).where(uploads.c.user_id == user_id)
        if status is not None:
            query = query.where(uploads.c.status == status.value)
        if after is not None:
            older = uploads.c.created_at < after.created_at
            tied = and_(uploads.c.created_at == after.created_at, uploads.c.id < after.id)
            query = query.where(or_(older, tied))
        query = query.order_by(uploads.c.created_at.desc(), uploads.c.id.desc()).limit(limit)
        async with self._database.transaction() as connection:
            return [_upload(row) for row in (await connection.execute(query)).mappings()]

    async def transition(
        self, seen: Upload, status: UploadStatus, now: datetime, **changes: Any
    ) -> Upload | None:
        if not allowed(seen.status, status):
            raise ValueError(f"{seen.status} is never followed by {status}")
        values = _plain(changes) | {"status": status.value, "updated_at": now}
        statement = (
            update(uploads)
            .where(
                uploads.c.id == seen.id,
                uploads.c.status == seen.status.value,
                # What was pinned when the decision was made must still be pinned.
                uploads.c.etag.is_not_distinct_from(seen.etag),
            )
            .values(**values)
            .returning(*uploads.c)
        )
        async with self._database.transaction() as connection:
            return _first((await connection.execute(statement)).mappings().all())

    async def overdue(self, now: datetime, limit: int) -> Sequence[Upload]:
        query = (
            select(uploads)
            .where(uploads.c.next_look_at <= now)
            .order_by(uploads.c.next_look_at)
            .limit(limit)
        )
        async with self._database.transaction() as connection:
            return [_upload(row) for row in (await connection.execute(query)).mappings()]

    async def looked(self, seen: Upload, next_look_at: datetime | None) -> None:
        """Only if nobody looked or moved the record meanwhile."""
        statement = (
            update(uploads)
            .where(
                uploads.c.id == seen.id,
                uploads.c.status == seen.status.value,
                uploads.c.looks == seen.looks,
            )
            .values(next_look_at=next_look_at, looks=seen.looks + 1)
        )
        async with self._database.transaction() as connection:
            await connection.execute(statement)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """As the columns hold them."""
    plain = dict(values)
    for name in _CHECKSUMS:
        if isinstance(plain.get(name), Checksum):
            plain[name] = asdict(plain[name])
    return plain


def _row(upload: Upload) -> dict[str, Any]:
    row = _plain({part.name: getattr(upload, part.name) for part in fields(Upload)})
    enums = {name: row[name].value for name in ("status", "origin", "transport")}
    return row | enums | {"metadata": dict(upload.metadata)}


def _upload(row: Mapping[Any, Any]) -> Upload:
    values = dict(row)
    for name in _CHECKSUMS:
        if values[name] is not None:
            values[name] = Checksum(**values[name])
    values["status"] = UploadStatus(values["status"])
    values["origin"] = Origin(values["origin"])
    values["transport"] = Transport(values["transport"])
    return Upload(**values)


def _first(rows: Sequence[Mapping[Any, Any]]) -> Upload | None:
    return _upload(rows[0]) if rows else None
