"""Grants by Cognito developer identities, and presigned ones where those cannot be had."""

from dataclasses import dataclass
from typing import Protocol

import structlog

from errors import CognitoNotConfiguredError, CognitoRefusedError, InternalError
from service.clock import Clock, steady_now
from service.grants.calls import Calls
from service.grants.fallback import OBSTACLES, reason_of
from service.grants.folders import identity_folder, identity_of, user_folder
from service.grants.identities import Identities
from service.grants.model import (
    CognitoGrant,
    Exchanged,
    KeptToken,
    Mode,
    Place,
    PresignedGrant,
    Reason,
)
from service.grants.ports import IdentityPool
from service.grants.tally import Tally
from service.grants.tokens import Tokens

_log = structlog.get_logger("uploadgate.grants")


def _tell_of_fallbacks(code: str, count: int) -> None:
    _log.warning("grant.fell_back", code=code, count=count)


class CredentialsPolicy(Protocol):
    def check_credentials(self) -> None:
        """Raises PolicyError where credentials may not be given."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRoom:
    """All that belongs to one identity pool. `calls` are those for tokens, `exchanges` those for
    credentials: each has a quota, and a breaker, of its own.
    """

    pool: IdentityPool
    tokens: Tokens
    identities: Identities
    calls: Calls
    exchanges: Calls


class Grants:
    """Registers users with the pool, remembers their identities, hands out tokens. `room` is None
    where no pool is configured.
    """

    def __init__(
        self,
        room: PoolRoom | None,
        *,
        policy: CredentialsPolicy,
        place: Place,
        clock: Clock,
        steady: Clock = steady_now,
    ) -> None:
        self._room = room
        self._policy = policy
        self._place = place
        self._clock = clock
        self._fallbacks = Tally(_tell_of_fallbacks, steady)

    def ready(self, user_id: str, mode: Mode) -> CognitoGrant | None:
        """The grant that needs nothing but what this process has, which is the rule; else None."""
        if mode == "presigned" or self._room is None:
            return None
        kept = self._room.tokens.ready(user_id)
        if kept is None:
            return None
        try:
            self._policy.check_credentials()
        except OBSTACLES:
            return None
        return self._cognito(kept, self._room)

    async def grant(self, user_id: str, mode: Mode) -> CognitoGrant | PresignedGrant:
        """`cognito` insists: raises PolicyError, CognitoNotConfiguredError and what the pool
        raises. The others never do. All raise UnavailableError.
        """
        if mode == "presigned":
            return await self._presigned(user_id, "requested")
        if mode == "cognito":
            room = self._allowed_room()
            return self._cognito(await room.tokens.token(user_id, insists=True), room)
        return await self._whichever_can_be_had(user_id)

    async def _whichever_can_be_had(self, user_id: str) -> CognitoGrant | PresignedGrant:
        try:
            room = self._allowed_room()
        except OBSTACLES as known:  # as it is meant to be: nothing for an operator to read
            return await self._presigned(user_id, reason_of(known))
        try:
            kept = await room.tokens.token(user_id, insists=False)
        except OBSTACLES as error:
            self._fallbacks.count(error.code)
            return await self._presigned(user_id, reason_of(error))
        return self._cognito(kept, room)

    def _cognito(self, kept: KeptToken, room: PoolRoom) -> CognitoGrant:
        now = self._clock()
        return CognitoGrant(
            open_id=kept.open_id,
            identity_pool_id=room.pool.pool_id,
            place=self._place,
            key_prefix=identity_folder(kept.open_id.identity_id),
            expires_at=kept.expires_at,
            # Late where Cognito is: half of what is left then.
            refresh_after=(
                kept.refresh_after
                if now < kept.refresh_after
                else now + (kept.expires_at - now) / 2
            ),
            server_time=now,
        )

    async def _presigned(self, user_id: str, reason: Reason) -> PresignedGrant:
        return PresignedGrant(
            reason=reason,
            place=self._place,
            key_prefix=await self.known_folder_of(user_id),
            server_time=self._clock(),
        )

    async def exchange(self, user_id: str) -> Exchanged:
        """For thin clients: the service itself calls GetCredentialsForIdentity."""
        room = self._allowed_room()
        kept = await room.tokens.token(user_id, insists=True)
        try:
            credentials = await room.exchanges.call(lambda: room.pool.credentials(kept.open_id))
        except CognitoRefusedError:
            room.tokens.forget(user_id)  # of an identity that was deleted there, say
            raise
        return Exchanged(
            credentials=credentials,
            place=self._place,
            key_prefix=identity_folder(kept.open_id.identity_id),
            server_time=self._clock(),
        )

    async def folder_of(self, user_id: str) -> str:
        """The prefix that this user's credentials can write into: asks Cognito only for a user
        whose identity is not known yet.
        """
        if self._room is None:
            raise CognitoNotConfiguredError
        identity_id = await self._room.identities.current(user_id)
        if identity_id is None:
            kept = await self._allowed_room().tokens.token(user_id, insists=True)
            identity_id = kept.open_id.identity_id
        return identity_folder(identity_id)

    async def known_folder_of(self, user_id: str) -> str:
        """The same where the identity is known, else a folder that no credentials can write into.
        Never asks Cognito. Raises UnavailableError, and InternalError for an id that was not made
        by the rules: the service makes them all itself.
        """
        identity_id = None
        if self._room is not None:
            identity_id = await self._room.identities.current(user_id)
        try:
            return user_folder(user_id) if identity_id is None else identity_folder(identity_id)
        except ValueError as error:
            raise InternalError("The user's id cannot name a folder") from error

    async def owner_of(self, key: str) -> tuple[str, str] | None:
        """(user id, path within the folder) of a key in a known user's folder. Under `users/` no
        credentials can write, so what lies there without a record is nobody's.
        """
        found = identity_of(key)
        if found is None or self._room is None:
            return None
        identity_id, path = found
        user_id = await self._room.identities.owner(identity_id)
        return (user_id, path) if user_id is not None else None

    async def check(self) -> None:
        """How Cognito did when it was last asked: raises what it raised then, for a minute.
        It has no call that asks nothing of it.
        """
        if self._room is None:
            raise CognitoNotConfiguredError
        self._room.calls.breaker.check()
        self._room.exchanges.breaker.check()

    def _allowed_room(self) -> PoolRoom:
        """Policy first: no grant, no call of Cognito's."""
        self._policy.check_credentials()
        if self._room is None:
            raise CognitoNotConfiguredError
        return self._room

    async def aclose(self) -> None:
        if self._room is not None:
            await self._room.tokens.aclose()
