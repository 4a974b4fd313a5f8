"""Upload records in SQL. Every change is one compare-and-set UPDATE."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Update, and_, or_, select, update

from errors import IdempotencyInFlightError
from service.delivery.events import upload_happening
from service.delivery.ports import Announce, to_nobody
from service.uploads.idempotency import Claim
from service.uploads.model import Upload, UploadStatus
from service.uploads.ports import Cursor
from service.uploads.quota import NO_LIMITS, Limits, Usage, charge
from service.uploads.transitions import allowed
from state import events, idempotency, usage
from state.database import Database
from state.tables import uploads
from state.upload_rows import first, plain, row_of, upload_of
from state.upsert import insert_into

# What a record is, and what is charged for it, no caller changes by hand.
_NEVER_CHANGED = frozenset({"id", "user_id", "profile", "bucket", "key", "generation", "charged"})
_BY_TRANSITION = frozenset({"status", "etag", "size"})


class SqlUploadRecords:
    """Implements service.uploads.ports.UploadRecords. `announce` is told, after the commit, of
    whom there is news.
    """

    def __init__(self, database: Database, announce: Announce = to_nobody) -> None:
        self._database = database
        self._announce = announce

    async def add(
        self, upload: Upload, *, limits: Limits = NO_LIMITS, claim: Claim | None = None
    ) -> bool:
        """In the order of locks that state/usage.py explains: the record comes first."""
        async with self._database.transaction() as connection:
            statement = insert_into(connection, uploads).values(row_of(upload))
            inserted = await connection.execute(statement.on_conflict_do_nothing())
            if inserted.rowcount == 0:
                return False
            if claim and not await idempotency.finish(connection, claim, upload.id):
                raise IdempotencyInFlightError(retry_after=1)
            await usage.apply(connection, usage.Change.between(None, upload), limits)
            # That a caller begins an upload is no news to anybody.
            if news := upload.status is not UploadStatus.PENDING:
                await events.write(connection, upload_happening(None, upload, upload.created_at))
        if news:
            self._announce(upload.user_id)
        return True

    async def get(self, upload_id: str) -> Upload | None:
        if "\0" in upload_id:
            return None  # no text for Postgres, and no id of ours
        async with self._database.transaction() as connection:
            found = await connection.execute(select(uploads).where(uploads.c.id == upload_id))
            return first(found.mappings().all())

    async def by_key(self, bucket: str, key: str) -> Upload | None:
        if "\0" in key:
            return None
        query = (
            select(uploads)
            .where(uploads.c.bucket == bucket, uploads.c.key == key)
            .order_by(uploads.c.generation.desc())
            .limit(1)
        )
        async with self._database.transaction() as connection:
            return first((await connection.execute(query)).mappings().all())

    async def page(
        self,
        user_id: str,
        *,
        status: UploadStatus | None,
        after: Cursor | None,
        limit: int,
        fingerprint: str | None = None,
    ) -> Sequence[Upload]:
        query = select(uploads).where(uploads.c.user_id == user_id)
        if status is not None:
            query = query.where(uploads.c.status == status.value)
        if fingerprint is not None:
            query = query.where(uploads.c.fingerprint == fingerprint)
        if after is not None:
            older = uploads.c.created_at < after.created_at
            tied = and_(uploads.c.created_at == after.created_at, uploads.c.id < after.id)
            query = query.where(or_(older, tied))
        query = query.order_by(uploads.c.created_at.desc(), uploads.c.id.desc()).limit(limit)
        async with self._database.transaction() as connection:
            return [upload_of(row) for row in (await connection.execute(query)).mappings()]

    async def transition(
        self,
        seen: Upload,
        status: UploadStatus,
        now: datetime,
        *,
        limits: Limits = NO_LIMITS,
        **changes: Any,
    ) -> Upload | None:
        """Raises ValueError for a move that is never allowed."""
        if not allowed(seen.status, status):
            raise ValueError(f"{seen.status} is never followed by {status}")
        _refuse(changes, _NEVER_CHANGED)
        charged = charge(seen, status, changes.get("size", seen.size))
        values = {**changes, "status": status, "charged": charged, "updated_at": now}
        statement = _compare_and_set(seen, values, "status", "etag", "charged")
        async with self._database.transaction() as connection:
            moved = first((await connection.execute(statement)).mappings().all())
            if moved is not None:
                await usage.apply(connection, usage.Change.between(seen, moved), limits)
                await events.write(connection, upload_happening(seen.status, moved, now))
        if moved is not None:
            self._announce(moved.user_id)
        return moved

    async def amend(self, seen: Upload, now: datetime, **changes: Any) -> Upload | None:
        """Raises ValueError for changes that are a transition's, or nobody's."""
        _refuse(changes, _NEVER_CHANGED | _BY_TRANSITION)
        values = {**changes, "updated_at": now}
        statement = _compare_and_set(seen, values, "status", "etag", "multipart_id")
        async with self._database.transaction() as connection:
            return first((await connection.execute(statement)).mappings().all())

    async def usage(self, user_id: str, profile: str) -> Usage:
        async with self._database.transaction() as connection:
            return await usage.read(connection, user_id, profile)

    async def overdue(self, now: datetime, limit: int) -> Sequence[Upload]:
        query = (
            select(uploads)
            .where(uploads.c.next_look_at <= now)
            .order_by(uploads.c.next_look_at)
            .limit(limit)
        )
        async with self._database.transaction() as connection:
            return [upload_of(row) for row in (await connection.execute(query)).mappings()]

    async def looked(self, seen: Upload, next_look_at: datetime | None) -> None:
        """Only if nobody looked or moved the record meanwhile."""
        values = {"next_look_at": next_look_at, "looks": seen.looks + 1}
        async with self._database.transaction() as connection:
            await connection.execute(_compare_and_set(seen, values, "status", "looks"))


def _compare_and_set(seen: Upload, values: Mapping[str, Any], *compared: str) -> Update:
    """What the decision was made on must still be so."""
    same = [uploads.c[name].is_not_distinct_from(getattr(seen, name)) for name in compared]
    return (
        update(uploads)
        .where(uploads.c.id == seen.id, *same)
        .values(**plain(values))
        .returning(*uploads.c)
    )


def _refuse(changes: Mapping[str, Any], names: frozenset[str]) -> None:
    if refused := names & changes.keys():
        raise ValueError(f"not to be changed here: {', '.join(sorted(refused))}")
