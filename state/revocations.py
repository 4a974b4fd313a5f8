"""Which logins and users have ended, for replicas that look."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, and_, or_, select

from state.database import Database
from state.tables import refresh_tokens, users

_PAGE = 1000


class SqlEndedLogins:
    """Implements auth.revocations.EndedLogins. Page by page, along an index: at start there may be
    many, and others want their turn on the loop.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sessions(self, since: datetime) -> Sequence[str]:
        """Each once for every time at which it was revoked, in the order of these."""
        return await self._ended(refresh_tokens.c.revoked_at, refresh_tokens.c.family_id, since)

    async def users(self, since: datetime) -> Sequence[str]:
        return await self._ended(users.c.disabled_at, users.c.id, since)

    async def _ended(self, at: Column[datetime], name: Column[str], since: datetime) -> list[str]:
        found: list[str] = []
        last: tuple[datetime, str] = (since, "")
        while True:
            page = await self._page(at, name, last)
            found += [row[1] for row in page]
            if len(page) < _PAGE:
                return found
            last = page[-1]

    async def _page(
        self, at: Column[datetime], name: Column[str], last: tuple[datetime, str]
    ) -> list[tuple[datetime, str]]:
        beyond: Any = or_(at > last[0], and_(at == last[0], name > last[1]))
        query = select(at, name).distinct().where(at >= last[0], beyond).order_by(at, name)
        async with self._database.single() as connection:
            rows = await connection.execute(query.limit(_PAGE))
            return [(row[0], row[1]) for row in rows]
