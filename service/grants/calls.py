"""Calls of one kind to Cognito: bounded in number and rate, and none to one that is down."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from errors import CognitoUnavailableError, IdentityConflictError, UploadgateError
from service.grants.breaker import Breaker, Era
from service.grants.turns import Turns

T = TypeVar("T")
_PAUSE = 0.1  # seconds
_AT_ONCE = 1.0  # seconds, beyond the turn
_MOST_RETRIES = 10.0


class Calls:
    """`most` under way at once; `seconds` is what one takes at the longest, `within` the longest
    wait for its turn. `own_trouble` are the errors that tell of one user, not of Cognito.
    """

    def __init__(
        self,
        turns: Turns,
        breaker: Breaker,
        *,
        most: int,
        seconds: float,
        within: float,
        own_trouble: tuple[type[UploadgateError], ...] = (IdentityConflictError,),
    ) -> None:
        self.breaker = breaker
        # Its turn, the call, and both once more.
        self.longest = 2 * (within + seconds) + _AT_ONCE
        self._own_trouble = own_trouble
        self._turns = turns
        self._within = within
        self._places = asyncio.Semaphore(most)
        self._retries = Retries()

    async def call(self, ask: Callable[[], Awaitable[T]], *, background: bool = False) -> T:
        """Raises CognitoThrottledError where its turn would come too late, the breaker's refusal,
        and what `ask` raises. What failed at once is tried once more, in a turn of its own, as
        long as few calls fail.
        """
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            return await self._once(ask, background=background)
        except CognitoUnavailableError as error:
            slow = clock() - began > self._within + _AT_ONCE
            if slow or not error.passing or not self._retries.take():
                raise
        await asyncio.sleep(_PAUSE * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
        return await self._once(ask, background=background)

    async def _once(self, ask: Callable[[], Awaitable[T]], *, background: bool) -> T:
        self.breaker.check_closed()
        if self._places.locked():
            # One that hangs holds up its own callers only.
            raise CognitoUnavailableError("Too many calls wait for Cognito", retry_after=2)
        async with self._places:
            await self._turns.wait(within=self._within, background=background)
            # After the turn: it may have opened meanwhile.
            return await self._answered(ask, self.breaker.enter())

    async def _answered(self, ask: Callable[[], Awaitable[T]], era: Era) -> T:
        try:
            answer = await ask()
        except self._own_trouble:
            self.breaker.succeeded(era)  # this user's own: Cognito has answered
            raise
        except UploadgateError as error:
            self.breaker.failed(error, era)
            raise
        self.breaker.succeeded(era)
        self._retries.earn()
        return answer


class Retries:
    """A budget: ten to begin with, and one more for every ten calls that succeed."""

    def __init__(self) -> None:
        self._left = _MOST_RETRIES

    def take(self) -> bool:
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def earn(self) -> None:
        self._left = min(_MOST_RETRIES, self._left + 0.1)
