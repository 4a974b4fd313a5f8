"""How long the temporary keys live; can be changed between two calls."""

import math
import time

from localcloud.errors import InvalidConfigError


class KeyLife:
    """The life in seconds of keys that are issued from now on.

    At most what the store was started with: its STS gives nothing longer.
    """

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._seconds = longest

    @property
    def seconds(self) -> int:
        return self._seconds

    @property
    def ends_at(self) -> int:
        """When keys end that are issued now, in seconds since the epoch; rounded up."""
        return math.ceil(time.time()) + self._seconds

    def change(self, seconds: int) -> None:
        """Keys that are out already keep their life. InvalidConfigError when out of range."""
        if not 1 <= seconds <= self._longest:
            raise InvalidConfigError(
                f"keys of this embedded cloud live between 1 and {self._longest} seconds;"
                " session_seconds is the longest life, and is chosen at its start"
            )
        self._seconds = seconds
