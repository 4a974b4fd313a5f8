"""How long events are kept: for timelines, streams and replays."""

from datetime import timedelta

from service.clock import Clock
from service.delivery.ports import Outbox, Place

_BATCH = 500  # a short transaction
_MOST_BATCHES = 1000  # the rest is for the next time


class Retention:
    """A chore, for every replica now and then."""

    def __init__(self, outbox: Outbox, *, keep: timedelta, clock: Clock) -> None:
        self._outbox = outbox
        self._keep = keep
        self._clock = clock

    async def forget(self) -> int:
        """How many events. Raises UnavailableError; what was deleted till then stays deleted."""
        before, forgotten = self._clock() - self._keep, 0
        after: Place | None = None
        for _ in range(_MOST_BATCHES):
            batch = await self._outbox.forget(before, _BATCH, after=after)
            forgotten += batch.count
            after = batch.after
            if after is None:
                break
        return forgotten
