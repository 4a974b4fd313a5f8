"""Looks for itself at the store for uploads without news: events are lost, sources retry badly."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from errors import UploadgateError
from service.clock import Clock
from service.completion.outcome import Outcome
from service.completion.settlement import Settlement
from service.uploads.model import Upload, UploadStatus
from service.uploads.multiparts import MultipartKeeper
from service.uploads.ports import UploadRecords
from service.uploads.transitions import ARRIVED, ENDED, IN_FLIGHT

_log = structlog.get_logger("uploadgate.sweep")
_LONGEST_PAUSE = timedelta(hours=1)
# How often the place of an ended upload is looked at for bytes that came late.
_LOOKS_AFTER_END = 6
_GIVEN_UP = {
    UploadStatus.PENDING: (UploadStatus.EXPIRED, "nothing arrived in time"),
    UploadStatus.UPLOADING: (UploadStatus.EXPIRED, "nothing arrived in time"),
    UploadStatus.RECEIVED: (UploadStatus.ABORTED, "the object was gone before it was verified"),
}


@dataclass(frozen=True, slots=True)
class SweepLimits:
    """`overdue` is the first wait of an upload; it doubles with every look that finds nothing.
    `late_bytes` is how long after its end bytes may still come. `concurrency` looks are under way
    at once: after an outage thousands may be due.
    """

    overdue: timedelta
    late_bytes: timedelta
    batch: int
    concurrency: int


def next_look(now: datetime, overdue: timedelta, looks: int) -> datetime:
    doubled: timedelta = overdue * (1 << min(looks, 20))
    return now + min(_LONGEST_PAUSE, doubled)


class Sweep:
    def __init__(
        self,
        *,
        records: UploadRecords,
        settlement: Settlement,
        keeper: MultipartKeeper,
        reject_overgrown: Callable[[Upload], Awaitable[bool]],
        later_look: Callable[[Upload, datetime], datetime | None],
        limits: SweepLimits,
        clock: Clock,
    ) -> None:
        """`reject_overgrown` ends an upload in flight of which too much has come already;
        `later_look` says when one that is as it should be is looked at for the last time.
        """
        self._records = records
        self._settlement = settlement
        self._keeper = keeper
        self._reject_overgrown = reject_overgrown
        self._later_look = later_look
        self._limits = limits
        self._clock = clock

    async def step(self) -> int:
        """One pass over what is overdue, at most one batch; how many records were looked at."""
        now = self._clock()
        overdue = await self._records.overdue(now, self._limits.batch)
        places = asyncio.Semaphore(self._limits.concurrency)
        async with asyncio.TaskGroup() as group:
            for record in overdue:
                group.create_task(self._look(record, places))
        return len(overdue)

    async def _look(self, record: Upload, places: asyncio.Semaphore) -> None:
        async with places:
            await self._looked_at(record)

    async def _looked_at(self, record: Upload) -> None:
        """A record that cannot be looked at now waits longer; it does not stop the others."""
        try:
            await self._seen_through(record)
        except UploadgateError as error:
            _log.warning("sweep.failed", upload_id=record.id, cause=error.code)
            await self._later(record)
        except Exception:  # noqa: BLE001 - see below
            # A fault of ours must cost this record its turn, never the whole sweep.
            _log.exception("sweep.failed", upload_id=record.id)
            await self._later(record)

    async def _seen_through(self, record: Upload) -> None:
        outcome = await self._settlement.settle(record.bucket, record.key)
        await self._clear(record)
        if outcome is Outcome.ABSENT and await self._overgrown(record):
            return
        await self._follow(record, outcome)

    async def _clear(self, record: Upload) -> None:
        """Of an upload that takes nothing more, no half-sent parts may stay at the store."""
        fresh = await self._records.get(record.id)
        if fresh is None or fresh.status in IN_FLIGHT | {UploadStatus.RECEIVED}:
            return
        if self._keeper.may_lie_about(fresh):
            await self._keeper.clear(fresh)

    async def _overgrown(self, record: Upload) -> bool:
        """Where a plan of the service's bounds each part, there is nothing to look after."""
        unplanned = record.status in IN_FLIGHT and record.part_count is None
        return unplanned and await self._reject_overgrown(record)

    async def _follow(self, record: Upload, outcome: Outcome) -> None:
        if outcome in (Outcome.ABSENT, Outcome.GONE):
            await self._absent(record)
        elif outcome is Outcome.WAITING:
            await self._later(record)
        elif outcome in (Outcome.STRAY_DELETED, Outcome.REJECTED):
            await self._again(record)
        elif outcome is Outcome.UNCHANGED:
            await self._records.looked(record, self._later_look(record, self._clock()))
        elif outcome is Outcome.UNOWNED:
            await self._records.looked(record, None)

    async def _absent(self, record: Upload) -> None:
        if record.status in ARRIVED:
            # Verified, and gone since: the application or a lifecycle rule has moved it.
            await self._records.looked(record, None)
            return
        now = self._clock()
        if record.expires_at > now or record.status not in _GIVEN_UP:
            await self._again(record)
            return
        await self._settlement.confirm_absent(record.bucket, record.key)
        status, reason = _GIVEN_UP[record.status]
        await self._records.transition(
            record,
            status,
            now,
            status_reason=reason,
            next_look_at=next_look(now, self._limits.overdue, 0),
            looks=0,
        )

    async def _again(self, record: Upload) -> None:
        waited = self._clock() - record.updated_at >= self._limits.late_bytes
        if record.status in ENDED and record.looks >= _LOOKS_AFTER_END and waited:
            await self._records.looked(record, None)
        else:
            await self._later(record)

    async def _later(self, record: Upload) -> None:
        now = self._clock()
        when = next_look(now, self._limits.overdue, record.looks + 1)
        if record.status in IN_FLIGHT and record.expires_at > now:
            when = min(when, record.expires_at)
        await self._records.looked(record, when)
