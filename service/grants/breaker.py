"""Leaves a Cognito alone that is not well, so that nobody finds out by waiting.

Closed: calls go through. After so many failures in a row it opens: for a while every call is
refused at once, with the last failure's kind. Then it is half open: one call at a time tries; a
success closes it, a failure opens it again for twice as long.
"""

import random
from datetime import datetime, timedelta
from typing import NewType

from errors import CognitoUnavailableError, UploadgateError
from service.clock import Clock

TOLD_FOR = timedelta(minutes=1)
LONGEST = timedelta(seconds=30)

Era = NewType("Era", int)
"""Between one opening or closing and the next: what began in another one is a straggler."""


class Breaker:
    """`failures` in a row open it, first for `pause`, less up to a quarter by `jitter` (0 to 1).
    A trial that has not ended after `patience` no longer stands in the way of the next.

    Only a failure's kind is kept: the rest was one caller's, and an error that is raised again
    and again would keep the frames of all its callers.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        failures: int,
        pause: timedelta,
        patience: timedelta,
        jitter: random.Random | None = None,
    ) -> None:
        self._clock = clock
        self._most = failures
        self._first = pause
        self._patience = patience
        self._jitter = jitter or random.Random()  # noqa: S311 - no secret
        self._kind: type[UploadgateError] = CognitoUnavailableError
        self._told_until = clock()
        self._count = 0
        self._openings = 0
        self._tries_at: datetime | None = None
        self._era = Era(0)

    @property
    def is_open(self) -> bool:
        """Half open, too: who has another way goes it."""
        return self._tries_at is not None

    def check_closed(self) -> None:
        """Raises the last failure's kind where no call may be made now."""
        if self._tries_at is not None and self._clock() < self._tries_at:
            raise self.refusal()

    def enter(self) -> Era:
        """The same, right before a call. Half open, the call is the one that tries. How it went is
        told with what is answered here.
        """
        self.check_closed()
        if self._tries_at is not None:
            # The next one tries only if this one hangs.
            self._tries_at = self._clock() + self._patience
            self._era = Era(self._era + 1)
        return self._era

    def refusal(self) -> UploadgateError:
        left = timedelta() if self._tries_at is None else self._tries_at - self._clock()
        return self._kind(retry_after=max(1, -(-left // timedelta(seconds=1))))

    def failed(self, error: UploadgateError, era: Era) -> None:
        """A call that began before it opened, or closed, says nothing new."""
        now = self._clock()
        self._kind, self._told_until = type(error), now + TOLD_FOR
        if era != self._era:
            return
        self._count += 1
        if self._tries_at is not None or self._count >= self._most:
            self._open(now)

    def _open(self, now: datetime) -> None:
        pause = min(LONGEST, self._first * 2 ** min(self._openings, 16))
        self._openings += 1
        self._tries_at = now + pause * (1 - self._jitter.random() / 4)
        self._era = Era(self._era + 1)

    def succeeded(self, era: Era) -> None:
        if era != self._era:
            return
        if self._tries_at is not None:
            self._era = Era(self._era + 1)
        self._count = self._openings = 0
        self._tries_at = None
        self._told_until = self._clock()

    def check(self) -> None:
        """Raises the last failure's kind for a minute, or until a call succeeds."""
        if self._clock() < self._told_until:
            raise self._kind
