"""Who calls, and what a proof of it looks like."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NewType, Protocol

UPLOADS = "uploads"
ADMIN = "admin"

UnverifiedToken = NewType("UnverifiedToken", str)
"""A bearer token as it came in. Nothing in it is to be believed."""

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Caller:
    """A proven caller. `user_id` has only `[A-Za-z0-9:_-]`, so it may name a folder. `session_id`
    names the login that the proof belongs to, where it names one.
    """

    user_id: str
    username: str
    scopes: frozenset[str]
    expires_at: datetime
    session_id: str | None = None


class Verifier(Protocol):
    """One way to prove who calls: the service's own tokens, another issuer's, a session.

    Both raise TokenExpiredError for what was valid once, else InvalidTokenError; and
    UnavailableError where it cannot be known now.
    """

    def check(self, token: UnverifiedToken) -> Caller | None:
        """At once. None where somebody has to be asked, which `verify` does."""
        ...

    async def verify(self, token: UnverifiedToken) -> Caller: ...
