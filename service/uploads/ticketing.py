"""Companion tickets: an address of its own for a client that can send no header (Uppy).

A ticket is random, shown once, and kept as its hash. It can only upload, as its user and in its
profile; it cannot look at, list or delete what has arrived.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from errors import InvalidTicketError, PolicyError
from service.clock import Clock
from service.uploads.model import Transport
from service.uploads.policy import Policy
from service.uploads.tickets import Ticket, Tickets

_BYTES = 32
_SHAPE = re.compile(r"upt_[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(frozen=True, slots=True)
class IssuedTicket:
    """`secret` is told once and never again."""

    secret: str = field(repr=False)
    expires_at: datetime


class Ticketing:
    def __init__(self, *, tickets: Tickets, policy: Policy, life: timedelta, clock: Clock) -> None:
        self._tickets = tickets
        self._policy = policy
        self._life = life
        self._clock = clock

    async def issue(self, user_id: str, profile_name: str | None) -> IssuedTicket:
        """Raises UnknownProfileError, and PolicyError where the profile takes nothing that a
        ticket can send. What it may still begin is asked anew with each upload.
        """
        profile = self._policy.profile(profile_name)
        self._policy.check_transport(profile, Transport.PRESIGNED)
        if profile.quota is not None and profile.max_size is None:
            # The first upload would reserve the whole quota, and every other one be refused.
            raise PolicyError("Uppy says no sizes: a profile with a quota needs a max_size for it")
        now = self._clock()
        secret = f"upt_{secrets.token_urlsafe(_BYTES)}"
        ticket = Ticket(user_id, profile.name, now + self._life)
        await self._tickets.add(_hash(secret), ticket, now)
        return IssuedTicket(secret, ticket.expires_at)

    async def redeem(self, text: str) -> Ticket:
        """Raises InvalidTicketError for one that is unknown, revoked or expired."""
        if _SHAPE.fullmatch(text) is None:
            raise InvalidTicketError
        found = await self._tickets.find(_hash(text), self._clock())
        if found is None:
            raise InvalidTicketError
        return found

    def check_credentials(self, ticket: Ticket) -> None:
        """Raises PolicyError where this ticket's profile may not go by credentials."""
        profile = self._policy.profile(ticket.profile)
        self._policy.check_transport(profile, Transport.CREDENTIALS)

    async def revoke_all(self, user_id: str) -> int:
        """How many."""
        return await self._tickets.revoke_all(user_id, self._clock())


def _hash(secret: str) -> str:
    """A plain hash: there is nothing to guess in 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()
