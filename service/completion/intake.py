"""Many messages, one commit: what comes while the inbox is being written goes in with the next
batch. Each caller waits for the commit that holds its own events, and hears of those alone.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from contextvars import Context
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from errors import OverloadedError, UnavailableError, UploadgateError
from service.clock import Clock
from service.completion.events import EventId, ObjectEvent

MOST_WAITING = 10_000
_BATCH = 500
_GATHER_SECONDS = 0.02
# SNS waits for 15 s, and takes no answer for one that asks it to send again.
_WRITE_SECONDS = 12.0
# A full inbox is not counted again for every message that asks.
_FULL_SECONDS = 1.0


class Shelf(Protocol):
    """The part of the Inbox that takes events in."""

    async def put(self, events: Sequence[ObjectEvent], now: datetime) -> AbstractSet[EventId]: ...


@dataclass(frozen=True, slots=True)
class _Caller:
    events: Sequence[ObjectEvent]
    answer: "asyncio.Future[int]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def hears(self, new: set[EventId]) -> None:
        """Takes its own out of what is new: an event that two callers bring counts once."""
        own = {event.id for event in self.events} & new
        new -= own
        if not self.answer.done():
            self.answer.set_result(len(own))

    def fails(self, error: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


class Intake:
    """One a replica. `most_waiting` bounds the events that wait to be written."""

    def __init__(self, shelf: Shelf, *, clock: Clock, most_waiting: int = MOST_WAITING) -> None:
        self._shelf = shelf
        self._clock = clock
        self._most_waiting = most_waiting
        self._waiting: deque[_Caller] = deque()
        self._count = 0
        self._writing: asyncio.Task[None] | None = None
        self._refused = 0
        self._refused_until = 0.0

    async def put(self, events: Sequence[ObjectEvent]) -> int:
        """How many were new, once they are committed. Raises OverloadedError or UnavailableError;
        they may have been kept even so, which another delivery of them will find.
        """
        loop = asyncio.get_running_loop()
        if self._count + len(events) > self._room(loop.time()):
            raise OverloadedError("Too many events wait to be processed", retry_after=30)
        caller = _Caller(events)
        self._waiting.append(caller)
        self._count += len(events)
        if self._writing is None:
            # A task of its own: a caller that goes away takes nobody's commit with it, and what
            # is logged there is of no one request.
            self._writing = loop.create_task(self._write_all(), context=Context())
        return await caller.answer

    def _room(self, now: float) -> int:
        """Less than the inbox has just found to be too many: less may still fit."""
        return self._refused - 1 if now < self._refused_until else self._most_waiting

    async def aclose(self) -> None:
        """Waits for what is being written: a bounded time, as every write is."""
        while self._writing is not None:
            await asyncio.wait([self._writing])

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                batch = self._next_batch()
                await self._write(batch)
                if len(batch) > 1 and self._count < _BATCH:
                    # More are on their way: a transaction costs as much as a hundred events in it.
                    await asyncio.sleep(_GATHER_SECONDS)
        finally:
            self._writing = None
            while self._waiting:  # only if this task itself was cancelled
                self._waiting.popleft().answer.cancel()
            self._count = 0

    def _next_batch(self) -> list[_Caller]:
        """At least one caller; as many as fit."""
        batch = [self._waiting.popleft()]
        size = len(batch[0].events)
        while self._waiting and size + len(self._waiting[0].events) <= _BATCH:
            batch.append(self._waiting.popleft())
            size += len(batch[-1].events)
        self._count -= size
        return batch

    async def _write(self, batch: Sequence[_Caller]) -> None:
        try:
            await self._commit(batch)
        except UploadgateError as error:
            self._refuse(batch, error)
        except Exception:  # noqa: BLE001 - see below
            # A fault of ours, perhaps of one message: its neighbours shall not suffer by it.
            await self._write_each(batch)
        except BaseException:
            for caller in batch:
                caller.answer.cancel()
            raise

    async def _write_each(self, batch: Sequence[_Caller]) -> None:
        left = deque(batch)
        while left:
            caller = left.popleft()
            try:
                await self._commit([caller])
            except UploadgateError as error:
                self._refuse([caller, *left], error)
                return
            except Exception as error:  # noqa: BLE001 - told by whoever brought it
                caller.fails(error)

    def _refuse(self, batch: Sequence[_Caller], error: UploadgateError) -> None:
        if isinstance(error, OverloadedError):
            self._refused = sum(len(caller.events) for caller in batch)
            self._refused_until = asyncio.get_running_loop().time() + _FULL_SECONDS
        for caller in batch:
            caller.fails(error)

    async def _commit(self, batch: Sequence[_Caller]) -> None:
        events = {event.id: event for caller in batch for event in caller.events}
        try:
            async with asyncio.timeout(_WRITE_SECONDS):
                new = set(await self._shelf.put(list(events.values()), self._clock()))
        except TimeoutError:
            raise UnavailableError("The database takes too long") from None
        for caller in batch:
            caller.hears(new)
