"""Where the application hears: adding, changing and removing endpoints, new secrets, replays."""

import asyncio
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from errors import (
    EndpointNotFoundError,
    InvalidEndpointError,
    InvalidRequestError,
    TooManyEndpointsError,
    UnavailableError,
)
from service.clock import Clock
from service.delivery import signing
from service.delivery.endpoint_ports import (
    AddressCheck,
    Changes,
    DeliveryRecord,
    DeliveryStatus,
    EndpointRecords,
    ManagedEndpoint,
    Mark,
    Span,
)
from service.delivery.events import DEFAULT_TYPES, OFFERED_TYPES, EventType
from service.uploads.filenames import unshowable
from service.uploads.ports import Cursor

LONGEST_URL = 2048
LONGEST_DESCRIPTION = 255
BY_ADMINISTRATOR = "disabled by an administrator"
BEING_DELETED = "being deleted"

# Of one transaction, which others may wait for.
BATCH = 1000
_ROUNDS, _PAUSE_SECONDS = 20, 0.05
_MOST_ROW_ID = 2**63 - 1

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointLimits:
    """A replaced secret signs on for `rotation`. Events are kept for `keep`, so nothing older is
    replayed: what is about to be forgotten stays so.
    """

    most: int
    rotation: timedelta
    keep: timedelta


class Endpoints:
    """For administrators. Raises EndpointNotFoundError wherever an id is given that is not known.

    A secret is in `secrets` of what is returned, and only `create` and `rotate` are to show it.
    """

    def __init__(
        self,
        *,
        records: EndpointRecords,
        addresses: AddressCheck,
        limits: EndpointLimits,
        clock: Clock,
    ) -> None:
        self._records = records
        self._addresses = addresses
        self._limits = limits
        self._clock = clock

    async def create(
        self,
        url: str,
        *,
        description: str = "",
        event_types: Collection[EventType] | None = None,
        secret: str | None = None,
    ) -> ManagedEndpoint:
        """With a new secret, unless the operator brings one. Raises InvalidEndpointError,
        InvalidRequestError and TooManyEndpointsError.
        """
        kept = signing.new_secret() if secret is None else _checked_secret(secret)
        await self._check(url)
        now = self._clock()
        endpoint = ManagedEndpoint(
            id=f"whe_{secrets.token_hex(12)}",
            url=url,
            description=_checked_description(description),
            event_types=_checked_types(event_types),
            secrets=(kept,),
            enabled=True,
            disabled_reason=None,
            created_at=now,
            updated_at=now,
        )
        if not await self._records.add(endpoint, most=self._limits.most):
            raise TooManyEndpointsError
        return endpoint

    async def list(self) -> Sequence[ManagedEndpoint]:
        """All of them (there is a bound to add to), the oldest first."""
        return await self._records.all(self._clock())

    async def get(self, endpoint_id: str) -> ManagedEndpoint:
        return _found(await self._records.get(endpoint_id, self._clock()))

    async def change(self, endpoint_id: str, changes: Changes) -> ManagedEndpoint:
        """Enabling clears the reason for which it was disabled, and what waits for it goes out
        when it is due. What happened meanwhile has no delivery: that takes a replay. Raises as
        `create` does.
        """
        checked = changes.copy()
        if "description" in changes:
            _checked_description(changes["description"])
        if "event_types" in changes:
            checked["event_types"] = _checked_types(changes["event_types"])
        if "url" in changes:
            await self._check(changes["url"])
        if not checked:
            return await self.get(endpoint_id)
        reason = None if changes.get("enabled") else BY_ADMINISTRATOR
        return _found(
            await self._records.change(endpoint_id, self._clock(), checked, disabled_reason=reason)
        )

    async def rotate(self, endpoint_id: str) -> ManagedEndpoint:
        """A new secret. The one till now signs beside it for a while; one replaced earlier ends
        at once.
        """
        now = self._clock()
        until = now + self._limits.rotation
        return _found(
            await self._records.rotate(endpoint_id, signing.new_secret(), now, previous_until=until)
        )

    async def delete(self, endpoint_id: str) -> None:
        """Disabled first, so that nothing is sent any more; then its deliveries go in batches,
        then itself. After a failure in between it is disabled, and deleting it again goes on.
        """
        off: Changes = {"enabled": False}
        now = self._clock()
        _found(await self._records.change(endpoint_id, now, off, disabled_reason=BEING_DELETED))
        for _ in range(_ROUNDS):
            while await self._records.clear(endpoint_id, BATCH):
                pass
            if await self._records.remove(endpoint_id):
                return
            # A delivery was just being written, in a transaction that lasts no longer than this.
            await asyncio.sleep(_PAUSE_SECONDS)
        raise UnavailableError("The endpoint is still in use; delete it again", retry_after=1)

    async def deliveries(
        self,
        endpoint_id: str,
        *,
        status: DeliveryStatus | None = None,
        after: Cursor | None = None,
        limit: int = 50,
    ) -> tuple[Sequence[DeliveryRecord], Cursor | None]:
        """Newest first; the cursor is None on the last page. Raises InvalidRequestError for a
        cursor that is of no such page.
        """
        before = None if after is None else _row_id(after)
        await self.get(endpoint_id)
        found = await self._records.deliveries(
            endpoint_id, status=status, before=before, limit=limit + 1
        )
        page = found[:limit]
        more = len(found) > limit
        return page, Cursor(page[-1].created_at, str(page[-1].id)) if more else None

    async def replay(
        self,
        endpoint_id: str,
        *,
        since: datetime,
        until: datetime | None = None,
        types: Collection[EventType] | None = None,
        only_failed: bool = False,
    ) -> int:
        """Makes the events of that time which the endpoint wants due now, under the ids they had:
        those delivered are sent again (unless `only_failed`), those that wait need not wait any
        longer, those it never got (it was disabled, or is new) get a delivery. All have their
        attempts before them again. How many there are now; one under way just now is not touched,
        since it is being sent, and is not counted. To a disabled endpoint they go once it is
        enabled.

        In batches, so a failure leaves the rest undone; asking again does no harm.
        """
        wanted = await self._wanted(endpoint_id)
        now = self._clock()
        span = Span(
            since=max(since, now - self._limits.keep),
            until=now if until is None else min(until, now),
            types=wanted if types is None else wanted & frozenset(types),
            only_failed=only_failed,
        )
        if not span.types or span.until < span.since:
            return 0
        return await self._replay(endpoint_id, span)

    async def replay_event(self, endpoint_id: str, event_id: str) -> int:
        """The same for one event. 0: there is none that the endpoint wants, or it is under way."""
        wanted = await self._wanted(endpoint_id)
        done = await self._records.replay_event(endpoint_id, event_id, wanted, self._clock())
        return int(_found(done))

    async def _replay(self, endpoint_id: str, span: Span) -> int:
        due = 0
        after: Mark | None = None
        while True:
            batch = _found(
                await self._records.replay(endpoint_id, span, after, self._clock(), BATCH)
            )
            due += batch.due
            if batch.last is None:
                return due
            after = batch.last

    async def _wanted(self, endpoint_id: str) -> frozenset[EventType]:
        return (await self.get(endpoint_id)).event_types or DEFAULT_TYPES

    async def _check(self, url: str) -> None:
        if len(url) > LONGEST_URL or not url.isprintable():
            raise InvalidEndpointError
        await self._addresses.check_url(url)


def _found(found: _T | None) -> _T:
    if found is None:
        raise EndpointNotFoundError
    return found


def _checked_description(text: str) -> str:
    if len(text) > LONGEST_DESCRIPTION or any(unshowable(char) for char in text):
        raise InvalidRequestError(f"A description has {LONGEST_DESCRIPTION} plain characters")
    return text


def _checked_types(types: Collection[EventType] | None) -> frozenset[EventType] | None:
    if types is None:
        return None
    if not types or not OFFERED_TYPES.issuperset(types):
        raise InvalidRequestError("Webhooks do not tell of such events")
    return frozenset(types)


def _checked_secret(text: str) -> str:
    try:
        signing.key_of(text)
    except ValueError as error:
        raise InvalidRequestError(f"The secret is {error}") from None
    return text


def _row_id(cursor: Cursor) -> int:
    if cursor.id.isascii() and cursor.id.isdigit() and int(cursor.id) <= _MOST_ROW_ID:
        return int(cursor.id)
    raise InvalidRequestError("The cursor is not one that this service gave")
