"""Companion tickets in memory."""

from datetime import datetime

from service.uploads.tickets import Ticket


class MemoryTickets:
    """Implements service.uploads.tickets.Tickets. `looks` counts the searches."""

    def __init__(self) -> None:
        self.rows: dict[str, Ticket] = {}
        self.looks = 0

    async def add(self, id_hash: str, ticket: Ticket, created_at: datetime) -> None:
        self.rows[id_hash] = ticket

    async def find(self, id_hash: str, now: datetime) -> Ticket | None:
        self.looks += 1
        found = self.rows.get(id_hash)
        return found if found is not None and found.expires_at > now else None

    async def revoke_all(self, user_id: str, now: datetime) -> int:
        return self._drop([name for name, row in self.rows.items() if row.user_id == user_id])

    async def forget(self, before: datetime) -> int:
        return self._drop([name for name, row in self.rows.items() if row.expires_at < before])

    def _drop(self, names: list[str]) -> int:
        for name in names:
            del self.rows[name]
        return len(names)
