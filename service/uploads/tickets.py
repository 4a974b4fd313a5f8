"""Tickets: what stands in the path of an address, for a client that can send no header.

A ticket is as good as its user for creating uploads of one profile, until it expires or is
revoked. Only its hash is kept.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Ticket:
    """Whose it is and what it is for."""

    user_id: str
    profile: str
    expires_at: datetime


class Tickets(Protocol):
    """Raises UnavailableError. `id_hash` is the ticket's SHA-256, in hex."""

    async def add(self, id_hash: str, ticket: Ticket, created_at: datetime) -> None: ...

    async def find(self, id_hash: str, now: datetime) -> Ticket | None:
        """None for one that is unknown, revoked or expired, or whose user is disabled."""
        ...

    async def revoke_all(self, user_id: str, now: datetime) -> int:
        """All that this user's tickets could still do ends; how many."""
        ...

    async def forget(self, before: datetime) -> int:
        """Deletes those that expired before then; how many."""
        ...
