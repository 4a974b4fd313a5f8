"""A shared part that is away is not asked for a while: each would wait for its time-out."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from errors import UnavailableError

T = TypeVar("T")
_log = structlog.get_logger("uploadgate.grants")


class Lull:
    """After a failure nobody asks for `seconds`; then the next one does. `now` in seconds."""

    def __init__(self, now: Callable[[], float], *, seconds: float) -> None:
        self._now = now
        self._seconds = seconds
        self._until = float("-inf")

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """Raises UnavailableError, at once during a lull."""
        now = self._now()
        if now < self._until:
            raise UnavailableError
        try:
            return await question()
        except UnavailableError as error:
            if self._until <= now:  # the first one tells
                _log.warning("shared_state.away", cause=type(error.__cause__ or error).__name__)
            self._until = self._now() + self._seconds
            raise
