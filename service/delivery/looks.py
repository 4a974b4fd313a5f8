"""The streams' reading of the database, a few at a time.

Thousands of streams may want to look at once (after a deployment, or when the replicas' news may
have been lost): they must not take the connections that requests wait for.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from errors import UnavailableError
from service.delivery.ports import EventFeed, FeedEvent

_AT_ONCE = 4
_OPENING_SECONDS = 10.0
_Found = TypeVar("_Found")


class Looks:
    """All of it raises UnavailableError."""

    def __init__(self, feed: EventFeed) -> None:
        self._feed = feed
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def last(self, user_id: str) -> int:
        """Somebody waits for an answer: not for its turn without end."""
        return await self._one(partial(self._feed.last, user_id), _OPENING_SECONDS)

    async def after(self, user_id: str, sequence: int, limit: int) -> Sequence[FeedEvent]:
        return await self._one(partial(self._feed.after, user_id, sequence, limit), None)

    async def _one(self, look: Callable[[], Awaitable[_Found]], seconds: float | None) -> _Found:
        try:
            async with asyncio.timeout(seconds):
                await self._places.acquire()
        except TimeoutError:
            raise UnavailableError("Too many streams look at once", retry_after=2) from None
        # A client that leaves must not break off a query: that would cost its connection. The query
        # keeps its place until it ends.
        looking = asyncio.ensure_future(look())
        looking.add_done_callback(self._ended)
        return await asyncio.shield(looking)

    def _ended(self, looking: asyncio.Future[Any]) -> None:
        self._places.release()
        if not looking.cancelled():
            looking.exception()  # may have outlived who asked
