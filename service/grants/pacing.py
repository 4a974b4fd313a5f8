"""An even rate of turns, which can be taken ahead of time (GCRA with reservations).

All that is kept is when the next turn is free. Whoever takes it moves that on by one spacing, so
no two turns lie closer together and nothing is saved up for a burst: of a rate of R turns a
second no second holds more than R, rounded up.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from errors import CognitoThrottledError, RateLimit

LONGEST = 60.0
"""No turn is taken further ahead, in seconds. One that is kept as further ahead (and a spacing) is
of a clock that was set back, and counts as free.
"""


class Answer(NamedTuple):
    """`wait`: seconds until the turn that was taken; or until there will be one, at the least."""

    taken: bool
    wait: float


class Turns(Protocol):
    """Where the next free turn of one rate is kept, for all who share it."""

    async def take(self, *, within: float, idle: float) -> Answer:
        """The next free turn, if it comes within so many seconds (LONGEST at the most) and has
        been free for `idle` seconds by then (a spacing at the most); else nothing changes. Raises
        UnavailableError.
        """
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """`calls_per_second` (above 0) is the quota, `share` the part of it that is used; `name` is
    what the fields RateLimit and RateLimit-Policy call it.
    """

    calls_per_second: float
    share: float = 1.0
    name: str = "cognito"

    @property
    def spacing(self) -> float:
        """Seconds from one turn to the next."""
        return 1 / (self.calls_per_second * self.share)

    def asked(
        self, free_at: float, now: float, *, within: float, idle: float
    ) -> tuple[Answer, float]:
        """What is answered, and when the next turn is free after that."""
        if free_at > now + LONGEST + self.spacing:
            free_at = now
        wait = max(0.0, free_at + idle - now)
        if wait > within:
            return Answer(taken=False, wait=wait), free_at
        return Answer(taken=True, wait=wait), max(free_at, now) + self.spacing

    def refusal(self, seconds: float) -> CognitoThrottledError:
        """`seconds` until a turn comes within the caller's reach."""
        after = max(1, math.ceil(seconds))
        return CognitoThrottledError(
            "Cognito's quota is used up", retry_after=after, rate_limit=self._limit(after)
        )

    def _limit(self, reset: int) -> RateLimit:
        """The fields take whole numbers: less than a call a second is one in a longer window."""
        quota = max(1, math.floor(self.calls_per_second))
        window = math.ceil(quota / self.calls_per_second) if self.calls_per_second < 1 else 1
        return RateLimit(name=self.name, quota=quota, window=window, remaining=0, reset=reset)


class MemoryTurns:
    """Implements Turns for one process. `clock` in seconds, and never back."""

    def __init__(self, pace: Pace, clock: Callable[[], float] = time.monotonic) -> None:
        self._pace = pace
        self._clock = clock
        self._free_at = -math.inf

    async def take(self, *, within: float, idle: float) -> Answer:
        now = self._clock()
        answer, self._free_at = self._pace.asked(self._free_at, now, within=within, idle=idle)
        return answer
