"""A bus in memory, which can be cut and come back."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

from errors import UnavailableError


class MemoryBus:
    """Implements service.delivery.ports.Bus, for one replica; `others` are those of the rest."""

    def __init__(self, *others: "MemoryBus") -> None:
        self.others = list(others)
        for other in others:
            other.others.append(self)
        self.published: list[set[str]] = []
        self.away = False
        self.fault: Exception | None = None
        self.entered = 0
        self._inboxes: set[asyncio.Queue[str | None]] = set()

    async def publish(self, user_ids: Collection[str]) -> None:
        if self.fault is not None:
            raise self.fault
        if self.away:
            raise UnavailableError
        self.published.append(set(user_ids))
        for other in self.others:
            for user_id in user_ids:
                other.hear(user_id)

    def hear(self, user_id: str) -> None:
        for inbox in self._inboxes:
            inbox.put_nowait(user_id)

    def cut(self) -> None:
        self.away = True
        for inbox in self._inboxes:
            inbox.put_nowait(None)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[AsyncIterator[str]]:
        if self.away:
            raise UnavailableError
        inbox: asyncio.Queue[str | None] = asyncio.Queue()
        self._inboxes.add(inbox)
        self.entered += 1
        try:
            yield self._heard(inbox)
        finally:
            self._inboxes.discard(inbox)

    @staticmethod
    async def _heard(inbox: "asyncio.Queue[str | None]") -> AsyncIterator[str]:
        while (user_id := await inbox.get()) is not None:
            yield user_id
        raise UnavailableError
