"""Takes events from the inbox, under leases, and settles each."""

import asyncio
import random
import uuid
from dataclasses import dataclass
from datetime import timedelta

import structlog

from errors import UploadgateError
from service.clock import Clock
from service.completion.ports import Claimed, Inbox
from service.completion.settlement import Settlement

_log = structlog.get_logger("uploadgate.completion")
_FIRST_RETRY = 1.0
_LONGEST_RETRY = 300.0
_MOST_WAITS = 10_000  # about a month


@dataclass(frozen=True, slots=True)
class ProcessorLimits:
    """`batch` events are claimed at once for `lease`, `concurrency` of them settled at a time.
    `max_attempts` bounds the tries of an event that fails by a fault of ours. A store or database
    that is away, or refuses for now, is waited for: an object without a record has nothing else
    that remembers it.
    """

    batch: int
    concurrency: int
    lease: timedelta
    max_attempts: int


def retry_delay(attempts: int, jitter: float) -> timedelta:
    """1, 2, 4, … up to 300 s, each less up to half by `jitter` (0 to 1)."""
    full = min(_LONGEST_RETRY, _FIRST_RETRY * (1 << min(attempts - 1, 20)))
    return timedelta(seconds=full * (1 - jitter / 2))


class Processor:
    def __init__(
        self, *, inbox: Inbox, settlement: Settlement, limits: ProcessorLimits, clock: Clock
    ) -> None:
        self._inbox = inbox
        self._settlement = settlement
        self._limits = limits
        self._clock = clock
        self._worker = uuid.uuid4().hex

    async def step(self) -> int:
        """Claims one batch and settles it; how many events there were."""
        now = self._clock()
        claimed = await self._inbox.claim(
            self._worker, now, until=now + self._limits.lease, limit=self._limits.batch
        )
        places = asyncio.Semaphore(self._limits.concurrency)
        async with asyncio.TaskGroup() as group:
            for event in claimed:
                group.create_task(self._one(event, places))
        return len(claimed)

    async def _one(self, event: Claimed, places: asyncio.Semaphore) -> None:
        async with places:
            try:
                async with asyncio.timeout(self._limits.lease.total_seconds()):
                    outcome = await self._settlement.settle(event.bucket, event.key)
            except (UploadgateError, TimeoutError) as error:
                await self._later(event, error)
            except Exception as error:  # noqa: BLE001 - see below
                # A fault of ours must cost this event its turn, never the whole processor.
                _log.exception("event.failed", event_id=event.id)
                await self._later(event, error)
            else:
                await self._inbox.settle(event, self._worker, outcome.value, self._clock())

    async def _later(self, event: Claimed, error: Exception) -> None:
        now = self._clock()
        cause = error.code if isinstance(error, UploadgateError) else type(error).__name__
        away = isinstance(error, UploadgateError | TimeoutError)
        if event.attempts >= (_MOST_WAITS if away else self._limits.max_attempts):
            _log.error("event.given_up", event_id=event.id, cause=cause)
            await self._inbox.give_up(event, self._worker, cause, now)
            return
        delay = retry_delay(event.attempts, random.random())  # noqa: S311 - jitter, no secret
        _log.warning("event.retried", event_id=event.id, cause=cause, seconds=delay.seconds)
        await self._inbox.retry(event, self._worker, now + delay)
