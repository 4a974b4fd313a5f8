"""When a call is worth repeating, and how long to wait before: within a budget, with jitter."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from client.problems import ApiError, ClientError, NetworkError


class Repeat(Enum):
    """What a second sending of the same call would do."""

    SAFE = "safe"  # reads, deletions, grants, and creations under an Idempotency-Key
    UNSENT = "unsent"  # harm: only where the first surely never arrived


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`budget_seconds` bounds all waiting of one call together; delays are in seconds."""

    attempts: int = 5
    budget_seconds: float = 30
    first_delay: float = 0.25
    longest_delay: float = 5
    jitter: Callable[[], float] = random.random

    def delay(self, error: ClientError, repeat: Repeat, attempt: int, spent: float) -> float | None:
        """How long to wait before sending again after `attempt` sendings; None: give up."""
        if attempt >= self.attempts or not _worth_it(error, repeat):
            return None
        asked = error.retry_after if isinstance(error, ApiError) else None
        return self.pause(attempt, spent, asked)

    def pause(self, attempt: int, spent: float, asked: float | None = None) -> float | None:
        """The same for what is known to be worth it; `asked` is what Retry-After said."""
        if attempt >= self.attempts:
            return None
        ceiling = min(self.longest_delay, self.first_delay * 2.0 ** (attempt - 1))
        # Never earlier than asked; the jitter keeps many clients from returning at once.
        wait = (asked or 0.0) + ceiling * self.jitter()
        return wait if spent + wait <= self.budget_seconds else None


def _worth_it(error: ClientError, repeat: Repeat) -> bool:
    if isinstance(error, NetworkError):
        return repeat is Repeat.SAFE or not error.sent
    if not isinstance(error, ApiError):
        return False
    if repeat is Repeat.UNSENT:
        return error.code == "overloaded"  # answered at the door, before anything was done
    return error.retry_mode == "wait"
