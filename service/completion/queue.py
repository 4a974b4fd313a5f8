"""The durable path: the store's events from a queue into the inbox that the webhooks fill, too.

A message is deleted once its events are committed, never before. While they cannot be (the
database is away, the inbox full), the messages in hand are kept hidden instead of being given
back: every time that one is handed out counts towards the queue's maxReceiveCount, and an outage
must not fill the dead-letter queue with messages that are well.
"""

import asyncio
import random
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

import structlog

from errors import OverloadedError, UnavailableError, UploadgateError, WebhookMalformedError
from service.completion.events import ObjectEvent
from service.completion.sources import sqs

_log = structlog.get_logger("uploadgate.queue")
_IDLE_SECONDS = 0.5  # where the queue does not wait for messages itself
_LONGEST_UNTIL_AGAIN = 900
_TOLD = 1000

Accept = Callable[[Sequence[ObjectEvent]], Awaitable[int]]
"""Commits events to the inbox. Raises OverloadedError or UnavailableError: nothing is kept then."""


@dataclass(frozen=True, slots=True)
class QueueMessage:
    """`receipt` is good for this one time of being handed out; `receives` counts it, too."""

    id: str
    receipt: str = field(repr=False)
    body: str = field(repr=False)
    receives: int


class Queue(Protocol):
    """At least once and in any order. Each call ends in a bounded time, in one of these lists or in
    UnavailableError.
    """

    async def receive(self) -> Sequence[QueueMessage]:
        """Waits a while for messages, then [] or a few, hidden from others from now on."""
        ...

    async def delete(self, messages: Sequence[QueueMessage]) -> None:
        """What cannot be deleted now comes again."""
        ...

    async def hide(self, messages: Sequence[QueueMessage], seconds: int) -> None:
        """From now on for so long; 0 shows them at once."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumerLimits:
    """`receivers` batches are in hand at once. Pauses, in seconds, double from the first to the
    longest while the queue or the database is away.
    """

    receivers: int
    visibility_seconds: int
    first_pause: float = 1.0
    longest_pause: float = 60.0


@dataclass(frozen=True, slots=True)
class _Read:
    message: QueueMessage
    events: list[ObjectEvent]


class QueueConsumer:
    """One a process. `run` never returns; when it is cancelled, what is in hand comes again."""

    def __init__(self, *, queue: Queue, accept: Accept, limits: ConsumerLimits) -> None:
        self._queue = queue
        self._accept = accept
        self._limits = limits
        self._told: OrderedDict[str, None] = OrderedDict()

    async def run(self) -> NoReturn:
        async with asyncio.TaskGroup() as group:
            for _ in range(self._limits.receivers):
                group.create_task(self._receive_forever())
        raise AssertionError("receivers do not end")

    async def _receive_forever(self) -> NoReturn:
        failures = 0
        while True:
            try:
                await self._step()
                failures = 0
            except Exception as error:  # noqa: BLE001 - a fault of ours must not end the receiver
                failures += 1
                ours = not isinstance(error, UploadgateError)
                _log.warning("queue.paused", cause=_cause(error), exc_info=error if ours else None)
                await self._pause(failures)

    async def _step(self) -> None:
        """Receives one batch and sees it through."""
        _end_if_cancelled()
        received = await self._queue.receive()
        if not received:
            await asyncio.sleep(_IDLE_SECONDS)
            return
        read = [self._read(message) for message in received]
        poison = [message for message, found in zip(received, read, strict=True) if found is None]
        well = [found for found in read if found is not None]
        async with self._hidden([one.message for one in well]):
            committed = await self._committed(well)
            await self._quietly("delete", self._queue.delete, [one.message for one in committed])
            await self._leave(poison)

    def _read(self, message: QueueMessage) -> _Read | None:
        try:
            return _Read(message, sqs.parse(message.body, message_id=message.id))
        except Exception as error:  # noqa: BLE001 - a fault in one message must not hold up others
            self._tell(message, error)
            return None

    async def _committed(self, batch: list[_Read]) -> list[_Read]:
        """Those whose events are in the inbox: all, unless one of them brings out a fault."""
        try:
            await self._accepted([event for one in batch for event in one.events])
        except Exception as error:  # noqa: BLE001 - as above
            _end_if_cancelled()
            if len(batch) > 1:
                return [done for one in batch for done in await self._committed([one])]
            self._tell(batch[0].message, error)
            await self._leave([batch[0].message])
            return []
        return batch

    async def _accepted(self, events: list[ObjectEvent]) -> None:
        """Waits for the database as long as it takes."""
        failures = 0
        while events:
            try:
                await self._accept(events)
            except (UnavailableError, OverloadedError) as error:
                failures += 1
                _log.warning("queue.waits", cause=error.code, events=len(events))
                await self._pause(failures)
            else:
                return

    @asynccontextmanager
    async def _hidden(self, messages: list[QueueMessage]) -> AsyncIterator[None]:
        keeper = asyncio.create_task(self._keep_hidden(messages))
        try:
            yield
        finally:
            keeper.cancel()
            await asyncio.wait([keeper])

    async def _keep_hidden(self, messages: list[QueueMessage]) -> NoReturn:
        seconds = self._limits.visibility_seconds
        while True:
            await asyncio.sleep(seconds / 3)
            await self._quietly("hide", self._queue.hide, messages, seconds)

    async def _leave(self, messages: list[QueueMessage]) -> None:
        """For the dead-letter queue: shown again soon, so that they get there, but ever later, for
        there may be none.
        """
        for message in messages:
            again = min(_LONGEST_UNTIL_AGAIN, 1 << min(message.receives - 1, 20))
            await self._quietly("leave", self._queue.hide, [message], again)

    async def _quietly(
        self,
        what: str,
        call: Callable[..., Awaitable[None]],
        messages: list[QueueMessage],
        *more: int,
    ) -> None:
        """What fails here is made good by the queue itself: the messages come again."""
        if not messages:
            return
        try:
            await call(messages, *more)
        except UnavailableError as error:
            _log.warning("queue.unavailable", doing=what, cause=error.code)

    def _tell(self, message: QueueMessage, error: Exception) -> None:
        """Once a message, and never what it holds."""
        if message.id in self._told:
            return
        self._told[message.id] = None
        if len(self._told) > _TOLD:
            self._told.popitem(last=False)
        malformed = isinstance(error, WebhookMalformedError)
        reason = str(error) if malformed else _cause(error)
        trace = None if malformed else error
        _log.error("queue.poison", message_id=message.id, reason=reason, exc_info=trace)

    async def _pause(self, failures: int) -> None:
        _end_if_cancelled()
        full = self._limits.first_pause * (1 << min(failures - 1, 20))
        jitter = 0.5 + random.random() / 2  # noqa: S311 - no secret
        await asyncio.sleep(min(self._limits.longest_pause, full) * jitter)


def _end_if_cancelled() -> None:
    """A library may tell of a failure where it was cancelled: going on would never end."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _cause(error: Exception) -> str:
    return error.code if isinstance(error, UploadgateError) else type(error).__name__
