"""Whose turn it is, where most of those who wait may be strangers."""

import asyncio
from types import TracebackType

from errors import WebhookUnverifiableError


class NewestFirst:
    """`places` at once. Of those that wait the newest is next, and beyond `most_waiting` the oldest
    is turned away (WebhookUnverifiableError).

    In a flood that never ends, first come would be served when its time is nearly over, and so
    nobody. Here each has the same chance, whoever the others are, and knows soon.
    """

    def __init__(self, *, places: int, most_waiting: int) -> None:
        self._free = places
        self._most_waiting = most_waiting
        self._waiting: dict[asyncio.Future[None], None] = {}  # oldest first

    async def __aenter__(self) -> None:
        if self._free > 0:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[turn] = None
        if len(self._waiting) > self._most_waiting:
            self._turn_away(next(iter(self._waiting)))
        try:
            await turn
        except asyncio.CancelledError:
            if _was_given(turn):
                self._pass_on()
            raise
        finally:
            self._waiting.pop(turn, None)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._pass_on()

    def _turn_away(self, turn: asyncio.Future[None]) -> None:
        del self._waiting[turn]
        if not turn.done():
            turn.set_exception(WebhookUnverifiableError("Too many certificates are asked for"))

    def _pass_on(self) -> None:
        while self._waiting:
            turn, _ = self._waiting.popitem()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


def _was_given(turn: asyncio.Future[None]) -> bool:
    return not turn.cancelled() and turn.done() and turn.exception() is None
