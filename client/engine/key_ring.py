"""The temporary credentials of the moment: renewed early and in the background, once for all."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from client.engine.events import KeysRenewed, OnEvent, ignore
from client.grants import Issued, now
from client.problems import ClientError

# They are renewed at this share of their life, not all clients at the same moment.
_EARLIEST, _LATEST = 0.6, 0.72
# Not used so shortly before their end: a request has to begin before it.
_MARGIN = timedelta(seconds=5)
# After a failed early renewal, how long until the next: the old ones are good meanwhile.
_PAUSE = timedelta(seconds=20)


class KeyRing:
    """`issue` raises ClientErrors. Shared by all files; for one event loop."""

    def __init__(
        self,
        issue: Callable[[], Awaitable[Issued]],
        *,
        first: Issued | None = None,
        on_event: OnEvent = ignore,
        clock: Callable[[], datetime] = now,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._issue = issue
        self._clock = clock
        self._jitter = jitter
        self._on_event = on_event
        self._running: asyncio.Task[Issued] | None = None
        self._issued: Issued | None = None
        self._had_some = False
        self._good_until = self._renew_at = clock()
        if first is not None:
            self._keep(first)

    @classmethod
    @asynccontextmanager
    async def opened(
        cls,
        issue: Callable[[], Awaitable[Issued]],
        *,
        first: Issued | None = None,
        on_event: OnEvent = ignore,
    ) -> AsyncIterator["KeyRing"]:
        """Leaves no renewal running."""
        ring = cls(issue, first=first, on_event=on_event)
        try:
            yield ring
        finally:
            await ring._stop()

    async def current(self) -> Issued:
        """Good for a request that begins now. Raises what `issue` raises."""
        moment = self._clock()
        if self._issued is None or moment >= self._good_until:
            return await asyncio.shield(self._renewal())
        if moment >= self._renew_at:
            self._renew_at = moment + _PAUSE
            self._renewal()
        return self._issued

    def renounce(self, refused: Issued) -> None:
        """The store takes them no more, whatever their date says."""
        if self._issued is refused:
            self._issued = None

    def _renewal(self) -> asyncio.Task[Issued]:
        """One at a time: whoever comes meanwhile waits for the same."""
        if self._running is None:
            self._running = asyncio.create_task(self._renewed())
            self._running.add_done_callback(self._ended)
        return self._running

    async def _renewed(self) -> Issued:
        again = self._had_some
        issued = await self._issue()
        self._keep(issued)
        if again:
            self._on_event(KeysRenewed(issued.expires_at_here))
        return issued

    def _ended(self, task: "asyncio.Task[Issued]") -> None:
        self._running = None
        if not task.cancelled():
            task.exception()  # an early renewal that failed is nobody's yet

    def _keep(self, issued: Issued) -> None:
        moment = self._clock()
        life = issued.expires_at_here - moment
        share = _EARLIEST + (_LATEST - _EARLIEST) * self._jitter()
        self._issued = issued
        self._had_some = True
        self._renew_at = moment + life * share
        self._good_until = issued.expires_at_here - min(_MARGIN, life / 10)

    async def _stop(self) -> None:
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError, ClientError):
                await self._running
