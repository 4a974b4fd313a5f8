"""What happened to one upload, as a test tells it."""

from datetime import timedelta
from typing import Any

from service.completion.history import History, StoreEvent, Transition, WebhookDelivery
from service.uploads.model import Upload
from tests.fakes.clock import START


def moved(after: str, seconds: float = 0, **changes: Any) -> Transition:
    values: dict[str, Any] = {"before": "pending", "reason": None, "sequence": 1, **changes}
    return Transition(at=START + timedelta(seconds=seconds), after=after, **values)


def heard(seconds: float = 0, **changes: Any) -> StoreEvent:
    """Five bytes, told of by the filer, and settled."""
    values: dict[str, Any] = {
        "source": "seaweedfs",
        "event_time": None,
        "size": 5,
        "etag": "one",
        "version_id": None,
        "sequencer": None,
        "outcome": "completed",
        "attempts": 1,
        "failed": False,
        "next_attempt_at": None,
        "raw": {"key": "a"},
    }
    return StoreEvent(received_at=START + timedelta(seconds=seconds), **{**values, **changes})


def sent(seconds: float = 0, **changes: Any) -> WebhookDelivery:
    values: dict[str, Any] = {
        "endpoint_id": "ep_1",
        "event_id": "evt_1",
        "attempts": 1,
        "last_status": 503,
        "last_error": "status",
        "next_attempt_at": START + timedelta(hours=1),
        "delivered_at": None,
    }
    return WebhookDelivery(at=START + timedelta(seconds=seconds), **{**values, **changes})


def history(*items: Transition | StoreEvent | WebhookDelivery, truncated: bool = False) -> History:
    return History(
        transitions=[item for item in items if isinstance(item, Transition)],
        events=[item for item in items if isinstance(item, StoreEvent)],
        deliveries=[item for item in items if isinstance(item, WebhookDelivery)],
        truncated=truncated,
    )


class MemoryHistory:
    """Implements service.completion.history.TimelineRecords."""

    def __init__(self, kept: History) -> None:
        self.kept = kept
        self.asked: list[tuple[str, bool, int]] = []

    async def history(self, upload: Upload, *, with_deliveries: bool, limit: int) -> History:
        self.asked.append((upload.id, with_deliveries, limit))
        return self.kept
