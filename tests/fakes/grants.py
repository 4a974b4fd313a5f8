"""The room of grants with a pool, a history and a clock in memory."""

import asyncio
from datetime import datetime, timedelta

from errors import (
    CognitoRefusedError,
    CognitoThrottledError,
    IdentityConflictError,
    RateLimit,
    UnavailableError,
    UploadgateError,
)
from service.grants.asking import Asking
from service.grants.breaker import Breaker
from service.grants.calls import Calls
from service.grants.grants import Grants, PoolRoom
from service.grants.identities import Identities
from service.grants.lull import Lull
from service.grants.model import CognitoGrant, KeptToken, Mode, Place
from service.grants.ports import Claim, SharedTokens
from service.grants.tokens import Tokens, Waits
from service.grants.turns import Turns
from service.uploads.policy import Policy, Profile
from tests.fakes.clock import Clock
from tests.fakes.pool import MemoryHistory, MemoryPool

PLACE = Place(region="eu-west-1", bucket="uploads", cognito_endpoint=None, s3_endpoint="http://s3")
LIFE, EARLY, PAUSE, TO_OPEN = 900, timedelta(seconds=90), timedelta(seconds=2), 3


class MemoryRate:
    """Implements service.grants.ports.CallRate: so many turns, at once; then none."""

    def __init__(self, turns: int) -> None:
        self.turns = turns
        self.asked = 0
        self.away = False

    async def turn(self, *, within: float, background: bool = False) -> float:
        self.asked += 1
        if self.away:
            raise UnavailableError
        if self.turns == 0 or background:
            raise CognitoThrottledError(retry_after=3, rate_limit=RateLimit("cognito", 50, 1, 0, 3))
        self.turns -= 1
        return 0.0


class MemoryShared:
    """Implements service.grants.ports.SharedTokens, for several replicas of one test."""

    def __init__(self) -> None:
        self.kept: dict[str, KeptToken] = {}
        self.claims: dict[str, Claim] = {}
        self.away = False
        self.asked = 0

    async def get_or_claim(
        self, user_id: str, *, better_than: datetime, lease_seconds: float
    ) -> KeptToken | Claim | None:
        self._look()
        kept = self.kept.get(user_id)
        if kept is not None and kept.refresh_after > better_than:
            return kept
        if user_id in self.claims:
            return None
        claim = self.claims[user_id] = Claim(f"claim-{self.asked}")
        return claim

    async def keep(self, user_id: str, kept: KeptToken, claim: Claim | None) -> None:
        self._look()
        self.kept[user_id] = kept
        if self.claims.get(user_id) == claim:
            self.claims.pop(user_id, None)

    async def release(self, user_id: str, claim: Claim) -> None:
        self._look()
        if self.claims.get(user_id) == claim:
            self.claims.pop(user_id)

    def _look(self) -> None:
        self.asked += 1
        if self.away:
            raise UnavailableError


class GrantHouse:
    """One replica. `wait_seconds` is what a caller waits; `most` calls at once."""

    def __init__(
        self,
        *,
        configured: bool = True,
        policy: Policy | None = None,
        pool: MemoryPool | None = None,
        shared: SharedTokens | None = None,
        rate: MemoryRate | None = None,
        spare: MemoryRate | None = None,
        most: int = 100,
        kept: int = 100,
        wait_seconds: float = 5,
        to_open: int = TO_OPEN,
    ) -> None:
        self._to_open = to_open
        self.clock = Clock()
        self.pool = pool or MemoryPool()
        self.history = MemoryHistory()
        now = self._seconds
        self.lull = Lull(now, seconds=2)
        turns = Turns(rate, spare=spare, lull=self.lull, now=now, spread=1)
        self.calls = self._calls(turns, most)
        identities = Identities(self.history, self.pool.pool_id, self.clock)
        asking = Asking(
            pool=self.pool,
            calls=self.calls,
            identities=identities,
            token_seconds=LIFE,
            wait_seconds=wait_seconds,
            clock=self.clock,
            shared=shared,
            lull=self.lull,
        )
        waits = Waits(caller_seconds=wait_seconds, early=EARLY, trouble_seconds=0)
        self.tokens = Tokens(
            asking, waits=waits, most_kept=kept, clock=self.clock, steady=self.clock
        )
        room = PoolRoom(
            pool=self.pool,
            tokens=self.tokens,
            identities=identities,
            calls=self.calls,
            exchanges=self._calls(Turns(None, now=now), most, CognitoRefusedError),
        )
        self.grants = Grants(
            room if configured else None,
            policy=policy or Policy([Profile()]),
            place=PLACE,
            clock=self.clock,
            steady=self.clock,
        )

    def _calls(self, turns: Turns, most: int, *own: type[UploadgateError]) -> Calls:
        breaker = Breaker(
            self.clock, failures=self._to_open, pause=PAUSE, patience=timedelta(seconds=10)
        )
        own_trouble: tuple[type[UploadgateError], ...] = (IdentityConflictError, *own)
        return Calls(turns, breaker, most=most, seconds=4, within=1, own_trouble=own_trouble)

    def _seconds(self) -> float:
        return self.clock().timestamp()

    async def cognito(self, user_id: str, mode: Mode = "auto") -> CognitoGrant:
        grant = await self.grants.grant(user_id, mode)
        assert isinstance(grant, CognitoGrant)
        return grant

    async def landed(self) -> None:
        """Whatever was started in the background has ended."""
        await asyncio.sleep(0)
        flights = list(self.tokens._flights.values())
        if flights:
            await asyncio.wait([flight.task for flight in flights])
            await asyncio.sleep(0)
