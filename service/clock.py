"""The time, so that tests can set it."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def utc_now() -> datetime:
    return datetime.now(UTC)


def steady_now() -> datetime:
    """For how long something takes or is believed: never set back, and no time of day."""
    return _EPOCH + timedelta(seconds=time.monotonic())
