"""Waiting for one's turn to call Cognito, under the rate that all replicas keep together."""

import asyncio
import math
import random
from collections.abc import Callable

from errors import CognitoThrottledError, UnavailableError
from service.grants.lull import Lull
from service.grants.ports import CallRate

# A turn that is used later than this is given back unused: calls that were spaced evenly would
# arrive together. What comes closer than it was sent is what `quota_share` leaves room for.
LATENESS = 0.05
_ROUNDS = 3
# Seconds over which those who were refused together are asked to come back.
SPREAD = 5

Now = Callable[[], float]
Refusal = Callable[[float], CognitoThrottledError]
"""Of one who should come again after so many seconds."""


def _refusal(seconds: float) -> CognitoThrottledError:
    return CognitoThrottledError(retry_after=math.ceil(seconds))


class Turns:
    """`rate` None: no limit. `spare` serves while `rate` is away (Postgres for Redis); `lull` is
    shared by all that lives there, and no two turns come closer than `apart` seconds then, a
    little less than the rate's own spacing. `now` in seconds. Of `spread` seconds some are drawn
    for each Retry-After.
    """

    def __init__(
        self,
        rate: CallRate | None,
        *,
        spare: CallRate | None = None,
        lull: Lull | None = None,
        apart: float = 0.0,
        now: Now,
        spread: int = SPREAD,
        refusal: Refusal = _refusal,
    ) -> None:
        self._rate = rate
        self._spare = spare
        self._lull = lull
        self._now = now
        self._spread = spread
        self._refusal = refusal
        self._apart = apart
        self._free_at = float("-inf")

    async def wait(self, *, within: float, background: bool = False) -> None:
        """Returns at the caller's turn. Raises CognitoThrottledError where it would come later
        than `within` seconds from now: at once, not after having waited.
        """
        if self._rate is None:
            return
        try:
            await self._wait(self._rate, within=within, background=background)
        except CognitoThrottledError as refusal:
            refusal.retry_after = (refusal.retry_after or 1) + random.randrange(self._spread)  # noqa: S311
            raise

    async def _wait(self, rate: CallRate, *, within: float, background: bool) -> None:
        end = self._now() + within
        for _ in range(_ROUNDS):
            left = max(0.0, end - self._now())
            wait = await self._turn(rate, within=left, background=background)
            turn_at = self._behind_the_last(self._now() + wait)
            if turn_at > end + LATENESS:
                break
            await asyncio.sleep(max(0.0, turn_at - self._now()))
            if self._now() - turn_at <= LATENESS:
                return
        raise self._refusal(1)

    def _behind_the_last(self, turn_at: float) -> float:
        """Where the spare has just taken over, or given back, turns of both would lie on top of one
        another.
        """
        if self._spare is None:
            return turn_at
        turn_at = max(turn_at, self._free_at)
        self._free_at = turn_at + self._apart
        return turn_at

    async def _turn(self, rate: CallRate, *, within: float, background: bool) -> float:
        if self._spare is None or self._lull is None:
            return await rate.turn(within=within, background=background)
        try:
            return await self._lull.ask(lambda: rate.turn(within=within, background=background))
        except UnavailableError:
            return await self._spare.turn(within=within, background=background)
