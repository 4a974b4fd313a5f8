"""Idempotency-Keys in SQL. A claim is a lease, and each step is one compare-and-set."""

import math
from datetime import datetime

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from errors import IdempotencyInFlightError, IdempotencyKeyReusedError
from service.uploads.idempotency import Claim, Finished
from state.database import Database
from state.tables import idempotency_keys as keys
from state.upsert import insert_into


class SqlIdempotencyKeys:
    """Implements service.uploads.idempotency.IdempotencyKeys."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(
        self, claim: Claim, digest: str, now: datetime, *, lease_until: datetime
    ) -> Finished | None:
        async with self._database.transaction() as connection:
            if await _insert(connection, claim, digest, now, lease_until):
                return None
            if await _take_over(connection, claim, digest, now, lease_until):
                return None
            return await _held(connection, claim, digest, now)

    async def finish(self, claim: Claim, upload_id: str) -> None:
        async with self._database.transaction() as connection:
            await finish(connection, claim, upload_id)

    async def release(self, claim: Claim) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(delete(keys).where(_is_held_by(claim)))

    async def forget(self, before: datetime) -> int:
        statement = delete(keys).where(keys.c.created_at < before)
        async with self._database.transaction() as connection:
            return (await connection.execute(statement)).rowcount


async def finish(connection: AsyncConnection, claim: Claim, upload_id: str) -> bool:
    """Within a transaction of the caller's. False when the claim has passed to another holder."""
    statement = update(keys).where(_is_held_by(claim)).values(upload_id=upload_id)
    return (await connection.execute(statement)).rowcount == 1


async def _insert(
    connection: AsyncConnection, claim: Claim, digest: str, now: datetime, lease_until: datetime
) -> bool:
    statement = (
        insert_into(connection, keys)
        .values(
            user_id=claim.user_id,
            key=claim.key,
            holder=claim.holder,
            digest=digest,
            lease_until=lease_until,
            created_at=now,
        )
        .on_conflict_do_nothing(index_elements=["user_id", "key"])
    )
    return bool((await connection.execute(statement)).rowcount > 0)


async def _take_over(
    connection: AsyncConnection, claim: Claim, digest: str, now: datetime, lease_until: datetime
) -> bool:
    """From a holder whose lease is over: of many who try, the first changes what all compare."""
    statement = (
        update(keys)
        .where(
            _is_of(claim),
            keys.c.digest == digest,
            keys.c.upload_id.is_(None),
            keys.c.lease_until <= now,
        )
        .values(holder=claim.holder, lease_until=lease_until, created_at=now)
    )
    return (await connection.execute(statement)).rowcount == 1


async def _held(connection: AsyncConnection, claim: Claim, digest: str, now: datetime) -> Finished:
    """What the one who holds the key came to, or the reason to wait for it."""
    query = select(keys.c.digest, keys.c.upload_id, keys.c.lease_until).where(_is_of(claim))
    row = (await connection.execute(query)).one_or_none()
    if row is None:  # released between two statements: it is free by now
        raise IdempotencyInFlightError(retry_after=1)
    if row.digest != digest:
        raise IdempotencyKeyReusedError
    if row.upload_id is not None:
        return Finished(row.upload_id)
    left = (row.lease_until - now).total_seconds()
    raise IdempotencyInFlightError(retry_after=max(1, math.ceil(left)))


def _is_of(claim: Claim) -> ColumnElement[bool]:
    return (keys.c.user_id == claim.user_id) & (keys.c.key == claim.key)


def _is_held_by(claim: Claim) -> ColumnElement[bool]:
    return _is_of(claim) & (keys.c.holder == claim.holder) & keys.c.upload_id.is_(None)
