"""Failed logins counted for all replicas, and what counts while the shared counts are away."""

import time
from collections.abc import Callable

import structlog

from auth.attempts import Attempt, FailureCounts, MemoryCounts, Outcome
from errors import UnavailableError

_log = structlog.get_logger("uploadgate.attempts")


class CountsWithSpare:
    """Implements FailureCounts and never raises. The `spare` counts along, and decides while the
    shared counts are away: nobody is locked out by that, and everybody is counted still. Once they
    did not answer they are not asked for `away_seconds`: not every login is to wait for them.
    """

    def __init__(
        self,
        shared: FailureCounts,
        spare: MemoryCounts,
        *,
        away_seconds: float = 5,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shared = shared
        self._spare = spare
        self._away_seconds = away_seconds
        self._now = now
        self._back_at = float("-inf")

    async def begin(self, attempt: Attempt) -> float:
        if self._now() < self._back_at:
            return await self._spare.begin(attempt)
        try:
            wait = await self._shared.begin(attempt)
        except UnavailableError:
            self._gone()
            return await self._spare.begin(attempt)
        if wait <= 0:
            self._spare.begin_anyway(attempt)
        return wait

    async def end(self, attempt: Attempt, outcome: Outcome) -> None:
        await self._spare.end(attempt, outcome)
        if self._now() < self._back_at:
            return
        try:
            await self._shared.end(attempt, outcome)
        except UnavailableError:
            self._gone()

    def _gone(self) -> None:
        self._back_at = self._now() + self._away_seconds
        _log.warning("attempts.not_shared", for_seconds=self._away_seconds)
