"""What a stub upstream has seen: how many calls, whose, and how many within any second."""

import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

WINDOW = 1.0  # seconds


@dataclass
class Calls:
    """`highest` is the most calls that came within any sliding second, refused ones included;
    `violations` those refused for the cap; `per_user` the developer calls of each user.
    """

    clock: Callable[[], float] = time.monotonic
    total: int = 0
    highest: int = 0
    violations: int = 0
    per_user: Counter[str] = field(default_factory=Counter)
    _recent: deque[float] = field(default_factory=deque)
    _taken: deque[float] = field(default_factory=deque)

    @property
    def per_user_max(self) -> int:
        return max(self.per_user.values(), default=0)

    def came(self, user_id: str | None, cap: int | None) -> bool:
        """Notes a call; whether it is within `cap` calls in any sliding second. A refused one takes
        nothing from the cap.
        """
        now = self.clock()
        self.total += 1
        if user_id is not None:
            self.per_user[user_id] += 1
        _forget(self._recent, now)
        self._recent.append(now)
        self.highest = max(self.highest, len(self._recent))
        _forget(self._taken, now)
        if cap is not None and len(self._taken) >= cap:
            self.violations += 1
            return False
        self._taken.append(now)
        return True

    def told(self) -> dict[str, int]:
        return {
            "calls": self.total,
            "users": len(self.per_user),
            "per_user_max": self.per_user_max,
            "highest": self.highest,
            "violations": self.violations,
        }


def _forget(times: deque[float], now: float) -> None:
    while times and times[0] <= now - WINDOW:
        times.popleft()
