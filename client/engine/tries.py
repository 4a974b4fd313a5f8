"""What one piece, or one run of pieces, has cost so far; and when that is enough."""

import asyncio

from client.engine.tuning import Tuning
from client.problems import ClientError


class Tries:
    def __init__(self, tuning: Tuning) -> None:
        self._tuning = tuning
        self._sendings = 0
        self._spent = 0.0
        self._renewals = 0

    async def wait(self, error: ClientError, asked: float | None = None) -> None:
        """Before it is sent again; `asked` is what Retry-After said, in seconds. Raises the error
        where that has been done often or long enough.
        """
        self._sendings += 1
        wait = self._tuning.retries.pause(self._sendings, self._spent, asked)
        if wait is None:
            raise error
        self._spent += wait
        await asyncio.sleep(wait)

    def may_renew(self) -> bool:
        """Whether a refused signature is worth another one."""
        self._renewals += 1
        return self._renewals <= self._tuning.renewals

    def by_another_route(self) -> None:
        self._renewals = 0

    def it_moves(self) -> None:
        """What was achieved opens the account anew."""
        self._sendings, self._spent = 0, 0.0
