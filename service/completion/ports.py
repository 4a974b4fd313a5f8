"""What completion needs of the world, besides the records and the store of service.uploads."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from service.completion.events import EventId, ObjectEvent


@dataclass(frozen=True, slots=True)
class Claimed:
    """An event in the hands of one worker until its lease ends. `attempts` counts this one;
    `sequencer` and `etag` are as its source said them, if it did; `looks` counts those that were
    answered and did not show what it tells of; `faults` those that failed by a fault of ours.
    """

    id: int
    bucket: str
    key: str
    attempts: int
    sequencer: str | None = None
    etag: str | None = None
    looks: int = 0
    faults: int = 0


class Inbox(Protocol):
    """What sources said, committed before they are answered. Raises UnavailableError."""

    async def put(self, events: Sequence[ObjectEvent], now: datetime) -> AbstractSet[EventId]:
        """Those that were new, or are to be looked at once more: one that was given up, or has
        ended without its object being seen, is sent again for a reason. Raises OverloadedError when
        too many wait; nothing is kept then.
        """
        ...

    async def claim(
        self, worker: str, now: datetime, *, until: datetime, limit: int
    ) -> Sequence[Claimed]:
        """Due events, oldest first, leased until then: after that they are due again."""
        ...

    async def settle(self, event: Claimed, worker: str, outcome: str, now: datetime) -> None: ...

    async def settle_all(
        self, events: Sequence[Claimed], worker: str, outcome: str, now: datetime
    ) -> None:
        """As settle, of many with one outcome. Those whose lease has passed on stay as they are."""
        ...

    async def retry(
        self,
        event: Claimed,
        worker: str,
        due_at: datetime,
        *,
        looked: bool = False,
        faulted: bool = False,
    ) -> None:
        """`looked`: the store was asked, and did not show it. `faulted`: by a fault of ours."""
        ...

    async def give_up(self, event: Claimed, worker: str, outcome: str, now: datetime) -> None: ...

    async def call_back(self, now: datetime, *, beyond: datetime) -> int:
        """Makes due what is due only after `beyond`; how many events."""
        ...

    async def forget(self, before: datetime) -> int:
        """Deletes events done before then, a bounded number a call; how many."""
        ...


class Owners(Protocol):
    async def owner_of(self, key: str) -> tuple[str, str] | None:
        """(user id, path within the folder) of a key in a known user's folder."""
        ...


class NotificationReceiver(Protocol):
    """One source's door: proves where a message comes from, then reads it. Header names are in
    lower case. Raises WebhookForgedError, WebhookMalformedError (never right) or
    WebhookUnverifiableError (send it again).
    """

    def admit(self, headers: Mapping[str, str]) -> None:
        """What can be refused by the headers alone is refused before the body is read."""
        ...

    async def receive(self, body: bytes, headers: Mapping[str, str]) -> list[ObjectEvent]: ...
