"""Tickets in SQL, by their hash."""

from dataclasses import asdict
from datetime import datetime

from sqlalchemy import delete, exists, insert, select, update

from service.uploads.tickets import Ticket
from state.database import Database
from state.tables import tickets, users

_of_a_disabled_user = exists().where(
    users.c.id == tickets.c.user_id, users.c.disabled_at.is_not(None)
)


class SqlTickets:
    """Implements service.uploads.tickets.Tickets."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, id_hash: str, ticket: Ticket, created_at: datetime) -> None:
        row = {"id": id_hash, "created_at": created_at, **asdict(ticket)}
        async with self._database.transaction() as connection:
            await connection.execute(insert(tickets).values(row))

    async def find(self, id_hash: str, now: datetime) -> Ticket | None:
        query = select(tickets.c.user_id, tickets.c.profile, tickets.c.expires_at).where(
            tickets.c.id == id_hash,
            tickets.c.revoked_at.is_(None),
            tickets.c.expires_at > now,
            ~_of_a_disabled_user,
        )
        async with self._database.transaction() as connection:
            row = (await connection.execute(query)).one_or_none()
        return None if row is None else Ticket(*row)

    async def revoke_all(self, user_id: str, now: datetime) -> int:
        statement = (
            update(tickets)
            .where(
                tickets.c.user_id == user_id,
                tickets.c.revoked_at.is_(None),
                tickets.c.expires_at > now,
            )
            .values(revoked_at=now)
        )
        async with self._database.transaction() as connection:
            return (await connection.execute(statement)).rowcount

    async def forget(self, before: datetime) -> int:
        statement = delete(tickets).where(tickets.c.expires_at < before)
        async with self._database.transaction() as connection:
            return (await connection.execute(statement)).rowcount
