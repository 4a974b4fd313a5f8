"""What the management of endpoints needs of the world. The records raise UnavailableError when the
database does not answer.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol, TypedDict

from service.delivery.events import EventType
from service.delivery.ports import Endpoint


class AddressCheck(Protocol):
    async def check_url(self, url: str) -> None:
        """Raises InvalidEndpointError for an address to which nothing is to be sent."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedEndpoint(Endpoint):
    """`previous_until`: the end of the replaced secret's time, while it still signs."""

    previous_until: datetime | None = None


class Changes(TypedDict, total=False):
    """Of an endpoint. `event_types` None: DEFAULT_TYPES."""

    url: str
    description: str
    event_types: frozenset[EventType] | None
    enabled: bool


class DeliveryStatus(StrEnum):
    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRecord:
    """What has become of one event for one endpoint. `due_at` is of a waiting one: its next
    attempt, or the end of the lease while one is under way.
    """

    id: int
    event_id: str
    event_type: EventType
    created_at: datetime
    status: DeliveryStatus
    attempts: int
    due_at: datetime | None
    attempted_at: datetime | None
    last_status: int | None
    last_error: str | None
    done_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Which events to make due again: from `since` to `until`, both included, of these types.
    `only_failed`: of those, what was given up or waits, and nothing that has no delivery.
    """

    since: datetime
    until: datetime
    types: Collection[EventType]
    only_failed: bool = False


class Mark(NamedTuple):
    """Where a batch of events ended: oldest first, ties broken by id."""

    at: datetime
    id: str


@dataclass(frozen=True, slots=True)
class Batch:
    """`due` deliveries were made due. `last` is None behind the last event."""

    due: int
    last: Mark | None


class EndpointRecords(Protocol):
    """An id that is not known gets None, False or nothing. `now` says which secrets still sign."""

    async def add(self, endpoint: Endpoint, *, most: int) -> bool:
        """False, and nothing is added, when there are `most` already: for calls at once too."""
        ...

    async def all(self, now: datetime) -> Sequence[ManagedEndpoint]:
        """The oldest first."""
        ...

    async def get(self, endpoint_id: str, now: datetime) -> ManagedEndpoint | None: ...

    async def change(
        self,
        endpoint_id: str,
        now: datetime,
        changes: Changes,
        *,
        disabled_reason: str | None = None,
    ) -> ManagedEndpoint | None:
        """The reason is written where `enabled` is among the changes: None enables."""
        ...

    async def rotate(
        self, endpoint_id: str, secret: str, now: datetime, *, previous_until: datetime
    ) -> ManagedEndpoint | None:
        """The secret till now becomes the previous one, in place of an older one."""
        ...

    async def clear(self, endpoint_id: str, limit: int) -> int:
        """Deletes at most so many of its deliveries; how many. One that is being written just now
        is passed over.
        """
        ...

    async def remove(self, endpoint_id: str) -> bool:
        """False while it has deliveries; True for one that is not there."""
        ...

    async def deliveries(
        self, endpoint_id: str, *, status: DeliveryStatus | None, before: int | None, limit: int
    ) -> Sequence[DeliveryRecord]:
        """The newest first, of those with an id below `before`."""
        ...

    async def replay(
        self, endpoint_id: str, span: Span, after: Mark | None, now: datetime, limit: int
    ) -> Batch | None:
        """One transaction over the next `limit` events of the span that have been spread (the
        others are about to be). A delivery under a lease is left to whoever sends it.
        """
        ...

    async def replay_event(
        self, endpoint_id: str, event_id: str, types: Collection[EventType], now: datetime
    ) -> bool | None:
        """False: no such event, of another type, or being sent just now."""
        ...
