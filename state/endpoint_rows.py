"""An endpoint as a row, and back; a delivery as administrators see it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import null

from service.delivery.endpoint_ports import DeliveryRecord, DeliveryStatus, ManagedEndpoint
from service.delivery.events import EventType
from service.delivery.ports import Endpoint


def row_of(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "description": endpoint.description,
        "event_types": types_column(endpoint.event_types),
        "secret": endpoint.secrets[0],
        "enabled": endpoint.enabled,
        "disabled_reason": endpoint.disabled_reason,
        "created_at": endpoint.created_at,
        "updated_at": endpoint.updated_at,
    }


def types_column(types: frozenset[EventType] | None) -> Any:
    """SQL's own NULL for None, which JSON's null would not be."""
    return null() if types is None else sorted(kind.value for kind in types)


def endpoint_of(row: Mapping[Any, Any], now: datetime) -> ManagedEndpoint:
    signing = row["previous_until"] is not None and row["previous_until"] > now
    types = row["event_types"]
    return ManagedEndpoint(
        id=row["id"],
        url=row["url"],
        description=row["description"],
        event_types=None if types is None else frozenset(EventType(name) for name in types),
        secrets=(row["secret"], row["previous_secret"]) if signing else (row["secret"],),
        enabled=row["enabled"],
        disabled_reason=row["disabled_reason"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        previous_until=row["previous_until"] if signing else None,
    )


def delivery_of(row: Mapping[Any, Any]) -> DeliveryRecord:
    waiting = row["done_at"] is None
    ended = DeliveryStatus.DELIVERED if row["delivered"] else DeliveryStatus.FAILED
    return DeliveryRecord(
        id=row["id"],
        event_id=row["event_id"],
        event_type=EventType(row["type"]),
        created_at=row["created_at"],
        status=DeliveryStatus.WAITING if waiting else ended,
        attempts=row["attempts"],
        due_at=row["due_at"] if waiting else None,
        attempted_at=row["attempted_at"],
        last_status=row["last_status"],
        last_error=row["last_error"],
        done_at=row["done_at"],
    )
