"""The first identities of many users, at the price of one.

A user who has none yet has one current identity after whatever happens at once, and each that
replaces another is an event: so who writes holds the user's row in `user_sequences`, as `note`
does, and looks for a known identity only then. Rows are taken in order, those of users first.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Text, bindparam, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.elements import TextClause

from state.database import Database
from state.tables import identities

# Each user's newest is searched for by itself, whatever Postgres believes of the table: of one that
# has just grown it believes that a scan of the whole pool is cheaper.
_NEWEST = """
SELECT given.user_id, newest.identity_id
FROM unnest(:user_ids) AS given (user_id) CROSS JOIN LATERAL (
    SELECT identity_id FROM identities WHERE pool_id = :pool_id AND user_id = given.user_id
    ORDER BY current_since DESC LIMIT 1) newest
"""

# Of users whose row is made here nobody has noted an identity meanwhile: who does, makes it first,
# and who is about to is waited for. Others' rows tell nothing, as what follows sees no more than
# there was when the statement began. (IS TRUE keeps Postgres from a join, for which it expects too
# few rows and compares each with each.)
_OF_STRANGERS = """
WITH made AS (
    INSERT INTO user_sequences (user_id, last)
    SELECT given.user_id, 0 FROM unnest(:user_ids) AS given (user_id) ORDER BY given.user_id
    ON CONFLICT (user_id) DO NOTHING RETURNING user_id)
INSERT INTO identities (pool_id, identity_id, user_id, first_seen_at, current_since)
SELECT :pool_id, given.identity_id, given.user_id, :now, :now
FROM unnest(:user_ids, :identity_ids) AS given (user_id, identity_id)
WHERE (given.user_id IN (SELECT user_id FROM made)) IS TRUE AND (
    SELECT identity_id FROM identities WHERE pool_id = :pool_id AND user_id = given.user_id
    ORDER BY current_since DESC LIMIT 1) IS NULL
ORDER BY given.identity_id
ON CONFLICT DO NOTHING RETURNING user_id
"""

# These two in one transaction.
_LOCKED = """
INSERT INTO user_sequences (user_id, last)
SELECT given.user_id, 0 FROM unnest(:user_ids) AS given (user_id) ORDER BY given.user_id
ON CONFLICT (user_id) DO UPDATE SET last = user_sequences.last
"""
_OF_LOCKED = """
INSERT INTO identities (pool_id, identity_id, user_id, first_seen_at, current_since)
SELECT :pool_id, given.identity_id, given.user_id, :now, :now
FROM unnest(:user_ids, :identity_ids) AS given (user_id, identity_id)
WHERE (SELECT identity_id FROM identities WHERE pool_id = :pool_id AND user_id = given.user_id
    ORDER BY current_since DESC LIMIT 1) IS NULL
ORDER BY given.identity_id
ON CONFLICT DO NOTHING RETURNING user_id
"""

# SQLite has one writer at a time: the statement is lock enough.
_OF_ONE = """
INSERT INTO identities (pool_id, identity_id, user_id, first_seen_at, current_since)
SELECT :pool_id, :identity_id, :user_id, :now, :now
WHERE NOT EXISTS (SELECT 1 FROM identities WHERE pool_id = :pool_id AND user_id = :user_id)
ON CONFLICT DO NOTHING
"""


async def newest(database: Database, pool_id: str, user_ids: Sequence[str]) -> dict[str, str]:
    """User id to current identity, of those who have one."""
    statement = _newest() if database.is_postgres else _newest_last()
    found = await database.rows(statement, {"pool_id": pool_id, "user_ids": list(user_ids)})
    return {row["user_id"]: row["identity_id"] for row in found}  # of each the last one stays


async def add(
    database: Database, pool_id: str, given: Mapping[str, str], now: datetime
) -> set[str]:
    """Users (to identity; each identity once) whose current identity it is now."""
    if not database.is_postgres:
        await _add_one_by_one(database, pool_id, given, now)
        return _agreeing(given, await newest(database, pool_id, list(given)))
    values = _arrays(pool_id, given, now)
    added = {row["user_id"] for row in await database.rows(_of_strangers(), values)}
    rest = {user_id: given[user_id] for user_id in given if user_id not in added}
    if not rest:
        return added
    known = await newest(database, pool_id, list(rest))
    added |= _agreeing(rest, known)
    without = {user_id: rest[user_id] for user_id in rest if user_id not in known}
    return added | await _add_locked(database, _arrays(pool_id, without, now)) if without else added


async def _add_locked(database: Database, values: Mapping[str, Any]) -> set[str]:
    async with database.transaction() as connection:
        await connection.execute(_locked(), {"user_ids": values["user_ids"]})
        return set((await connection.execute(_of_locked(), values)).scalars())


async def _add_one_by_one(
    database: Database, pool_id: str, given: Mapping[str, str], now: datetime
) -> None:
    rows = [
        {"pool_id": pool_id, "identity_id": identity_id, "user_id": user_id, "now": now}
        for user_id, identity_id in given.items()
    ]
    async with database.transaction() as connection:
        await connection.execute(_of_one(), rows)


def _agreeing(given: Mapping[str, str], known: Mapping[str, str]) -> set[str]:
    return {user_id for user_id, identity_id in given.items() if known.get(user_id) == identity_id}


def _arrays(pool_id: str, given: Mapping[str, str], now: datetime) -> dict[str, Any]:
    users = {"user_ids": list(given), "identity_ids": list(given.values())}
    return {**users, "pool_id": pool_id, "now": now}


@cache
def _newest() -> TextClause:
    return _statement(_NEWEST, "user_ids")


@cache
def _newest_last() -> Any:
    """All that SQLite knows of them, in order."""
    return (
        select(identities.c.user_id, identities.c.identity_id)
        .where(identities.c.pool_id == bindparam("pool_id"))
        .where(identities.c.user_id.in_(bindparam("user_ids", expanding=True)))
        .order_by(identities.c.current_since)
    )


def _statement(sql: str, *arrays: str) -> TextClause:
    known = {"pool_id": Text(), "now": identities.c.first_seen_at.type}
    types: list[Any] = [
        bindparam(name, type_=kind) for name, kind in known.items() if f":{name}" in sql
    ]
    types += [bindparam(name, type_=postgresql.ARRAY(Text())) for name in arrays]
    return text(sql).bindparams(*types)


@cache
def _of_strangers() -> TextClause:
    return _statement(_OF_STRANGERS, "user_ids", "identity_ids")


@cache
def _locked() -> TextClause:
    return _statement(_LOCKED, "user_ids")


@cache
def _of_locked() -> TextClause:
    return _statement(_OF_LOCKED, "user_ids", "identity_ids")


@cache
def _of_one() -> TextClause:
    return _statement(_OF_ONE)
