"""Keeps the inbox small and its times sane, whatever else there is to do."""

from datetime import timedelta

import structlog

from service.clock import Clock
from service.completion.ports import Inbox

_log = structlog.get_logger("uploadgate.completion")
# Longer than the longest pause between two tries.
_MARGIN = timedelta(minutes=10)


class Upkeep:
    """One a replica; safe on many at once."""

    def __init__(self, *, inbox: Inbox, keep: timedelta, lease: timedelta, clock: Clock) -> None:
        """`keep`: how long events are kept that are done, for timelines. `lease`: how long they are
        claimed for.
        """
        self._inbox = inbox
        self._far = lease + _MARGIN
        self._keep = keep
        self._clock = clock

    async def step(self) -> int:
        """A bounded number of rows; how many were deleted. Raises UnavailableError."""
        now = self._clock()
        if called_back := await self._inbox.call_back(now, beyond=now + self._far):
            # A clock was set back, here or at a replica that is gone: they would wait for it.
            _log.warning("events.called_back", events=called_back)
        return await self._inbox.forget(now - self._keep)
