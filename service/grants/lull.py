"""A shared part that is away is not asked for a while: each would wait for its time-out."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from errors import UnavailableError

T = TypeVar("T")
_log = structlog.get_logger("uploadgate.grants")


class Lull:
    """After a failure nobody asks for `seconds`; then one does, and the others once that one has
    been answered. `now` in seconds.
    """

    def __init__(self, now: Callable[[], float], *, seconds: float) -> None:
        self._now = now
        self._seconds = seconds
        self._until = float("-inf")
        self._is_away = False

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """Raises UnavailableError, at once during a lull."""
        now = self._now()
        if now < self._until:
            raise UnavailableError
        if self._is_away:
            self._until = now + self._seconds  # this one finds out; the others go on without
        try:
            answer = await question()
        except UnavailableError as error:
            if not error.busy:
                self._begin(error)
            raise
        self._is_away, self._until = False, float("-inf")
        return answer

    def _begin(self, error: UnavailableError) -> None:
        if not self._is_away:
            _log.warning("shared_state.away", cause=type(error.__cause__ or error).__name__)
        self._is_away, self._until = True, self._now() + self._seconds
