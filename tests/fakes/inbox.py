"""The inbox in memory: dedupes, leases, keeps what came of each event."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from errors import OverloadedError
from service.completion.events import EventId, ObjectEvent
from service.completion.outcome import NOT_SHOWN
from service.completion.ports import Claimed


def event(key: str, number: int = 0, **changes: Any) -> ObjectEvent:
    values: dict[str, Any] = {
        "source": "seaweedfs",
        "dedupe_key": f"{key} {number}",
        "bucket": "uploads",
        "key": key,
    }
    return ObjectEvent(**{**values, **changes})


@dataclass(frozen=True, slots=True)
class Row:
    event: ObjectEvent
    due_at: datetime
    attempts: int = 0
    looks: int = 0
    leased_by: str | None = None
    outcome: str | None = None
    done_at: datetime | None = None
    failed: bool = False
    faults: int = 0


class MemoryInbox:
    """Implements service.completion.ports.Inbox."""

    def __init__(self, limit: int = 1000) -> None:
        self.limit = limit
        self.rows: list[Row] = []
        self.forgotten_before: list[datetime] = []

    async def put(self, events: Sequence[ObjectEvent], now: datetime) -> set[EventId]:
        waiting = [row for row in self.rows if row.done_at is None]
        if len(waiting) + len(events) > self.limit:
            raise OverloadedError(retry_after=30)
        known = {row.event.id: number for number, row in enumerate(self.rows)}
        new = {given.id: given for given in events if given.id not in known}
        self.rows += [Row(given, now) for given in new.values()]
        again = {given.id for given in events if given.id not in new}
        return set(new) | {one for one in again if self._reopened(known[one], now)}

    def _reopened(self, number: int, now: datetime) -> bool:
        row = self.rows[number]
        if row.done_at is None or not (row.failed or row.outcome in NOT_SHOWN):
            return False
        self.rows[number] = Row(row.event, now)
        return True

    async def claim(
        self, worker: str, now: datetime, *, until: datetime, limit: int
    ) -> Sequence[Claimed]:
        due = [
            index
            for index, row in enumerate(self.rows)
            if row.done_at is None and row.due_at <= now
        ]
        claimed = []
        for index in due[:limit]:
            row = self.rows[index]
            row = replace(row, leased_by=worker, due_at=until, attempts=row.attempts + 1)
            self.rows[index] = row
            given = row.event
            claimed.append(
                Claimed(
                    index,
                    given.bucket,
                    given.key,
                    row.attempts,
                    given.sequencer,
                    given.etag,
                    row.looks,
                    row.faults,
                )
            )
        return claimed

    async def settle(self, event: Claimed, worker: str, outcome: str, now: datetime) -> None:
        self._end(event, worker, outcome=outcome, done_at=now)

    async def settle_all(
        self, events: Sequence[Claimed], worker: str, outcome: str, now: datetime
    ) -> None:
        for event in events:
            self._end(event, worker, outcome=outcome, done_at=now)

    async def retry(
        self,
        event: Claimed,
        worker: str,
        due_at: datetime,
        *,
        looked: bool = False,
        faulted: bool = False,
    ) -> None:
        counts = {"looks": event.looks + looked, "faults": event.faults + faulted}
        self._end(event, worker, due_at=due_at, **counts)

    async def give_up(self, event: Claimed, worker: str, outcome: str, now: datetime) -> None:
        self._end(event, worker, outcome=outcome, done_at=now, failed=True)

    async def call_back(self, now: datetime, *, beyond: datetime) -> int:
        far = [row for row in self.rows if row.done_at is None and row.due_at > beyond]
        self.rows = [replace(row, due_at=now) if row in far else row for row in self.rows]
        return len(far)

    async def forget(self, before: datetime) -> int:
        self.forgotten_before.append(before)
        return 0

    def _end(self, event: Claimed, worker: str, **values: Any) -> None:
        if self.rows[event.id].leased_by == worker:
            self.rows[event.id] = replace(self.rows[event.id], leased_by=None, **values)
