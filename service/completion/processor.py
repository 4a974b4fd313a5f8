"""Takes events from the inbox, under leases, and settles each."""

import asyncio
import functools
import random
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog

from errors import UploadgateError
from service.clock import Clock
from service.completion.outcome import NOT_SHOWN, NOT_THERE, News, Outcome
from service.completion.ports import Claimed, Inbox
from service.completion.sources.s3 import sequencer_order

_log = structlog.get_logger("uploadgate.completion")
_FIRST_RETRY = 1.0
_LONGEST_RETRY = 300.0
_MOST_WAITS = 10_000  # about a month


class Settles(Protocol):
    async def settle(self, bucket: str, key: str, news: News) -> Outcome: ...

    async def confirm_absent(self, bucket: str, key: str) -> None: ...


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

    async def step(self) -> int:
        """Claims one batch and settles it; how many events there were. The events of one key need
        one look between them. They are marked together: at the end, and where the store is slow,
        from the middle of the lease on. Should that fail, they come again when it is over, and
        find nothing to do.
        """
        now = self._clock()
        batch = _Batch(until=now + self._limits.lease)
        claimed = await self._inbox.claim(
            batch.worker, now, until=batch.until, limit=self._limits.batch
        )
        places = asyncio.Semaphore(self._limits.concurrency)
        async with asyncio.TaskGroup() as group:
            for events in _by_key(claimed):
                group.create_task(self._in_its_turn(events, places, batch))
        await self._settle(batch)
        return len(claimed)

    async def _settle(self, batch: "_Batch") -> None:
        settled, batch.settled = batch.settled, defaultdict(list)
        for outcome, events in settled.items():
            await self._inbox.settle_all(events, batch.worker, outcome.value, self._clock())

    async def _in_its_turn(
        self, events: Sequence[Claimed], places: asyncio.Semaphore, batch: "_Batch"
    ) -> None:
        async with places:
            if self._clock() < batch.until:
                await self._one_key(events, batch)
                if self._clock() >= batch.until - self._limits.lease / 2:
                    await self._settle(batch)
            # Else the store is slow, and they are due again: whoever claims them looks.

    async def _one_key(self, events: Sequence[Claimed], batch: "_Batch") -> None:
        first = events[0]
        try:
            async with asyncio.timeout(self._seconds):
                outcome = await self._settlement.settle(first.bucket, first.key, newest(events))
                if outcome in NOT_THERE and not all(map(self._has_looks_left, events)):
                    await self._settlement.confirm_absent(first.bucket, first.key)
        except (UploadgateError, TimeoutError) as error:
            await self._wait(events, batch, _cause(error))
        except Exception as error:  # noqa: BLE001 - see below
            # A fault of ours must cost these events their turn, never the whole processor.
            _log.exception("event.failed", inbox_id=first.id, key=first.key)
            await self._faulted(events, batch, _cause(error))
        else:
            for event in events:
                if outcome in NOT_SHOWN and self._has_looks_left(event):
                    await self._look_again(event, batch, outcome.value)
                else:
                    batch.settled[outcome].append(event)

    def _has_looks_left(self, event: Claimed) -> bool:
        return event.looks + 1 < self._limits.absent_looks

    @property
    def _seconds(self) -> float:
        return min(self._limits.lease, self._limits.longest).total_seconds()

    async def _look_again(self, event: Claimed, batch: "_Batch", found: str) -> None:
        delay = _delay(event.looks + 1)
        _log.info("event.looked", found=found, seconds=delay.seconds, **_named(event))
        due_at = self._clock() + delay
        await self._inbox.retry(event, batch.worker, due_at, looked=True)

    async def _wait(self, events: Sequence[Claimed], batch: "_Batch", cause: str) -> None:
        for event in events:
            if event.attempts >= _MOST_WAITS:
                await self._give_up(event, batch, cause)
            else:
                await self._retry(event, batch, cause)

    async def _faulted(self, events: Sequence[Claimed], batch: "_Batch", cause: str) -> None:
        """An outage before it has not used up its attempts."""
        for event in events:
            if event.faults + 1 >= self._limits.max_attempts:
                await self._give_up(event, batch, cause)
            else:
                await self._retry(event, batch, cause, faulted=True)

    async def _give_up(self, event: Claimed, batch: "_Batch", cause: str) -> None:
        _log.error("event.given_up", cause=cause, **_named(event))
        await self._inbox.give_up(event, batch.worker, cause, self._clock())

    async def _retry(
        self, event: Claimed, batch: "_Batch", cause: str, *, faulted: bool = False
    ) -> None:
        delay = _delay(event.attempts)
        _log.warning("event.retried", cause=cause, seconds=delay.seconds, **_named(event))
        await self._inbox.retry(event, batch.worker, self._clock() + delay, faulted=faulted)


@dataclass(slots=True)
class _Batch:
    """What one step has in hand till then: under an id of its own, so that it frees nothing that
    another step has claimed after it.
    """

    until: datetime
    worker: str = field(default_factory=lambda: uuid.uuid4().hex)
    settled: dict[Outcome, list[Claimed]] = field(default_factory=lambda: defaultdict(list))


def _delay(tries: int) -> timedelta:
    return retry_delay(tries, random.random())  # noqa: S311 - jitter, no secret


def _cause(error: Exception) -> str:
    return error.code if isinstance(error, UploadgateError) else type(error).__name__


def _named(event: Claimed) -> dict[str, Any]:
    """For the log. `inbox_id` is the row's number, no id of an event that is sent out."""
    return {"inbox_id": event.id, "key": event.key}


def _by_key(claimed: Iterable[Claimed]) -> Iterable[list[Claimed]]:
    keys: dict[tuple[str, str], list[Claimed]] = defaultdict(list)
    for event in claimed:
        keys[event.bucket, event.key].append(event)
    return keys.values()


def newest(events: Sequence[Claimed]) -> News:
    """Of the events of one key, the last in the store's own order. Where one of them has no place
    in it (a change of tags; a source without an order), none is known: all that were told of are
    to show, and most likely the one that came last.
    """
    ordered = [event for event in events if event.sequencer is not None]
    last = max(ordered, key=functools.cmp_to_key(_order), default=None)
    if last is not None and len(ordered) == len(events):
        return News(last.sequencer, last.etag)
    told = [event.etag for event in events if event.etag is not None]
    if not told:
        return News()
    etag = told[-1] if last is None or last.etag is None else last.etag
    return News(etag=etag, others=frozenset(told) - {etag})


def _order(one: Claimed, other: Claimed) -> int:
    return sequencer_order(one.sequencer or "", other.sequencer or "")
