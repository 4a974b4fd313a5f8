"""Failed logins, counted where they come from.

An account is counted per address, so a stranger elsewhere cannot lock its owner out; an address
is counted over all accounts, so it cannot try one password on each.
"""

import math
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Protocol
from uuid import uuid4

import errors

_Key = tuple[str, ...]


class Outcome(Enum):
    """`NEITHER` is nobody's failure: an overload, say."""

    FAILED = auto()
    SUCCEEDED = auto()
    NEITHER = auto()


@dataclass(frozen=True, slots=True)
class Attempt:
    """One login that is being tried, in a network that counts as one address."""

    account: str
    network: str
    id: str = field(default_factory=lambda: uuid4().hex)


class FailureCounts(Protocol):
    """The failures of the last window, by account and network together, and by network. What is
    being tried counts as a failure until it has ended. Both raise UnavailableError.
    """

    async def begin(self, attempt: Attempt) -> float:
        """Counts it as being tried: 0. Where one more is not allowed it counts nothing, and answers
        how many seconds to wait.
        """
        ...

    async def end(self, attempt: Attempt, outcome: Outcome) -> None:
        """A success clears the account in that network. The network's own count stays: its owner's
        own account must not wash it clean.
        """
        ...


class _Failures:
    """The newest failures by key: at most `limit` times each, at most `tracked` keys (LRU)."""

    def __init__(self, limit: int, window: float, tracked: int) -> None:
        self._limit = limit
        self._window = window
        self._tracked = tracked
        self._times: OrderedDict[_Key, deque[float]] = OrderedDict()
        self._in_flight: dict[_Key, int] = {}

    def seconds_to_wait(self, key: _Key, now: float) -> float:
        """0 where one more may be tried now."""
        times = self._times.get(key, deque[float]())
        while times and times[0] <= now - self._window:
            times.popleft()
        if len(times) >= self._limit:
            return times[0] + self._window - now
        # What is being tried now may fail yet: many guesses at once are no way around.
        return 1 if len(times) + self._in_flight.get(key, 0) >= self._limit else 0

    def begin(self, key: _Key) -> None:
        self._in_flight[key] = self._in_flight.get(key, 0) + 1

    def end(self, key: _Key) -> None:
        self._in_flight[key] -= 1
        if not self._in_flight[key]:
            del self._in_flight[key]

    def add(self, key: _Key, now: float) -> None:
        self._times.setdefault(key, deque(maxlen=self._limit)).append(now)
        self._times.move_to_end(key)
        if len(self._times) > self._tracked:
            self._times.popitem(last=False)

    def forget(self, key: _Key) -> None:
        self._times.pop(key, None)


class MemoryCounts:
    """Implements FailureCounts within this process: each replica that counts so allows as much.

    `begin_anyway` counts what another has allowed.
    """

    def __init__(
        self,
        *,
        per_account: int,
        per_address: int,
        window_seconds: float,
        max_tracked: int = 10_000,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pairs = _Failures(per_account, window_seconds, max_tracked)
        self._addresses = _Failures(per_address, window_seconds, max_tracked)
        self._now = now

    async def begin(self, attempt: Attempt) -> float:
        now = self._now()
        wait = max(failures.seconds_to_wait(key, now) for failures, key in self._of(attempt))
        if wait <= 0:
            self.begin_anyway(attempt)
        return max(wait, 0)

    def begin_anyway(self, attempt: Attempt) -> None:
        for failures, key in self._of(attempt):
            failures.begin(key)

    async def end(self, attempt: Attempt, outcome: Outcome) -> None:
        for failures, key in self._of(attempt):
            failures.end(key)
            if outcome is Outcome.FAILED:
                failures.add(key, self._now())
        if outcome is Outcome.SUCCEEDED:
            self._pairs.forget((attempt.account, attempt.network))

    def _of(self, attempt: Attempt) -> Iterator[tuple[_Failures, _Key]]:
        yield self._pairs, (attempt.account, attempt.network)
        yield self._addresses, (attempt.network,)


class Attempts:
    def __init__(self, counts: FailureCounts) -> None:
        self._counts = counts

    @asynccontextmanager
    async def counted(self, account: str, address: str) -> AsyncIterator[None]:
        """Around one attempt: it fails with InvalidCredentialsError, succeeds by ending, and
        anything else (an overload, say) is nobody's failure.

        Raises TooManyAttemptsError, before the attempt, where one more is not allowed.
        """
        attempt = Attempt(account, _network_of(address))
        wait = await self._counts.begin(attempt)
        if wait > 0:
            raise errors.TooManyAttemptsError(retry_after=math.ceil(wait))
        outcome = Outcome.NEITHER
        try:
            yield
            outcome = Outcome.SUCCEEDED
        except errors.InvalidCredentialsError:
            outcome = Outcome.FAILED
            raise
        finally:
            await self._counts.end(attempt, outcome)


def _network_of(address: str) -> str:
    """An IPv6 customer holds a /64 at least, so that is what counts as one address."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Network((int(parsed), 64), strict=False))
