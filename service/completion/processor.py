"""Takes events from the inbox, under leases, and settles each."""

import asyncio
import functools
import random
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import structlog

from errors import UploadgateError
from service.clock import Clock
from service.completion.ports import Claimed, Inbox
from service.completion.settlement import News, Outcome
from service.completion.sources.s3 import sequencer_order

_log = structlog.get_logger("uploadgate.completion")
_FIRST_RETRY = 1.0
_LONGEST_RETRY = 300.0
_MOST_WAITS = 10_000  # about a month


class Settles(Protocol):
    async def settle(self, bucket: str, key: str, news: News) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class ProcessorLimits:
    """`batch` events are claimed at once for `lease`, those of `concurrency` keys settled at a
    time. `max_attempts` bounds the tries of an event that fails by a fault of ours. A store or
    database that is away, or refuses for now, is waited for: an object without a record has
    nothing else that remembers it. `absent_looks` are made for an object that is not there, or is
    not the one that was told of: a store may show late what it told of. One key may take `longest`.
    """

    batch: int
    concurrency: int
    lease: timedelta
    max_attempts: int
    absent_looks: int = 1
    longest: timedelta = timedelta(seconds=30)


def retry_delay(attempts: int, jitter: float) -> timedelta:
    """1, 2, 4, … up to 300 s, each less up to half by `jitter` (0 to 1)."""
    full = min(_LONGEST_RETRY, _FIRST_RETRY * (1 << min(attempts - 1, 20)))
    return timedelta(seconds=full * (1 - jitter / 2))


class Processor:
    def __init__(
        self, *, inbox: Inbox, settlement: Settles, limits: ProcessorLimits, clock: Clock
    ) -> None:
        self._inbox = inbox
        self._settlement = settlement
        self._limits = limits
        self._clock = clock
        self._worker = uuid.uuid4().hex

    async def step(self) -> int:
        """Claims one batch and settles it; how many events there were. The events of one key need
        one look between them. They are marked together at the end: should that fail, they come
        again when their lease is over, and find nothing to do.
        """
        now = self._clock()
        claimed = await self._inbox.claim(
            self._worker, now, until=now + self._limits.lease, limit=self._limits.batch
        )
        places = asyncio.Semaphore(self._limits.concurrency)
        settled: dict[Outcome, list[Claimed]] = defaultdict(list)
        async with asyncio.TaskGroup() as group:
            for events in _by_key(claimed):
                group.create_task(self._one_key(events, places, settled))
        for outcome, events in settled.items():
            await self._inbox.settle_all(events, self._worker, outcome.value, self._clock())
        return len(claimed)

    async def _one_key(
        self,
        events: Sequence[Claimed],
        places: asyncio.Semaphore,
        settled: dict[Outcome, list[Claimed]],
    ) -> None:
        first = events[0]
        async with places:
            try:
                async with asyncio.timeout(self._seconds):
                    outcome = await self._settlement.settle(first.bucket, first.key, newest(events))
            except (UploadgateError, TimeoutError) as error:
                await self._later(events, error)
            except Exception as error:  # noqa: BLE001 - see below
                # A fault of ours must cost these events their turn, never the whole processor.
                _log.exception("event.failed", event_id=first.id)
                await self._later(events, error)
            else:
                for event in events:
                    if outcome in _NOT_SHOWN and event.looks + 1 < self._limits.absent_looks:
                        await self._look_again(event, outcome.value)
                    else:
                        settled[outcome].append(event)

    @property
    def _seconds(self) -> float:
        return min(self._limits.lease, self._limits.longest).total_seconds()

    async def _look_again(self, event: Claimed, cause: str) -> None:
        delay = retry_delay(event.looks + 1, random.random())  # noqa: S311 - jitter, no secret
        _log.info("event.looked", event_id=event.id, found=cause, seconds=delay.seconds)
        due_at = self._clock() + delay
        await self._inbox.retry(event, self._worker, due_at, looked=True)

    async def _later(self, events: Sequence[Claimed], error: Exception) -> None:
        cause = error.code if isinstance(error, UploadgateError) else type(error).__name__
        away = isinstance(error, UploadgateError | TimeoutError)
        most = _MOST_WAITS if away else self._limits.max_attempts
        for event in events:
            if event.attempts < most:
                await self._retry(event, cause)
                continue
            _log.error("event.given_up", event_id=event.id, cause=cause)
            await self._inbox.give_up(event, self._worker, cause, self._clock())

    async def _retry(self, event: Claimed, cause: str) -> None:
        delay = retry_delay(event.attempts, random.random())  # noqa: S311 - jitter, no secret
        _log.warning("event.retried", event_id=event.id, cause=cause, seconds=delay.seconds)
        await self._inbox.retry(event, self._worker, self._clock() + delay)


# What an event told of is not there (yet), or other bytes are.
_NOT_SHOWN = frozenset({Outcome.ABSENT, Outcome.GONE, Outcome.STALE})


def _by_key(claimed: Iterable[Claimed]) -> Iterable[list[Claimed]]:
    keys: dict[tuple[str, str], list[Claimed]] = defaultdict(list)
    for event in claimed:
        keys[event.bucket, event.key].append(event)
    return keys.values()


def newest(events: Sequence[Claimed]) -> News:
    """Of the events of one key, the last in the store's own order. Where one of them has no place
    in it (a change of tags), no order is known, and of several no ETag.
    """
    ordered = [event for event in events if event.sequencer is not None]
    if len(ordered) < len(events):
        return News(etag=events[0].etag) if len({event.etag for event in events}) == 1 else News()
    last = max(ordered, key=functools.cmp_to_key(_order))
    return News(last.sequencer, last.etag)


def _order(one: Claimed, other: Claimed) -> int:
    return sequencer_order(one.sequencer or "", other.sequencer or "")
