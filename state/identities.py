"""The history of user to identity, in SQL."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from errors import IdentityConflictError
from service.clock import Clock
from service.delivery.events import identity_happening
from service.delivery.ports import Announce, to_nobody
from state import events, first_identities
from state.database import Database
from state.tables import identities
from state.upsert import insert_into

_MOST_AT_ONCE = 500


class SqlIdentityHistory:
    """Implements service.grants.ports.IdentityHistory. That a user's identity has changed is an
    event, too; `announce` is told after the commit.
    """

    def __init__(self, database: Database, clock: Clock, announce: Announce = to_nobody) -> None:
        self._database = database
        self._clock = clock
        self._announce = announce

    async def current(self, pool_id: str, user_id: str) -> str | None:
        async with self._database.transaction() as connection:
            return await _current(connection, pool_id, user_id)

    async def current_of_many(self, pool_id: str, user_ids: Collection[str]) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for some in _in_pieces(sorted(set(user_ids))):
            found |= await first_identities.newest(self._database, pool_id, some)
        return found

    async def owner(self, pool_id: str, identity_id: str) -> str | None:
        query = select(identities.c.user_id).where(
            identities.c.pool_id == pool_id, identities.c.identity_id == identity_id
        )
        async with self._database.transaction() as connection:
            found: str | None = (await connection.execute(query)).scalar()
            return found

    async def note(self, pool_id: str, user_id: str, identity_id: str) -> str | None:
        """That nothing has changed, which is the rule, is found without a lock."""
        if await self.current(pool_id, user_id) == identity_id:
            return None
        now = self._clock()
        async with self._database.transaction() as connection:
            # Of two replicas that note the same change, the second sees what the first has noted.
            await events.lock(connection, user_id)
            before, since = await _newest(connection, pool_id, user_id)
            if before == identity_id:
                return None
            if since is not None:
                # Another machine's clock may be ahead of this one's: the last one noted counts.
                now = max(now, since + timedelta(microseconds=1))
            await _make_current(connection, (pool_id, identity_id, user_id), now)
            if before is not None:
                happening = identity_happening(
                    user_id=user_id,
                    pool_id=pool_id,
                    identity_id=identity_id,
                    before=before,
                    at=now,
                )
                await events.write(connection, happening)
        if before is not None:
            self._announce(user_id)
        return before

    async def note_new(self, pool_id: str, identities: Mapping[str, str]) -> Collection[str]:
        """Of two users with one identity, who are a conflict, neither is noted here."""
        times = Counter(identities.values())
        users = sorted(user for user, identity in identities.items() if times[identity] == 1)
        noted: set[str] = set()
        for some in _in_pieces(users):
            given = {user_id: identities[user_id] for user_id in some}
            noted |= await first_identities.add(self._database, pool_id, given, self._clock())
        return noted


def _in_pieces(user_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(user_ids), _MOST_AT_ONCE):
        yield user_ids[start : start + _MOST_AT_ONCE]


async def _current(connection: AsyncConnection, pool_id: str, user_id: str) -> str | None:
    return (await _newest(connection, pool_id, user_id))[0]


async def _newest(
    connection: AsyncConnection, pool_id: str, user_id: str
) -> tuple[str | None, datetime | None]:
    query = (
        select(identities.c.identity_id, identities.c.current_since)
        .where(identities.c.pool_id == pool_id, identities.c.user_id == user_id)
        .order_by(identities.c.current_since.desc())
        .limit(1)
    )
    row = (await connection.execute(query)).one_or_none()
    return (None, None) if row is None else (row.identity_id, row.current_since)


async def _make_current(
    connection: AsyncConnection, row: tuple[str, str, str], now: datetime
) -> None:
    """An identity that was seen before becomes current again, for its own user only."""
    pool_id, identity_id, user_id = row
    statement = (
        insert_into(connection, identities)
        .values(
            pool_id=pool_id,
            identity_id=identity_id,
            user_id=user_id,
            first_seen_at=now,
            current_since=now,
        )
        .on_conflict_do_update(
            index_elements=["pool_id", "identity_id"],
            set_={"current_since": now},
            where=identities.c.user_id == user_id,
        )
    )
    if (await connection.execute(statement)).rowcount == 0:
        raise IdentityConflictError("The identity is known as another user's")
