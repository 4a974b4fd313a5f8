"""What a user's uploads of one profile count together, changed in the very transaction that
changes an upload: the row is always the sum over the records.

Every transaction locks in one order: the upload's row, the Idempotency-Key's, the usage row. It
waits for nothing more once it holds the usage row, so transactions cannot wait in a circle.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Self

from sqlalchemy import CTE, BigInteger, Update, and_, bindparam, case, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from errors import QuotaExceededError, TooManyUploadsError
from service.uploads.model import Upload
from service.uploads.quota import NO_LIMITS, Limits, Usage, in_flight
from state.tables import usage
from state.upsert import insert_into

_MOST_BYTES = 2**63 - 1
_MOST_IN_FLIGHT = 2**31 - 1
_COUNTED = ("bytes", "in_flight")


@dataclass(frozen=True, slots=True)
class Change:
    """By how much one user's usage of one profile changes: in bytes, and in uploads in flight."""

    user_id: str
    profile: str
    bytes: int
    in_flight: int

    @classmethod
    def between(cls, before: Upload | None, after: Upload) -> Self:
        charged, sending = after.charged, in_flight(after.status)
        if before is not None:
            charged, sending = charged - before.charged, sending - in_flight(before.status)
        return cls(after.user_id, after.profile, charged, sending)

    @property
    def counts(self) -> bool:
        return bool(self.bytes or self.in_flight)

    @property
    def place(self) -> Any:
        return (usage.c.user_id == self.user_id) & (usage.c.profile == self.profile)


async def read(connection: AsyncConnection, user_id: str, profile: str) -> Usage:
    row = (
        await connection.execute(_read(), {"user_id": user_id, "profile": profile})
    ).one_or_none()
    return Usage() if row is None else Usage(*row)


@cache
def _read() -> Any:
    return select(usage.c.bytes, usage.c.in_flight).where(
        usage.c.user_id == bindparam("user_id"), usage.c.profile == bindparam("profile")
    )


async def apply(connection: AsyncConnection, change: Change, limits: Limits) -> None:
    """Raises QuotaExceededError or TooManyUploadsError, after which the transaction must be rolled
    back. The limits hold for what grows only; what stays as it is writes nothing.
    """
    if not change.counts:
        return
    if (await connection.execute(counted(), parameters(change, limits))).rowcount == 1:
        return
    # The first of all, or over a limit, or a fault: each has its own end.
    if change.bytes < 0 or change.in_flight < 0:
        await _release(connection, change)
    if change.bytes > 0 or change.in_flight > 0:
        await _reserve(connection, change, limits)


@cache
def counted() -> Update:
    """Changes the row that is there, if it is there and all fits. A CHECK of the table refuses, as
    the fault that it is, to count less than nothing.
    """
    more, room = _more(), _room()
    return (
        update(usage)
        .where(usage.c.user_id == bindparam("of_user"), usage.c.profile == bindparam("of_profile"))
        .where(*(usage.c[name] <= room[name] for name in _COUNTED))
        .values({name: usage.c[name] + more[name] for name in _COUNTED})
    )


def reserved(records: CTE) -> Any:
    """Of Postgres: counts what is in `records`, one at the most, in the first row of all too. What
    does not fit would become less than nothing, which a CHECK of the table refuses.
    """
    more, room = _more(), _room()
    fits = and_(*(usage.c[name] <= room[name] for name in _COUNTED))
    found = select(records.c.user_id, records.c.profile, *(more[name] for name in _COUNTED))
    return (
        postgresql.insert(usage)
        .from_select(["user_id", "profile", *_COUNTED], found)
        .on_conflict_do_update(
            index_elements=["user_id", "profile"],
            set_={name: case((fits, usage.c[name] + more[name]), else_=-1) for name in _COUNTED},
        )
        .returning(usage.c.user_id)
    )


def _more() -> dict[str, Any]:
    return {name: bindparam(f"more_{name}", type_=BigInteger()) for name in _COUNTED}


def _room() -> dict[str, Any]:
    return {name: bindparam(f"room_for_{name}", type_=BigInteger()) for name in _COUNTED}


def parameters(change: Change, limits: Limits) -> dict[str, Any]:
    """Of `counted`. How much may be there already; compared so that no sum can overflow."""
    most, everything = _most(limits), _most(NO_LIMITS)
    found: dict[str, Any] = {"of_user": change.user_id, "of_profile": change.profile}
    for name in _COUNTED:
        count = getattr(change, name)
        found[f"more_{name}"] = count
        found[f"room_for_{name}"] = most[name] - count if count > 0 else everything[name]
    return found


async def _release(connection: AsyncConnection, change: Change) -> None:
    """A CHECK of the table refuses, as the fault that it is, to count less than nothing."""
    statement = (
        update(usage)
        .where(change.place)
        .values(
            bytes=usage.c.bytes + min(change.bytes, 0),
            in_flight=usage.c.in_flight + min(change.in_flight, 0),
        )
    )
    if (await connection.execute(statement)).rowcount != 1:
        raise RuntimeError("a record is charged to a usage that does not exist")


async def _reserve(connection: AsyncConnection, change: Change, limits: Limits) -> None:
    """One statement, which counts only where it fits: whoever comes at the same time waits for
    this row and is then held against what stands there.
    """
    more = {"bytes": max(change.bytes, 0), "in_flight": max(change.in_flight, 0)}
    most = _most(limits)
    # How much may be there already; compared so that no sum can overflow.
    room = {name: most[name] - count for name, count in more.items() if count}
    statement = (
        insert_into(connection, usage)
        .values(user_id=change.user_id, profile=change.profile, **more)
        .on_conflict_do_update(
            index_elements=["user_id", "profile"],
            set_={name: usage.c[name] + count for name, count in more.items()},
            where=and_(*(usage.c[name] <= left for name, left in room.items())),
        )
    )
    # The condition does not hold for the first row of all, before which nothing was counted.
    if min(room.values()) < 0 or (await connection.execute(statement)).rowcount == 0:
        await _refuse(connection, change, limits)


async def _refuse(connection: AsyncConnection, change: Change, limits: Limits) -> None:
    """The quota is told first: waiting does not help against it."""
    counted = await read(connection, change.user_id, change.profile)
    most = _most(limits)
    if 0 < change.bytes > most["bytes"] - counted.bytes:
        left = max(most["bytes"] - counted.bytes, 0)
        raise QuotaExceededError(f"{left} of {most['bytes']} bytes are left")
    raise TooManyUploadsError(f"{most['in_flight']} uploads may be in flight at once")


def _most(limits: Limits) -> dict[str, int]:
    """What may be counted: what the columns hold, where nobody set a limit."""
    bytes_, in_flight_ = limits.quota, limits.in_flight
    return {
        "bytes": _MOST_BYTES if bytes_ is None else min(bytes_, _MOST_BYTES),
        "in_flight": _MOST_IN_FLIGHT if in_flight_ is None else min(in_flight_, _MOST_IN_FLIGHT),
    }
