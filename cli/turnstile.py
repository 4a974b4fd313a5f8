"""Thousands of requests at once are begun by and by, and whoever asks whether the process lives is
answered in between.
"""

import asyncio
from collections import deque
from collections.abc import Callable

# Requests begun by one turn of the event loop: some two milliseconds' work.
_AT_ONCE = 32
_HEALTH = (b"GET /livez", b"GET /readyz", b"HEAD /livez", b"HEAD /readyz")

LetIn = Callable[[bytes], None]


class Turnstile:
    """One a loop. Reading a request takes a few microseconds; parsing it and going as far as the
    admission gate some ten times as much, for all that have come before the loop turns again.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._left = _AT_ONCE
        self._queue: deque[tuple[LetIn, bytes]] = deque()
        self._turns = False

    def admits(self, data: bytes) -> bool:
        """Whether the request that begins so may go on at once."""
        if data.startswith(_HEALTH):
            return True
        self._turn_soon()
        if self._left == 0 or self._queue:
            return False
        self._left -= 1
        return True

    def hold(self, let_in: LetIn, data: bytes) -> None:
        """Until its turn: first come, first served. As many can be held as there are connections,
        from each of which nothing more is read meanwhile.
        """
        self._queue.append((let_in, data))

    def _turn_soon(self) -> None:
        if not self._turns:
            self._turns = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._turns = False
        self._left = _AT_ONCE
        while self._queue and self._left > 0:
            self._left -= 1
            let_in, data = self._queue.popleft()
            let_in(data)
        if self._queue:
            self._turn_soon()


def turnstile_of(state: object, loop: asyncio.AbstractEventLoop) -> Turnstile:
    """That of a server, kept with what all its connections share."""
    shared = vars(state)
    found: Turnstile | None = shared.get("turnstile")
    if found is None:
        found = shared["turnstile"] = Turnstile(loop)
    return found
