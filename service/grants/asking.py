"""How one token is asked for: among replicas, in turn, and not of a Cognito that is down."""

import asyncio
import random
from datetime import datetime, timedelta

import structlog

from errors import (
    CognitoUnavailableError,
    IdentityConflictError,
    UnavailableError,
    UploadgateError,
)
from service.clock import Clock
from service.grants.calls import Calls
from service.grants.identities import Identities
from service.grants.lru import Recent
from service.grants.lull import Lull
from service.grants.model import KeptToken, OpenIdToken
from service.grants.ports import Claim, IdentityPool, SharedTokens

_log = structlog.get_logger("uploadgate.grants")
# Of a replica that waits for another one's answer, in seconds.
_FIRST_LOOK, _LONGEST_PAUSE = 0.02, 0.25
_SOONEST, _LATEST = 0.5, 0.7
_MOST_UNNOTED = 1000
_random = random.SystemRandom()


class Asking:
    """`shared` None: one process. `lull` goes with it."""

    def __init__(
        self,
        *,
        pool: IdentityPool,
        calls: Calls,
        identities: Identities,
        token_seconds: int,
        wait_seconds: float,
        clock: Clock,
        shared: SharedTokens | None = None,
        lull: Lull | None = None,
    ) -> None:
        self._pool = pool
        self._calls = calls
        self._identities = identities
        self._token_seconds = token_seconds
        self._wait_seconds = wait_seconds
        self._clock = clock
        self._shared = shared
        self._lull = lull
        self._unnoted: Recent[KeptToken] = Recent(_MOST_UNNOTED)
        self._settling: set[asyncio.Task[None]] = set()

    async def ask(self, user_id: str, *, better_than: datetime, background: bool) -> KeptToken:
        """A token that is to be replaced later than `better_than`: another replica's, or one of
        Cognito's. Raises what IdentityPool and IdentityHistory raise.
        """
        found = await self._found_or_claimed(user_id, better_than)
        if isinstance(found, KeptToken):
            return found
        kept = None
        try:
            kept = await self._from_cognito(user_id, background=background)
        finally:
            self._settle_soon(user_id, kept, found)
        return kept

    @property
    def in_trouble(self) -> bool:
        return self._calls.breaker.is_open

    def late(self) -> UploadgateError:
        """For who has waited long enough."""
        if self._calls.breaker.is_open:
            return self._calls.breaker.refusal()
        return CognitoUnavailableError(retry_after=_random.randint(1, 3))

    async def _found_or_claimed(
        self, user_id: str, better_than: datetime
    ) -> KeptToken | Claim | None:
        """None where replicas share nothing, or cannot just now."""
        clock = asyncio.get_running_loop().time
        end, pause = clock() + self._wait_seconds, _FIRST_LOOK
        while True:
            try:
                found = await self._look(user_id, better_than)
            except UnavailableError:
                return None
            if found is not None or self._shared is None:
                return found
            if clock() + pause > end:
                raise CognitoUnavailableError("Another replica waits for Cognito", retry_after=1)
            await asyncio.sleep(pause * _random.uniform(0.5, 1))
            pause = min(_LONGEST_PAUSE, pause * 1.5)

    async def _look(self, user_id: str, better_than: datetime) -> KeptToken | Claim | None:
        shared, lull = self._shared, self._lull
        if shared is None or lull is None:
            return None
        # Longer than all of it can take: it ends before only if this replica dies.
        lease = self._wait_seconds + self._calls.longest
        return await lull.ask(
            lambda: shared.get_or_claim(user_id, better_than=better_than, lease_seconds=lease)
        )

    async def _from_cognito(self, user_id: str, *, background: bool) -> KeptToken:
        """What was answered and could not be noted is noted first: it is as good as ever, and
        another call would count.
        """
        kept = self._unnoted.get(user_id)
        if kept is None or self._clock() >= kept.refresh_after:
            kept = await self._answered(user_id, background=background)
            self._unnoted.put(user_id, kept)
        await self._note(user_id, kept.open_id)
        self._unnoted.drop(user_id)
        return kept

    async def _answered(self, user_id: str, *, background: bool) -> KeptToken:
        asked_at = self._clock()

        async def ask() -> OpenIdToken:
            nonlocal asked_at
            asked_at = self._clock()
            return await self._pool.open_id_token(user_id, seconds=self._token_seconds)

        open_id = await self._calls.call(ask, background=background)
        life = timedelta(seconds=self._token_seconds)
        return KeptToken(
            open_id=open_id,
            expires_at=asked_at + life,
            # Drawn, so that users who came together do not all come back together.
            refresh_after=asked_at + life * _random.uniform(_SOONEST, _LATEST),
        )

    async def _note(self, user_id: str, open_id: OpenIdToken) -> None:
        """Before anybody gets the token: what is uploaded with it must have an owner. Raises
        IdentityConflictError: such a token is handed to nobody.
        """
        try:
            replaced = await self._identities.note(user_id, open_id.identity_id)
        except IdentityConflictError:
            _log.error("identity.conflict", user_id=user_id, pool_id=self._pool.pool_id)
            self._unnoted.drop(user_id)
            raise
        if replaced is not None:
            # The folder changed with it: what was uploaded before lies under the old one.
            _log.warning(
                "identity.changed",
                user_id=user_id,
                pool_id=self._pool.pool_id,
                before=replaced,
                now=open_id.identity_id,
            )

    def _settle_soon(self, user_id: str, kept: KeptToken | None, claim: Claim | None) -> None:
        """Nobody waits until the other replicas have been told."""
        if self._shared is not None and (kept is not None or claim is not None):
            task = asyncio.create_task(self._settle(user_id, kept, claim))
            self._settling.add(task)
            task.add_done_callback(self._settling.discard)

    async def _settle(self, user_id: str, kept: KeptToken | None, claim: Claim | None) -> None:
        """Tells the other replicas how it went. One that is not told waits for the lease."""
        shared, lull = self._shared, self._lull
        if shared is None or lull is None:
            return
        try:
            if kept is not None:
                await lull.ask(lambda: shared.keep(user_id, kept, claim))
            elif claim is not None:
                await lull.ask(lambda: shared.release(user_id, claim))
        except UnavailableError:
            return

    async def aclose(self) -> None:
        """Waits for what is being told; each has a time-out of its own."""
        if self._settling:
            await asyncio.wait(self._settling)
