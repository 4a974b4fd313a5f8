"""Grants by Cognito developer identities, and presigned ones where those cannot be had."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from errors import (
    CognitoNotConfiguredError,
    CognitoUnavailableError,
    IdentityConflictError,
    InternalError,
    UploadgateError,
)
from service.clock import Clock
from service.grants.fallback import OBSTACLES, reason_of
from service.grants.folders import identity_folder, identity_of, user_folder
from service.grants.model import (
    CognitoGrant,
    Exchanged,
    Mode,
    OpenIdToken,
    Place,
    PresignedGrant,
    Reason,
)
from service.grants.ports import IdentityHistory, IdentityPool
from service.grants.trouble import Trouble

_log = structlog.get_logger("uploadgate.grants")


class CredentialsPolicy(Protocol):
    def check_credentials(self) -> None:
        """Raises PolicyError where credentials may not be given."""
        ...


class Grants:
    """Registers users with the pool, remembers their identities, hands out tokens."""

    def __init__(
        self,
        *,
        pool: IdentityPool | None,
        history: IdentityHistory,
        policy: CredentialsPolicy,
        place: Place,
        token_seconds: int,
        max_calls: int,
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._history = history
        self._policy = policy
        self._place = place
        self._token_seconds = token_seconds
        self._clock = clock
        self._calls = asyncio.Semaphore(max_calls)
        self._trouble = Trouble(clock)

    async def grant(self, user_id: str, mode: Mode) -> CognitoGrant | PresignedGrant:
        """`cognito` insists: raises PolicyError, CognitoNotConfiguredError and what the pool
        raises. The others never do. All raise UnavailableError.
        """
        if mode == "presigned":
            return await self._presigned(user_id, "requested")
        if mode == "cognito":
            return await self._cognito(user_id)
        return await self._whichever_can_be_had(user_id)

    async def _whichever_can_be_had(self, user_id: str) -> CognitoGrant | PresignedGrant:
        try:
            self._allowed_pool()
            self._trouble.check_or_probe()
        except OBSTACLES as known:
            return await self._presigned(user_id, reason_of(known))
        try:
            return await self._cognito(user_id)
        except OBSTACLES as error:
            _log.warning("grant.fell_back", user_id=user_id, code=error.code)
            return await self._presigned(user_id, reason_of(error))

    async def _cognito(self, user_id: str) -> CognitoGrant:
        asked_at = self._clock()
        open_id, pool = await self._token(user_id)
        return CognitoGrant(
            open_id=open_id,
            identity_pool_id=pool.pool_id,
            place=self._place,
            key_prefix=identity_folder(open_id.identity_id),
            expires_at=asked_at + timedelta(seconds=self._token_seconds),
            refresh_after=self._refresh_after(asked_at),
            server_time=self._clock(),
        )

    async def _presigned(self, user_id: str, reason: Reason) -> PresignedGrant:
        return PresignedGrant(
            reason=reason,
            place=self._place,
            key_prefix=await self.known_folder_of(user_id),
            server_time=self._clock(),
        )

    def _refresh_after(self, asked_at: datetime) -> datetime:
        """At two thirds of the token's life, so that a slow client still has a third."""
        return asked_at + timedelta(seconds=self._token_seconds * 2 / 3)

    async def exchange(self, user_id: str) -> Exchanged:
        """For thin clients: the service itself calls GetCredentialsForIdentity."""
        open_id, pool = await self._token(user_id)
        async with self._call():
            credentials = await pool.credentials(open_id)
        return Exchanged(
            credentials=credentials,
            place=self._place,
            key_prefix=identity_folder(open_id.identity_id),
            server_time=self._clock(),
        )

    async def folder_of(self, user_id: str) -> str:
        """The prefix that this user's credentials can write into: asks Cognito only for a user
        whose identity is not known yet.
        """
        if self._pool is None:
            raise CognitoNotConfiguredError
        identity_id = await self._history.current(self._pool.pool_id, user_id)
        if identity_id is None:
            open_id, _ = await self._token(user_id)
            identity_id = open_id.identity_id
        return identity_folder(identity_id)

    async def known_folder_of(self, user_id: str) -> str:
        """The same where the identity is known, else a folder that no credentials can write into.
        Never asks Cognito. Raises UnavailableError, and InternalError for an id that was not made
        by the rules: the service makes them all itself.
        """
        identity_id = None
        if self._pool is not None:
            identity_id = await self._history.current(self._pool.pool_id, user_id)
        try:
            return user_folder(user_id) if identity_id is None else identity_folder(identity_id)
        except ValueError as error:
            raise InternalError("The user's id cannot name a folder") from error

    async def owner_of(self, key: str) -> tuple[str, str] | None:
        """(user id, path within the folder) of a key in a known user's folder. Under `users/` no
        credentials can write, so what lies there without a record is nobody's.
        """
        found = identity_of(key)
        if found is None or self._pool is None:
            return None
        identity_id, path = found
        user_id = await self._history.owner(self._pool.pool_id, identity_id)
        return (user_id, path) if user_id is not None else None

    async def check(self) -> None:
        """How Cognito did when it was last asked: raises what it raised then, for a minute.
        It has no call that asks nothing of it.
        """
        if self._pool is None:
            raise CognitoNotConfiguredError
        self._trouble.check()

    @asynccontextmanager
    async def _call(self) -> AsyncIterator[None]:
        """One call to Cognito: bounded in number, so that one that hangs holds up its own callers
        only, and remembered for `check`.
        """
        if self._calls.locked():
            raise CognitoUnavailableError("Too many calls wait for Cognito", retry_after=2)
        try:
            async with self._calls:
                yield
        except IdentityConflictError:
            raise  # this user's own trouble
        except UploadgateError as error:
            self._trouble.met(error)
            raise
        self._trouble.over()

    async def _token(self, user_id: str) -> tuple[OpenIdToken, IdentityPool]:
        pool = self._allowed_pool()
        async with self._call():
            open_id = await pool.open_id_token(user_id, seconds=self._token_seconds)
        replaced = await self._history.note(pool.pool_id, user_id, open_id.identity_id)
        if replaced is not None:
            # The folder changed with it: what was uploaded before lies under the old one.
            _log.warning(
                "identity.changed",
                user_id=user_id,
                pool_id=pool.pool_id,
                before=replaced,
                now=open_id.identity_id,
            )
        return open_id, pool

    def _allowed_pool(self) -> IdentityPool:
        """Policy first: no grant, no call of Cognito's."""
        self._policy.check_credentials()
        if self._pool is None:
            raise CognitoNotConfiguredError
        return self._pool
