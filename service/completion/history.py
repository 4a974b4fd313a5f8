"""What the records say happened to one upload: the material of its timeline."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from service.uploads.model import Upload


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """`sequence` is its place among the user's events. `before` is None for a record that began
    in this state.
    """

    at: datetime
    before: str | None
    after: str
    reason: str | None
    sequence: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreEvent:
    """What a source said of the upload's key. While it waits `next_attempt_at` says when it is
    taken up next; while somebody is at it, when it is if they do not finish. `attempts` counts
    those that were begun. `failed`: given up, for the cause that `outcome` names. `raw` is the
    source's own JSON, parsed.
    """

    received_at: datetime
    source: str
    event_time: datetime | None
    size: int | None
    etag: str | None
    version_id: str | None
    sequencer: str | None
    outcome: str | None
    attempts: int
    failed: bool
    next_attempt_at: datetime | None
    raw: Any

    @property
    def waits(self) -> bool:
        return self.next_attempt_at is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDelivery:
    """Of one event to one endpoint. Neither delivered nor to be tried again: given up."""

    at: datetime
    endpoint_id: str
    event_id: str
    attempts: int
    last_status: int | None
    last_error: str | None
    next_attempt_at: datetime | None
    delivered_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Each oldest first. `truncated`: there was more, and older, of one of them."""

    transitions: Sequence[Transition]
    events: Sequence[StoreEvent]
    deliveries: Sequence[WebhookDelivery]
    truncated: bool = False


class TimelineRecords(Protocol):
    async def history(self, upload: Upload, *, with_deliveries: bool, limit: int) -> History:
        """The newest `limit` of each. Of the events of the upload's key only those in this
        record's life: several records may share a key, one after the other. Raises
        UnavailableError.
        """
        ...
