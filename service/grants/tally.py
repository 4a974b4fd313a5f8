"""A log line for many of a kind: a flood of fallbacks must not become a flood of lines."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

from service.clock import Clock

EVERY = timedelta(seconds=1)


class Tally:
    """`tell(code, count)` at the first of a kind, then once a second at most."""

    def __init__(self, tell: Callable[[str, int], None], clock: Clock) -> None:
        self._tell = tell
        self._clock = clock
        self._told_at: dict[str, datetime] = {}
        self._counts: Counter[str] = Counter()

    def count(self, code: str) -> None:
        """`code` is one of few."""
        now = self._clock()
        self._counts[code] += 1
        told_at = self._told_at.get(code)
        if told_at is None or now >= told_at + EVERY:
            self._told_at[code] = now
            self._tell(code, self._counts.pop(code))
