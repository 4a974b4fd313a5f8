"""Webhook endpoints in memory, and an address check that knows one bad address."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from errors import InvalidEndpointError
from service.delivery.endpoint_ports import (
    Batch,
    Changes,
    DeliveryRecord,
    DeliveryStatus,
    ManagedEndpoint,
    Mark,
    Span,
)
from service.delivery.events import EventType
from service.delivery.ports import Endpoint

BAD_URL = "https://inside.example/hook"
URL = "https://app.example/hook"


class Addresses:
    """Implements service.delivery.endpoint_ports.AddressCheck."""

    def __init__(self) -> None:
        self.checked: list[str] = []

    async def check_url(self, url: str) -> None:
        self.checked.append(url)
        if url == BAD_URL:
            raise InvalidEndpointError("It lies in a private network")


@dataclass(frozen=True, slots=True)
class Happened:
    at: datetime
    id: str
    type: EventType = EventType.COMPLETED


@dataclass
class MemoryEndpoints:
    """Implements service.delivery.endpoint_ports.EndpointRecords. `delivery_ids` are of one
    endpoint at a time; the last `stuck` of them are not cleared at the first try.
    """

    kept: dict[str, ManagedEndpoint] = field(default_factory=dict)
    happened: list[Happened] = field(default_factory=list)
    records: list[DeliveryRecord] = field(default_factory=list)
    delivery_ids: list[int] = field(default_factory=list)
    stuck: int = 0
    spans: list[tuple[Span, int]] = field(default_factory=list)
    cleared: list[int] = field(default_factory=list)
    replayed: list[str] = field(default_factory=list)

    async def add(self, endpoint: Endpoint, *, most: int) -> bool:
        if len(self.kept) >= most:
            return False
        assert isinstance(endpoint, ManagedEndpoint)
        self.kept[endpoint.id] = endpoint
        return True

    async def all(self, now: datetime) -> Sequence[ManagedEndpoint]:
        return [_seen(endpoint, now) for endpoint in self.kept.values()]

    async def get(self, endpoint_id: str, now: datetime) -> ManagedEndpoint | None:
        endpoint = self.kept.get(endpoint_id)
        return None if endpoint is None else _seen(endpoint, now)

    async def change(
        self,
        endpoint_id: str,
        now: datetime,
        changes: Changes,
        *,
        disabled_reason: str | None = None,
    ) -> ManagedEndpoint | None:
        values: dict[str, Any] = {**changes, "updated_at": now}
        if "enabled" in changes:
            values["disabled_reason"] = disabled_reason
        return self._write(endpoint_id, **values)

    async def rotate(
        self, endpoint_id: str, secret: str, now: datetime, *, previous_until: datetime
    ) -> ManagedEndpoint | None:
        if endpoint_id not in self.kept:
            return None
        pair = (secret, self.kept[endpoint_id].secrets[0])
        return self._write(endpoint_id, secrets=pair, previous_until=previous_until, updated_at=now)

    async def clear(self, endpoint_id: str, limit: int) -> int:
        free = self.delivery_ids[: max(0, len(self.delivery_ids) - self.stuck)][:limit]
        del self.delivery_ids[: len(free)]
        self.cleared.append(len(free))
        return len(free)

    async def remove(self, endpoint_id: str) -> bool:
        if self.delivery_ids:
            self.stuck -= 1
            return False
        self.kept.pop(endpoint_id, None)
        return True

    async def deliveries(
        self, endpoint_id: str, *, status: DeliveryStatus | None, before: int | None, limit: int
    ) -> Sequence[DeliveryRecord]:
        newest_first = sorted(self.records, key=lambda record: -record.id)
        found = [
            record
            for record in newest_first
            if status in (None, record.status) and (before is None or record.id < before)
        ]
        return found[:limit]

    async def replay(
        self, endpoint_id: str, span: Span, after: Mark | None, now: datetime, limit: int
    ) -> Batch | None:
        self.spans.append((span, limit))
        if endpoint_id not in self.kept:
            return None
        chosen = sorted(
            Mark(event.at, event.id)
            for event in self.happened
            if span.since <= event.at <= span.until and event.type in span.types
        )
        rest = [mark for mark in chosen if after is None or mark > after]
        page = rest[:limit]
        self.replayed += [mark.id for mark in page]
        return Batch(len(page), page[-1] if len(page) == limit else None)

    async def replay_event(
        self, endpoint_id: str, event_id: str, types: Collection[EventType], now: datetime
    ) -> bool | None:
        if endpoint_id not in self.kept:
            return None
        return any(event.id == event_id and event.type in types for event in self.happened)

    def _write(self, endpoint_id: str, **values: Any) -> ManagedEndpoint | None:
        if endpoint_id not in self.kept:
            return None
        self.kept[endpoint_id] = replace(self.kept[endpoint_id], **values)
        return self.kept[endpoint_id]


def _seen(endpoint: ManagedEndpoint, now: datetime) -> ManagedEndpoint:
    if endpoint.previous_until is None or endpoint.previous_until > now:
        return endpoint
    return replace(endpoint, secrets=endpoint.secrets[:1], previous_until=None)
