"""Upload records in SQL. Every change is one compare-and-set UPDATE."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import (
    JSON,
    Executable,
    Integer,
    Text,
    Update,
    and_,
    any_,
    bindparam,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY

from errors import IdempotencyInFlightError
from service.delivery.events import upload_happening
from service.delivery.ports import Announce, to_nobody
from service.uploads.idempotency import Claim
from service.uploads.model import Upload, UploadStatus
from service.uploads.ports import Cursor
from service.uploads.quota import NO_LIMITS, Limits, Usage, charge
from service.uploads.transitions import allowed
from state import at_once, events, idempotency, usage
from state.database import Database
from state.gathered import Gathered, Row
from state.tables import uploads
from state.upload_rows import first, plain, row_of, upload_of
from state.upsert import insert_into

# What a record is, and what is charged for it, no caller changes by hand.
_NEVER_CHANGED = frozenset({"id", "user_id", "profile", "bucket", "key", "generation", "charged"})
_BY_TRANSITION = frozenset({"status", "etag", "size"})
_MOST_IDS = 64  # of one statement
_READS_AT_ONCE = 4


class SqlUploadRecords:
    """Implements service.uploads.ports.UploadRecords. `announce` is told, after the commit, of
    whom there is news.
    """

    def __init__(self, database: Database, announce: Announce = to_nobody) -> None:
        self._database = database
        self._announce = announce
        self._of_ids = Gathered(self._rows_of, most=_MOST_IDS, at_once=_READS_AT_ONCE)

    async def add(
        self, upload: Upload, *, limits: Limits = NO_LIMITS, claim: Claim | None = None
    ) -> bool:
        """In the order of locks that state/usage.py explains: the record comes first."""
        # That a caller begins an upload is no news to anybody.
        news = upload.status is not UploadStatus.PENDING
        if self._database.is_postgres and claim is None and not news:
            added = await self._added_at_once(upload, limits)
            if added is not None:
                return added
        async with self._database.transaction() as connection:
            statement = insert_into(connection, uploads).on_conflict_do_nothing()
            if (await connection.execute(statement, row_of(upload))).rowcount == 0:
                return False
            if claim and not await idempotency.finish(connection, claim, upload.id):
                raise IdempotencyInFlightError(retry_after=1)
            await usage.apply(connection, usage.Change.between(None, upload), limits)
            if news:
                await events.write(connection, upload_happening(None, upload, upload.created_at))
        if news:
            self._announce(upload.user_id)
        return True

    async def _added_at_once(self, upload: Upload, limits: Limits) -> bool | None:
        """None where it does not fit, or is refused otherwise: nothing is written then."""
        counting = usage.parameters(usage.Change.between(None, upload), limits)
        if min(counting["room_for_bytes"], counting["room_for_in_flight"]) < 0:
            return None
        given = {f"new_{name}": value for name, value in row_of(upload).items()}
        found = await self._database.directly(at_once.adding(), {**given, **counting})
        return None if found is None else bool(found)

    async def get(self, upload_id: str) -> Upload | None:
        if "\0" in upload_id or not upload_id.isascii():
            return None  # no id of ours, and nothing that others' questions may fail by
        row = await self._of_ids.get(upload_id)
        return None if row is None else upload_of(row)

    async def _rows_of(self, ids: Sequence[str]) -> Mapping[str, Row]:
        statement = _by_ids(is_postgres=self._database.is_postgres)
        return {row["id"]: row for row in await self._database.rows(statement, {"ids": ids})}

    async def by_key(self, bucket: str, key: str) -> Upload | None:
        if "\0" in key:
            return None
        return await self._first(_newest_of_key(), {"bucket": bucket, "key": key})

    async def _first(self, query: Executable, values: Mapping[str, Any]) -> Upload | None:
        return first(await self._database.rows(query, values))

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
        async with self._database.single() as connection:
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
        values = {**changes, "status": status, "updated_at": now}
        values["charged"] = charge(seen, status, changes.get("size", seen.size))
        moved = None
        if self._database.is_postgres:
            moved = await self._at_once(seen, values, limits)
        if moved is None:
            moved = await self._in_turn(seen, values, limits)
        if moved is not None:
            self._announce(moved.user_id)
        return moved

    async def _at_once(
        self, seen: Upload, values: Mapping[str, Any], limits: Limits
    ) -> Upload | None:
        """What the event shows is known beforehand, as the record must not have changed at all. So
        there are more reasons for None than `transition` knows, and nothing is written then.
        """
        after = replace(seen, **values)
        change = usage.Change.between(seen, after)
        compared = ("status", "etag", "charged", "updated_at", "transport")
        given = {
            **_given(seen, values, compared),
            **events.parameters(upload_happening(seen.status, after, after.updated_at)),
            **(usage.parameters(change, limits) if change.counts else {}),
        }
        statement = at_once.moving(compared, tuple(sorted(values)), counts=change.counts)
        return await self._first(statement, given)

    async def _in_turn(
        self, seen: Upload, values: Mapping[str, Any], limits: Limits
    ) -> Upload | None:
        compared = ("status", "etag", "charged")
        statement = _comparing(compared, tuple(sorted(values)))
        async with self._database.transaction() as connection:
            found = await connection.execute(statement, _given(seen, values, compared))
            moved = first(found.mappings().all())
            if moved is not None:
                await usage.apply(connection, usage.Change.between(seen, moved), limits)
                happening = upload_happening(seen.status, moved, moved.updated_at)
                await events.write(connection, happening)
        return moved

    async def amend(self, seen: Upload, now: datetime, **changes: Any) -> Upload | None:
        """Raises ValueError for changes that are a transition's, or nobody's."""
        _refuse(changes, _NEVER_CHANGED | _BY_TRANSITION)
        values = {**changes, "updated_at": now}
        return await self._compare_and_set(seen, values, "status", "etag", "multipart_id")

    async def usage(self, user_id: str, profile: str) -> Usage:
        async with self._database.single() as connection:
            return await usage.read(connection, user_id, profile)

    async def overdue(self, now: datetime, limit: int) -> Sequence[Upload]:
        async with self._database.single() as connection:
            found = await connection.execute(_overdue(), {"now": now, "limit": limit})
            return [upload_of(row) for row in found.mappings()]

    async def looked(self, seen: Upload, next_look_at: datetime | None) -> None:
        """Only if nobody looked or moved the record meanwhile."""
        values = {"next_look_at": next_look_at, "looks": seen.looks + 1}
        await self._compare_and_set(seen, values, "status", "looks")

    async def _compare_and_set(
        self, seen: Upload, values: Mapping[str, Any], *compared: str
    ) -> Upload | None:
        statement = _comparing(compared, tuple(sorted(values)))
        return await self._first(statement, _given(seen, values, compared))


# Made once: to write a statement of these columns costs as much as to send it.


@cache
def _by_ids(*, is_postgres: bool) -> Executable:
    """One value for any number of them, so that it is one statement."""
    if is_postgres:
        array = bindparam("ids", type_=ARRAY(Text()))
        return select(uploads).where(uploads.c.id == any_(array))
    given = func.json_each(bindparam("ids", type_=JSON())).table_valued("value")
    return select(uploads).where(uploads.c.id.in_(select(given.c.value)))


@cache
def _newest_of_key() -> Executable:
    return (
        select(uploads)
        .where(uploads.c.bucket == bindparam("bucket"), uploads.c.key == bindparam("key"))
        .order_by(uploads.c.generation.desc())
        .limit(1)
    )


@cache
def _overdue() -> Executable:
    return (
        select(uploads)
        .where(uploads.c.next_look_at <= bindparam("now"))
        .order_by(uploads.c.next_look_at)
        .limit(bindparam("limit", type_=Integer()))
    )


@lru_cache(maxsize=64)
def _comparing(compared: tuple[str, ...], changed: tuple[str, ...]) -> Update:
    """What the decision was made on must still be so."""
    return (
        update(uploads)
        .where(*at_once.matching(compared))
        .values(at_once.changes(changed))
        .returning(*uploads.c)
    )


def _given(seen: Upload, values: Mapping[str, Any], compared: Sequence[str]) -> dict[str, Any]:
    same = {f"seen_{name}": getattr(seen, name) for name in ("id", *compared)}
    return plain({**same, **{f"new_{name}": value for name, value in values.items()}})


def _refuse(changes: Mapping[str, Any], names: frozenset[str]) -> None:
    if refused := names & changes.keys():
        raise ValueError(f"not to be changed here: {', '.join(sorted(refused))}")
