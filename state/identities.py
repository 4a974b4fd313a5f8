"""The history of user to identity, in SQL."""

from datetime import datetime

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from errors import IdentityConflictError
from service.clock import Clock
from state.database import Database
from state.tables import identities


class SqlIdentityHistory:
    """Implements service.grants.ports.IdentityHistory."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def current(self, pool_id: str, user_id: str) -> str | None:
        query = (
            select(identities.c.identity_id)
            .where(identities.c.pool_id == pool_id, identities.c.user_id == user_id)
            .order_by(identities.c.current_since.desc())
            .limit(1)
        )
        async with self._database.transaction() as connection:
            found: str | None = (await connection.execute(query)).scalar()
            return found

    async def owner(self, pool_id: str, identity_id: str) -> str | None:
        query = select(identities.c.user_id).where(
            identities.c.pool_id == pool_id, identities.c.identity_id == identity_id
        )
        async with self._database.transaction() as connection:
            found: str | None = (await connection.execute(query)).scalar()
            return found

    async def note(self, pool_id: str, user_id: str, identity_id: str) -> str | None:
        before = await self.current(pool_id, user_id)
        if before == identity_id:
            return None
        now = self._clock()
        if not await self._insert(pool_id, user_id, identity_id, now):
            await self._take_again(pool_id, user_id, identity_id, now)
        return before

    async def _insert(self, pool_id: str, user_id: str, identity_id: str, now: datetime) -> bool:
        row = {
            "pool_id": pool_id,
            "identity_id": identity_id,
            "user_id": user_id,
            "first_seen_at": now,
            "current_since": now,
        }
        try:
            async with self._database.transaction() as connection:
                await connection.execute(insert(identities).values(row))
        except IntegrityError:
            return False
        return True

    async def _take_again(
        self, pool_id: str, user_id: str, identity_id: str, now: datetime
    ) -> None:
        """An identity seen before becomes current again, for its own user only."""
        statement = (
            update(identities)
            .where(
                identities.c.pool_id == pool_id,
                identities.c.identity_id == identity_id,
                identities.c.user_id == user_id,
            )
            .values(current_since=now)
        )
        async with self._database.transaction() as connection:
            if (await connection.execute(statement)).rowcount == 0:
                raise IdentityConflictError("The identity is known as another user's")
