"""The rate of one call of Cognito's, over all replicas."""

import asyncio
import math
import time
from collections.abc import Callable

from service.grants.pacing import LONGEST, Pace, Turns

# What is learnt from a few answers spares the others their questions.
_ASKING = 4


class FleetRate:
    """Implements service.grants.ports.CallRate.

    Whoever has been answered knows when the next turn is free at the earliest; until then nobody
    asks who would be refused. So of thousands at once only as many ask as there are turns to be
    had, a few at a time. `clock` in seconds, and never back.
    """

    def __init__(
        self, turns: Turns, pace: Pace, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._turns = turns
        self._pace = pace
        self._clock = clock
        self._free_at = -math.inf  # or later
        self._asking = asyncio.Semaphore(_ASKING)

    async def turn(self, *, within: float, background: bool = False) -> float:
        """In the background turns are half of those there are at the most, and the next one who
        is interactive waits for one spacing at the most.
        """
        idle = self._pace.spacing if background else 0.0
        within = 0.0 if background else min(within, LONGEST)
        latest = self._clock() + within
        self._refuse_what_is_known(latest, idle)
        queued = self._asking.locked()
        if queued and within <= 0:
            raise self._pace.refusal(0)
        async with self._asking:
            if queued:
                self._refuse_what_is_known(latest, idle)
            return await self._asked(latest, idle, queued=queued)

    async def _asked(self, latest: float, idle: float, *, queued: bool) -> float:
        """The time in the queue is a part of the wait."""
        now = self._clock()
        if queued and now > latest:
            raise self._pace.refusal(0)
        within = max(0.0, latest - now)
        taken, wait = await self._turns.take(within=within, idle=idle)
        self._learn(now + wait + (self._pace.spacing if taken else -idle))
        if not taken:
            raise self._pace.refusal(wait - within)
        return wait

    def _refuse_what_is_known(self, latest: float, idle: float) -> None:
        short = self._free_at + idle - latest
        if short > 0:
            raise self._pace.refusal(short)

    def _learn(self, free_at: float) -> None:
        """Answers come in any order; the latest turn counts."""
        self._free_at = max(self._free_at, free_at)
