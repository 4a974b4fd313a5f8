"""Calls of one kind to Cognito: bounded in number and rate, and none to one that is down."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from errors import CognitoUnavailableError, IdentityConflictError, UploadgateError
from service.grants.breaker import Breaker
from service.grants.turns import Turns


class Calls:
    """`most` under way at once; `seconds` is what one takes at the longest, `within` the longest
    wait for its turn.
    """

    def __init__(
        self, turns: Turns, breaker: Breaker, *, most: int, seconds: float, within: float
    ) -> None:
        self.breaker = breaker
        self.seconds = seconds
        self._turns = turns
        self._within = within
        self._places = asyncio.Semaphore(most)

    @asynccontextmanager
    async def one(self, *, background: bool = False) -> AsyncIterator[None]:
        """The call is made within the block. Raises CognitoThrottledError where its turn would
        come too late, and the breaker's refusal.
        """
        self.breaker.check_closed()
        if self._places.locked():
            # One that hangs holds up its own callers only.
            raise CognitoUnavailableError("Too many calls wait for Cognito", retry_after=2)
        async with self._places:
            await self._turns.wait(within=self._within, background=background)
            self.breaker.enter()  # after the turn: it may have opened meanwhile
            try:
                yield
            except IdentityConflictError:
                self.breaker.succeeded()  # this user's own trouble: Cognito has answered
                raise
            except UploadgateError as error:
                self.breaker.failed(error)
                raise
        self.breaker.succeeded()
