"""Failed logins, counted where they come from.

An account is counted per address, so a stranger elsewhere cannot lock its owner out; an address
is counted over all accounts, so it cannot try one password on each. The counts live in this
process: several replicas multiply what one attacker may try by their number.
"""

import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, IPv6Network, ip_address

import errors

_Key = tuple[str, ...]


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


class Attempts:
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

    @contextmanager
    def counted(self, account: str, address: str) -> Iterator[None]:
        """Around one attempt: it fails with InvalidCredentialsError, succeeds by ending, and
        anything else (an overload, say) is nobody's failure.

        Raises TooManyAttemptsError, before the attempt, where one more is not allowed.
        """
        network = _network_of(address)
        counts = ((self._pairs, (account, network)), (self._addresses, (network,)))
        wait = max(failures.seconds_to_wait(key, self._now()) for failures, key in counts)
        if wait > 0:
            raise errors.TooManyAttemptsError(retry_after=math.ceil(wait))
        for failures, key in counts:
            failures.begin(key)
        try:
            yield
        except errors.InvalidCredentialsError:
            for failures, key in counts:
                failures.add(key, self._now())
            raise
        else:
            # The address's count stays: its owner's own account must not wash it clean.
            self._pairs.forget((account, network))
        finally:
            for failures, key in counts:
                failures.end(key)


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
