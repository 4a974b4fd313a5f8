"""What delivery needs of the world. All of it raises UnavailableError for a part that is away."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeAlias

from service.delivery.events import EventType

Announce = Callable[[str], None]
"""Tells, without waiting and without failing, that a user has new events: after the commit."""


def to_nobody(_user_id: str) -> None:
    """Where nothing listens: tools that change a record once."""


# --- outgoing webhooks ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where the application hears. `secrets` are `whsec_…`, the current one first, the one that is
    being replaced after it while it is still signed with. `event_types` None: DEFAULT_TYPES.
    """

    id: str
    url: str
    description: str
    event_types: frozenset[EventType] | None
    secrets: tuple[str, ...] = field(repr=False)
    enabled: bool
    disabled_reason: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """For one endpoint. `event_id` is the webhook-id."""

    event_id: str
    endpoint_id: str
    url: str
    secrets: tuple[str, ...] = field(repr=False)
    payload: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery(Message):
    """One event for one endpoint, in the hands of one worker until its lease ends. `attempts`
    counts this one. `failures` are those before it whose outcome is known: one that a crash or an
    outage of the database has cut short is none of the receiver's.
    """

    id: int
    attempts: int
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver said. `retry_after` in seconds."""

    status: int
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """`reason` is a word for the log and the administrator: timeout, refused, forbidden_address, …
    `final`: trying again cannot help as things are set up.
    """

    reason: str
    final: bool = False


class Sender(Protocol):
    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer | NoAnswer:
        """One POST within a bounded time, without redirects, never to a forbidden address."""
        ...


Place: TypeAlias = tuple[datetime, str]
"""Of an event among all: its time and id."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How many events, and where to go on; None at the end."""

    count: int
    after: Place | None


class Outbox(Protocol):
    """Events that wait to be spread over the endpoints, and deliveries that wait to be made."""

    async def fan_out(self, now: datetime, limit: int) -> int:
        """Makes a delivery of each of the oldest undistributed events for each enabled endpoint
        that wants it and was there before; how many events there were. One transaction; safe on
        many replicas at once.
        """
        ...

    async def claim(
        self,
        worker: str,
        now: datetime,
        *,
        until: datetime,
        limit: int,
        per_endpoint: int,
        busy: Mapping[str, int],
    ) -> Sequence[Delivery]:
        """Due deliveries of enabled endpoints, of each the longest due first, leased until then.
        `busy` is how many this worker makes already, by endpoint: no endpoint gets beyond
        `per_endpoint` with them, and those with the fewest come first.
        """
        ...

    async def delivered(self, delivery: Delivery, worker: str, now: datetime, status: int) -> None:
        """This and the next two write nothing when the lease has passed to another claim."""
        ...

    async def retry(
        self,
        delivery: Delivery,
        worker: str,
        now: datetime,
        *,
        due_at: datetime,
        status: int | None,
        error: str,
    ) -> None: ...

    async def give_up(
        self, delivery: Delivery, worker: str, now: datetime, *, status: int | None, error: str
    ) -> None: ...

    async def disable(self, delivery: Delivery, now: datetime, reason: str) -> None:
        """The endpoint, unless its URL has changed since. Its waiting deliveries keep waiting:
        they go out once it is enabled again.
        """
        ...

    async def forget(
        self, before: datetime, limit: int, *, after: Place | None = None
    ) -> Forgotten:
        """Of the next so many events older than that deletes those that nothing waits for, with
        their deliveries. One that still waits keeps its event, unless its endpoint has been
        disabled for that long.
        """
        ...


# --- the page -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """One event of a user's own, by its place in their sequence. `payload` is JSON text."""

    sequence: int
    type: str
    payload: str


class EventFeed(Protocol):
    """A user's events in the order of their sequence, which is the order of their commits.

    The numbers have no gaps of their own: where one is missing, its event has been deleted.
    """

    async def last(self, user_id: str) -> int:
        """0 before the first; the number stays when its event is deleted."""
        ...

    async def after(self, user_id: str, sequence: int, limit: int) -> Sequence[FeedEvent]:
        """The first of them that are kept, the lowest number first."""
        ...


class Bus(Protocol):
    """Between replicas: whose events there are. What gets lost is made good by looking."""

    async def publish(self, user_ids: Collection[str]) -> None: ...

    def listening(self) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        """User ids, from all other replicas, of all that is published once it has been entered;
        ends with UnavailableError when the connection is lost.
        """
        ...
