"""AWS's quota on the developer call, for those who want to see it locally."""

import time

from localcloud.cognito.errors import TooManyRequestsException


class Quota:
    """At most `per_second` calls a second, with a burst of one second's worth. None: no limit."""

    def __init__(self, per_second: float | None) -> None:
        self._rate = per_second
        self._burst = max(1.0, per_second or 0.0)
        self._left = self._burst
        self._at = time.monotonic()

    def spend(self) -> None:
        """Count one call. TooManyRequestsException when there is nothing left."""
        if self._rate is None:
            return
        now = time.monotonic()
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            raise TooManyRequestsException("Rate exceeded")
        self._left -= 1
