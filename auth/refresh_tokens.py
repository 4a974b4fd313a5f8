"""Refresh tokens: opaque, kept as hashes, used once (RFC 9700, section 4.14.2).

One login begins a family. Each use replaces the token by its successor; a token that comes a
second time has been stolen, or its thief was first, so the whole family ends. This holds for
two uses at the same moment too: one wins, the other is the second use. Clients refresh one at
a time. A family never outlives the expiry that its login set.
"""

import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NewType, NoReturn, Protocol
from uuid import uuid4

import errors
from auth.callers import Clock, utc_now

UnverifiedRefreshToken = NewType("UnverifiedRefreshToken", str)

_SHAPE = re.compile(r"rt_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class KeptToken:
    """What is stored of a token. `revoked_at` is set when anything in its family is revoked."""

    token_hash: str = field(repr=False)
    family_id: str
    user_id: str
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class IssuedToken:
    token: str = field(repr=False)
    family_id: str
    expires_at: datetime


class RefreshTokenStore(Protocol):
    """A family is revoked when one of its rows is: a successor that a rotation commits beside
    a revocation is dead with the rest.
    """

    async def add(self, token: KeptToken) -> None: ...

    async def find(self, token_hash: str) -> KeptToken | None: ...

    async def rotate(self, token: KeptToken, successor: KeptToken) -> bool:
        """Compare-and-set: marks the token used and adds the successor, both or neither.
        False, with nothing done, if it was used or its family revoked meanwhile.
        """
        ...

    async def revoke_family(self, family_id: str, at: datetime) -> None: ...

    async def revoke_user(self, user_id: str, at: datetime) -> None: ...

    async def delete_expired(self, before: datetime) -> int:
        """How many went."""
        ...


def _nobody_told(_family_id: str) -> None:
    pass


class RefreshTokens:
    """`ended` is told of each family that was revoked, once that is kept. What has expired is
    remembered for `remembered_seconds`: its revocation may still matter to access tokens.
    """

    def __init__(
        self,
        store: RefreshTokenStore,
        *,
        seconds: int,
        remembered_seconds: float = 0,
        ended: Callable[[str], None] = _nobody_told,
        clock: Clock = utc_now,
    ) -> None:
        self._store = store
        self._life = timedelta(seconds=seconds)
        self._remembered = timedelta(seconds=remembered_seconds)
        self._ended = ended
        self._clock = clock

    async def begin_family(self, user_id: str) -> IssuedToken:
        now = self._clock()
        token = _new_token()
        kept = KeptToken(_hash(token), f"fam_{uuid4().hex}", user_id, now, now + self._life)
        await self._store.add(kept)
        return IssuedToken(token, kept.family_id, kept.expires_at)

    async def check(self, unverified: UnverifiedRefreshToken) -> KeptToken:
        """The token, if it may be used now. A used one ends its family.

        Raises InvalidRefreshTokenError, the same for every reason.
        """
        found = await self._find(unverified)
        if found is None or found.revoked_at is not None or found.expires_at <= self._clock():
            raise errors.InvalidRefreshTokenError
        if found.used_at is not None:
            await self._end_reused(found)
        return found

    async def rotate(self, token: KeptToken) -> IssuedToken:
        """Its successor; the family's expiry stays."""
        now = self._clock()
        new = _new_token()
        kept = KeptToken(_hash(new), token.family_id, token.user_id, now, token.expires_at)
        if not await self._store.rotate(token, kept):
            await self._end_reused(token)
        return IssuedToken(new, kept.family_id, kept.expires_at)

    async def revoke(self, unverified: UnverifiedRefreshToken) -> None:
        """Ends the family. Nothing happens for a token that is not known."""
        found = await self._find(unverified)
        if found is not None:
            await self._end(found.family_id)

    async def revoke_user(self, user_id: str) -> None:
        await self._store.revoke_user(user_id, self._clock())

    async def delete_expired(self) -> int:
        return await self._store.delete_expired(self._clock() - self._remembered)

    async def _find(self, unverified: UnverifiedRefreshToken) -> KeptToken | None:
        if not _SHAPE.fullmatch(unverified):
            return None
        return await self._store.find(_hash(unverified))

    async def _end(self, family_id: str) -> None:
        await self._store.revoke_family(family_id, self._clock())
        self._ended(family_id)

    async def _end_reused(self, token: KeptToken) -> NoReturn:
        await self._end(token.family_id)
        raise errors.InvalidRefreshTokenError


def _new_token() -> str:
    return f"rt_{secrets.token_urlsafe(32)}"


def _hash(token: str) -> str:
    """Plain SHA-256: 256 random bits need no salt and no stretching."""
    return hashlib.sha256(token.encode()).hexdigest()
