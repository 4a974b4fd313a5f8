"""All that the records say of one upload, in order, and in a sentence."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from errors import UploadNotFoundError
from service.clock import Clock
from service.completion.explanation import Explanation, explain
from service.completion.history import (
    History,
    StoreEvent,
    TimelineRecords,
    Transition,
    WebhookDelivery,
)
from service.completion.sources.s3 import sequencer_sort_key
from service.uploads.model import Upload, UploadStatus
from service.uploads.ports import UploadRecords

MOST_OF_A_KIND = 200
Item: TypeAlias = Upload | Transition | StoreEvent | WebhookDelivery


@dataclass(frozen=True, slots=True)
class Story:
    """`items` in order; the upload among them stands for its own beginning."""

    upload: Upload
    explanation: Explanation
    items: Sequence[Item]
    truncated: bool
    told_at: datetime


class Timeline:
    def __init__(self, *, records: UploadRecords, history: TimelineRecords, clock: Clock) -> None:
        self._records = records
        self._history = history
        self._clock = clock

    async def of_own(self, user_id: str, upload_id: str) -> Story:
        """Raises UploadNotFoundError, for another user's upload too."""
        upload = await self._records.get(upload_id)
        if upload is None or upload.user_id != user_id:
            raise UploadNotFoundError
        return await self._told(upload, with_deliveries=False)

    async def of_any(self, upload_id: str) -> Story:
        """For administrators: with what was sent to the application. Raises UploadNotFoundError."""
        upload = await self._records.get(upload_id)
        if upload is None:
            raise UploadNotFoundError
        return await self._told(upload, with_deliveries=True)

    async def _told(self, upload: Upload, *, with_deliveries: bool) -> Story:
        history = await self._history.history(
            upload, with_deliveries=with_deliveries, limit=MOST_OF_A_KIND
        )
        now = self._clock()
        return Story(
            upload=upload,
            explanation=explain(upload, history, now),
            items=in_order(upload, history),
            truncated=history.truncated or _begins_later(upload, history),
            told_at=now,
        )


def _begins_later(upload: Upload, history: History) -> bool:
    """What happened first is kept no more."""
    if not history.transitions:
        return upload.status is not UploadStatus.PENDING
    return history.transitions[0].before not in (None, UploadStatus.PENDING)


def in_order(upload: Upload, history: History) -> Sequence[Item]:
    """By time; but S3's events, which come in any order, among themselves by their sequencers."""
    timed: list[tuple[datetime, Item]] = [
        (upload.created_at, upload),
        *((step.at, step) for step in history.transitions),
        *_events(history.events),
        *((delivery.at, delivery) for delivery in history.deliveries),
    ]
    return [item for _, item in sorted(timed, key=lambda entry: entry[0])]


def _events(events: Sequence[StoreEvent]) -> Iterator[tuple[datetime, StoreEvent]]:
    """Those with sequencers share out the places that they have by time."""
    by_time = sorted(events, key=lambda event: event.received_at)
    ordered = iter(
        sorted(
            (event for event in by_time if event.sequencer),
            key=lambda event: sequencer_sort_key(event.sequencer or ""),
        )
    )
    for event in by_time:
        yield event.received_at, next(ordered) if event.sequencer else event
