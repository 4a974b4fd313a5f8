"""So many places, and a bounded queue before them, that lets its requests in by and by."""

import asyncio
from collections import deque

# Requests let in by one turn of the event loop: some milliseconds' work, however many come at once
# and however many places there are. Between two turns everybody else is heard.
_AT_ONCE = 64


class Gate:
    """First come, first served. Beyond those for whom there is a place, `max_waiting` may wait,
    each for `wait_seconds` at most.
    """

    def __init__(self, *, places: int, max_waiting: int, wait_seconds: float) -> None:
        self.places = places
        self.max_waiting = max_waiting
        self.wait_seconds = wait_seconds
        self._free = places
        self._queue: deque[asyncio.Future[bool]] = deque()
        self._waiting = 0  # those in the queue who have not left it
        self._this_turn = _AT_ONCE
        self._turns = False

    async def admit(self) -> bool:
        """Whether there is a place now, which `leave` gives back."""
        if self._free > 0 and self._this_turn > 0 and not self._waiting:
            self._take()
            return True
        if self._waiting >= self.max_waiting + self._free:
            return False
        return await self._wait()

    def leave(self) -> None:
        self._free += 1
        if self._waiting:
            self._turn_soon()

    def _take(self) -> None:
        self._free -= 1
        self._this_turn -= 1
        self._turn_soon()

    def _turn_soon(self) -> None:
        if not self._turns:
            self._turns = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._turns = False
        self._this_turn = _AT_ONCE
        while self._waiting and self._free > 0 and self._this_turn > 0:
            waiter = self._queue.popleft()
            if not waiter.done():
                self._waiting -= 1
                waiter.set_result(True)
                self._take()  # for it, before it runs

    async def _wait(self) -> bool:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        self._queue.append(waiter)
        self._waiting += 1
        self._turn_soon()
        timer = loop.call_later(self.wait_seconds, self._give_up, waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                self._left()
            elif waiter.result():
                self.leave()
            raise
        finally:
            timer.cancel()

    def _give_up(self, waiter: asyncio.Future[bool]) -> None:
        if not waiter.done():
            waiter.set_result(False)
            self._left()

    def _left(self) -> None:
        """Who waits no longer must not fill the queue while no place becomes free: the first are
        also the first whose time is over.
        """
        self._waiting -= 1
        while self._queue and self._queue[0].done():
            self._queue.popleft()
