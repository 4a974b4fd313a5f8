"""Event streams: what one page is told, item by item.

A stream is pulled: nothing is read from the database before what was read has been taken, and
being woken any number of times meanwhile is one look more. So a slow client holds one page of
events, however many happen, and however large they are.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate

from errors import UnavailableError
from service.clock import Clock
from service.delivery.hub import EndReason, Hub
from service.delivery.looks import Looks
from service.delivery.ports import EventFeed, FeedEvent

_PAGE = 32
_LARGE_PAGE = 256 * 1024  # characters; one event may have more
_PAUSE_AFTER_FAILURE = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTimes:
    """In seconds: of silence before a heartbeat, between looks that nothing asked for, and for
    which a client may take nothing.
    """

    heartbeat: float
    look: float
    send: float


@dataclass(frozen=True, slots=True)
class Ready:
    """The first item. The stream goes on after `position`; `sequence` is the user's last number."""

    position: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Reset:
    """Events before `position` are gone: what the client knows must be asked for anew."""

    position: int


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Nothing for so long."""


@dataclass(frozen=True, slots=True)
class End:
    """The last item."""

    reason: EndReason


Item = Ready | FeedEvent | Reset | Heartbeat | End


class Streams:
    """The page's front. `close` ends all streams, when the replica is about to stop."""

    def __init__(self, *, feed: EventFeed, hub: Hub, times: StreamTimes, clock: Clock) -> None:
        self.times = times
        self._looks = Looks(feed)
        self._hub = hub
        self._clock = clock

    @asynccontextmanager
    async def opened(
        self,
        user_id: str,
        *,
        expires_at: datetime,
        after: int | None,
        stands: Callable[[], bool] = lambda: True,
    ) -> AsyncIterator["Stream"]:
        """Goes on after that number, or with what happens from now on; until `expires_at`, that of
        the caller's token, or until the login no longer `stands`, which is asked before anything
        is told and with every heartbeat. Raises UnavailableError, and what Hub.holding raises.
        """
        left = (expires_at - self._clock()).total_seconds()
        stream = Stream(user_id, self._looks, self.times, seconds=left, stands=stands)
        with self._hub.holding(user_id, stream):
            await stream.begin(after)
            try:
                yield stream
            finally:
                stream.stop()

    def close(self) -> None:
        self._hub.close()


class Stream:
    """Implements service.delivery.hub.Listener. For one reader, who calls `next`."""

    def __init__(
        self,
        user_id: str,
        looks: Looks,
        times: StreamTimes,
        *,
        seconds: float,
        stands: Callable[[], bool],
    ) -> None:
        self._stands = stands
        self._user_id = user_id
        self._looks = looks
        self._times = times
        self._time = asyncio.get_running_loop().time
        self._stir = asyncio.Event()
        self._news = True
        self._more = self._left = False
        self._reason: EndReason | None = None
        self._looking: asyncio.Task[Sequence[Item]] | None = None
        self._told: Sequence[Item] = ()
        self._position = self._last = 0
        self._ends_at = self._time() + seconds
        self._look_at = self._beat_at = 0.0

    def wake(self) -> None:
        self._news = True
        self._stir.set()

    def end(self, reason: EndReason) -> None:
        self._reason = self._reason or reason
        self._stir.set()

    def leave(self) -> None:
        """The client has gone: there is nobody to tell anything."""
        self._left = True
        self._stir.set()

    async def begin(self, after: int | None) -> None:
        self._last = await self._looks.last(self._user_id)
        self._position = self._last if after is None else after
        self._told = (Ready(self._position, self._last),)
        self._plan_look(self._times.look)

    def stop(self) -> None:
        if self._looking is not None:
            self._looking.cancel()

    async def next(self) -> Sequence[Item]:
        """What is to be told now, waited for if need be; nothing once it has ended."""
        while not self._left:
            self._stir.clear()
            if told := self._due():
                self._beat_at = self._time() + self._times.heartbeat
                return told
            await self._stirred()
        return ()

    def _due(self) -> Sequence[Item]:
        if self._told:
            told, self._told = self._told, ()
            return told
        if self._time() >= self._ends_at or not self._stands():
            self.end(EndReason.TOKEN_EXPIRED)
        if self._reason is not None:
            self._left = True
            return (End(self._reason),)
        if found := self._found():
            return found
        self._begin_look()
        return (Heartbeat(),) if self._time() >= self._beat_at else ()

    async def _stirred(self) -> None:
        look_at = self._look_at if self._looking is None else self._ends_at
        try:
            async with asyncio.timeout_at(min(self._beat_at, look_at, self._ends_at)):
                await self._stir.wait()
        except TimeoutError:
            return

    def _begin_look(self) -> None:
        """Beside the stream, which keeps its heartbeat and its end while the database is slow."""
        if self._looking is None and (self._news or self._time() >= self._look_at):
            self._news = False
            self._looking = asyncio.create_task(self._look())
            self._looking.add_done_callback(lambda _: self._stir.set())

    async def _look(self) -> Sequence[Item]:
        if self._position <= self._last:
            events = await self._looks.after(self._user_id, self._position, _PAGE)
            if self._goes_on_with(events):
                return self._page(events)
        # Deleted meanwhile, or numbers of another database.
        return (Reset(await self._looks.last(self._user_id)),)

    def _page(self, events: Sequence[FeedEvent]) -> Sequence[FeedEvent]:
        sizes = accumulate(len(event.payload) for event in events)
        fitting = sum(size <= _LARGE_PAGE for size in sizes)
        page = events[: max(1, fitting)]
        self._more = len(page) < len(events) or len(events) == _PAGE
        return page

    def _goes_on_with(self, events: Sequence[FeedEvent]) -> bool:
        following = range(self._position + 1, self._position + 1 + len(events))
        complete = [event.sequence for event in events] == list(following)
        return complete and (len(events) > 0 or self._position == self._last)

    def _found(self) -> Sequence[Item]:
        if self._looking is None or not self._looking.done():
            return ()
        looked, self._looking = self._looking, None
        try:
            found = looked.result()
        except UnavailableError:
            self._plan_look(_PAUSE_AFTER_FAILURE)
            return ()
        self._plan_look(self._times.look)
        self._go_on_after(found)
        return found

    def _go_on_after(self, found: Sequence[Item]) -> None:
        match found[-1] if found else None:
            case FeedEvent(sequence=sequence) | Reset(position=sequence):
                self._position = sequence
                self._last = max(self._last, sequence)
        if self._more:
            self._news, self._more = True, False

    def _plan_look(self, seconds: float) -> None:
        self._look_at = self._time() + seconds * (0.75 + random.random() / 2)  # noqa: S311 - jitter
