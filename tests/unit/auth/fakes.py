"""The ports of auth, in memory, and a clock that stands until it is moved."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import errors
from auth.accounts import Accounts, build
from auth.refresh_tokens import KeptToken
from auth.users import User

KEY = "a-signing-key-of-thirty-two-chars"


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2030, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def seconds(self) -> float:
        return self.now.timestamp()


class MemoryUsers:
    def __init__(self) -> None:
        self.rows: dict[str, User] = {}

    async def add(self, user: User) -> None:
        if await self.by_key(user.username_key):
            raise errors.UserExistsError
        self.rows[user.id] = user

    async def by_key(self, username_key: str) -> User | None:
        return next((row for row in self.rows.values() if row.username_key == username_key), None)

    async def by_id(self, user_id: str) -> User | None:
        return self.rows.get(user_id)

    async def all(self) -> Sequence[User]:
        return sorted(self.rows.values(), key=lambda row: row.username_key)

    async def replace_hash(self, user_id: str, *, old: str, new: str) -> None:
        if self.rows[user_id].password_hash == old:
            self.rows[user_id] = replace(self.rows[user_id], password_hash=new)

    async def disable(self, user_id: str, at: datetime) -> None:
        user = self.rows[user_id]
        self.rows[user_id] = replace(user, disabled_at=user.disabled_at or at)


class MemoryRefreshTokens:
    def __init__(self) -> None:
        self.rows: dict[str, KeptToken] = {}

    async def add(self, token: KeptToken) -> None:
        self.rows[token.token_hash] = token

    async def find(self, token_hash: str) -> KeptToken | None:
        return self.rows.get(token_hash)

    async def rotate(self, token: KeptToken, successor: KeptToken) -> bool:
        current = self.rows[token.token_hash]
        if current.used_at is not None or current.revoked_at is not None:
            return False
        self.rows[token.token_hash] = replace(current, used_at=successor.created_at)
        self.rows[successor.token_hash] = successor
        return True

    async def revoke_family(self, family_id: str, at: datetime) -> None:
        self._revoke([row for row in self.rows.values() if row.family_id == family_id], at)

    async def revoke_user(self, user_id: str, at: datetime) -> None:
        self._revoke([row for row in self.rows.values() if row.user_id == user_id], at)

    async def delete_expired(self, before: datetime) -> int:
        expired = [key for key, row in self.rows.items() if row.expires_at <= before]
        for key in expired:
            del self.rows[key]
        return len(expired)

    def _revoke(self, rows: list[KeptToken], at: datetime) -> None:
        for row in rows:
            self.rows[row.token_hash] = replace(row, revoked_at=row.revoked_at or at)


def accounts(
    users: MemoryUsers, refresh_tokens: MemoryRefreshTokens, clock: Clock, **changes: Any
) -> Accounts:
    """With the cheapest hash that Argon2 allows. To be closed."""
    values: dict[str, Any] = {
        "signing_key": KEY,
        "previous_signing_keys": [],
        "issuer": "issuer",
        "audience": "audience",
        "access_token_seconds": 900,
        "refresh_token_seconds": 86_400,
        "leeway_seconds": 30,
        "session_cache": 100,
        "revocation_look_seconds": 5,
        "hash_concurrency": 2,
        "hash_memory_kib": 8,
        "hash_iterations": 1,
        "failures_per_account": 3,
        "failures_per_address": 10,
        "failure_window_seconds": 300,
        "clock": clock,
    }
    return build(users=users, refresh_tokens=refresh_tokens, **{**values, **changes})
