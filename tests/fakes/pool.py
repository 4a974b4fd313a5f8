"""An identity pool and its history in memory."""

import asyncio
import uuid
from collections.abc import Collection, Mapping
from datetime import timedelta

from errors import IdentityConflictError
from service.grants.model import OpenIdToken, TemporaryCredentials
from tests.fakes.clock import START

POOL = "us-east-1:1a2b3c4d-0000-4000-8000-0123456789ab"
TOKEN = "open-id-token-that-is-secret"


class MemoryPool:
    """Implements service.grants.ports.IdentityPool. Counts its calls; `failures` are raised
    first, one a call; with `hold` they wait until it is set.
    """

    def __init__(self) -> None:
        self.pool_id = POOL
        self.identities: dict[str, str] = {}
        self.failures: list[Exception] = []
        self.refusals: list[Exception] = []  # of credentials alone
        self.calls = 0
        self.hold: asyncio.Event | None = None

    async def open_id_token(self, user_id: str, *, seconds: int) -> OpenIdToken:
        self.calls += 1
        if self.hold is not None:
            await self.hold.wait()
        if self.failures:
            raise self.failures.pop(0)
        identity_id = self.identities.setdefault(user_id, f"us-east-1:{uuid.uuid4()}")
        return OpenIdToken(identity_id, TOKEN)

    async def credentials(self, open_id: OpenIdToken) -> TemporaryCredentials:
        self.calls += 1
        assert open_id.token == TOKEN
        if self.refusals:
            raise self.refusals.pop(0)
        if self.failures:
            raise self.failures.pop(0)
        return TemporaryCredentials(
            access_key_id="ASIA",
            secret_access_key="secret-key",
            session_token="session-token",
            expires_at=START + timedelta(hours=1),
        )


class MemoryHistory:
    """Implements service.grants.ports.IdentityHistory. With a `failure` every call raises it."""

    def __init__(self) -> None:
        self.failure: Exception | None = None
        self.trips = 0
        self.owners: dict[tuple[str, str], str] = {}
        self.now: dict[tuple[str, str], str] = {}

    async def current(self, pool_id: str, user_id: str) -> str | None:
        self._fail()
        return self.now.get((pool_id, user_id))

    async def note(self, pool_id: str, user_id: str, identity_id: str) -> str | None:
        self._fail()
        if self.owners.setdefault((pool_id, identity_id), user_id) != user_id:
            raise IdentityConflictError
        before = self.now.get((pool_id, user_id))
        self.now[pool_id, user_id] = identity_id
        return before if before != identity_id else None

    async def current_of_many(self, pool_id: str, user_ids: Collection[str]) -> dict[str, str]:
        self._fail()
        self.trips += 1
        return {user: self.now[pool_id, user] for user in user_ids if (pool_id, user) in self.now}

    async def note_new(self, pool_id: str, identities: Mapping[str, str]) -> set[str]:
        self._fail()
        self.trips += 1
        for user_id, identity_id in identities.items():
            known = (pool_id, user_id) in self.now or (pool_id, identity_id) in self.owners
            if not known:
                self.owners[pool_id, identity_id] = user_id
                self.now[pool_id, user_id] = identity_id
        return {
            user for user, found in identities.items() if self.now.get((pool_id, user)) == found
        }

    async def owner(self, pool_id: str, identity_id: str) -> str | None:
        self._fail()
        return self.owners.get((pool_id, identity_id))

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure
