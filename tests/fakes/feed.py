"""A user's events in memory; they can be deleted, and the database can be away or slow."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from errors import UnavailableError
from service.delivery.ports import FeedEvent


class MemoryFeed:
    """Implements service.delivery.ports.EventFeed. While `open` is not set, nobody gets an answer;
    `most` is how many asked at once. `padding` makes events larger.
    """

    def __init__(self) -> None:
        self.events: dict[str, list[FeedEvent]] = defaultdict(list)
        self.numbers: dict[str, int] = defaultdict(int)
        self.open = asyncio.Event()
        self.open.set()
        self.away = False
        self.padding = ""
        self.looks = self.asking = self.most = 0

    def add(self, user_id: str = "ada", kind: str = "upload.completed") -> int:
        self.numbers[user_id] += 1
        number = self.numbers[user_id]
        self.events[user_id].append(FeedEvent(number, kind, f'{{"n":{number}}}{self.padding}'))
        return number

    def delete(self, *numbers: int, user_id: str = "ada") -> None:
        kept = [event for event in self.events[user_id] if event.sequence not in numbers]
        self.events[user_id] = kept

    async def last(self, user_id: str) -> int:
        await self._answer()
        return self.numbers[user_id]

    async def after(self, user_id: str, sequence: int, limit: int) -> Sequence[FeedEvent]:
        """As it was when it was asked."""
        found = [event for event in self.events[user_id] if event.sequence > sequence][:limit]
        await self._answer()
        return found

    async def _answer(self) -> None:
        self.looks += 1
        self.asking += 1
        self.most = max(self.most, self.asking)
        try:
            await self.open.wait()
        finally:
            self.asking -= 1
        if self.away:
            raise UnavailableError
