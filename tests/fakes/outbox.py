"""The outbox in memory, and a receiver that says what it is told to."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from errors import UnavailableError
from service.delivery import signing
from service.delivery.ports import Answer, Delivery, Forgotten, NoAnswer, Place
from tests.fakes.clock import START

SECRET = signing.new_secret()


@dataclass(slots=True)
class Row:
    delivery: Delivery
    due_at: datetime = START
    leased_by: str | None = None
    done_at: datetime | None = None
    delivered: bool = False
    status: int | None = None
    error: str | None = None


def delivery(number: int, endpoint: str = "a", **changes: Any) -> Delivery:
    values: dict[str, Any] = {
        "id": number,
        "event_id": f"evt_{number}",
        "endpoint_id": endpoint,
        "url": f"https://{endpoint}.example/hooks/token?key=hidden",
        "secrets": (SECRET,),
        "payload": f'{{"number":{number}}}',
        "attempts": 0,
    }
    return Delivery(**{**values, **changes})


class MemoryOutbox:
    """Implements service.delivery.ports.Outbox. `unspread` deliveries are made by the next fan_out;
    while `away`, everything raises UnavailableError. `old` events can be forgotten.
    """

    def __init__(self, *deliveries: Delivery) -> None:
        self.rows = {given.id: Row(given) for given in deliveries}
        self.unspread: list[Delivery] = []
        self.disabled: dict[str, str] = {}
        self.claims = 0
        self.forgot: list[tuple[datetime, int]] = []
        self.old = 0
        self.away = False

    def _here(self) -> None:
        if self.away:
            raise UnavailableError

    async def fan_out(self, now: datetime, limit: int) -> int:
        self._here()
        chosen, self.unspread = self.unspread[:limit], self.unspread[limit:]
        self.rows |= {given.id: Row(given, due_at=now) for given in chosen}
        return len(chosen)

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
        self._here()
        self.claims += 1
        claimed: list[Delivery] = []
        taken = Counter(busy)
        for row in self.rows.values():
            endpoint = row.delivery.endpoint_id
            due = row.done_at is None and row.due_at <= now and endpoint not in self.disabled
            if due and len(claimed) < limit and taken[endpoint] < per_endpoint:
                taken[endpoint] += 1
                row.delivery = replace(row.delivery, attempts=row.delivery.attempts + 1)
                row.leased_by, row.due_at = worker, until
                claimed.append(row.delivery)
        return claimed

    async def delivered(self, delivery: Delivery, worker: str, now: datetime, status: int) -> None:
        self._end(delivery, worker, done_at=now, delivered=True, status=status, error=None)

    async def retry(
        self,
        delivery: Delivery,
        worker: str,
        now: datetime,
        *,
        due_at: datetime,
        status: int | None,
        error: str,
    ) -> None:
        self._end(delivery, worker, due_at=due_at, status=status, error=error)
        row = self.rows[delivery.id]
        row.delivery = replace(row.delivery, failures=delivery.failures + 1)

    async def give_up(
        self, delivery: Delivery, worker: str, now: datetime, *, status: int | None, error: str
    ) -> None:
        self._end(delivery, worker, done_at=now, status=status, error=error)

    async def disable(self, delivery: Delivery, now: datetime, reason: str) -> None:
        self.disabled[delivery.endpoint_id] = reason

    async def forget(
        self, before: datetime, limit: int, *, after: Place | None = None
    ) -> Forgotten:
        """Half of what is old is waited for still."""
        first = 0 if after is None else int(after[1])
        batch = min(limit, self.old - first)
        self.forgot.append((before, first))
        return Forgotten(batch // 2, (before, str(first + batch)) if batch == limit else None)

    def _end(self, delivery: Delivery, worker: str, **values: Any) -> None:
        self._here()
        row = self.rows[delivery.id]
        if (row.leased_by, row.delivery.attempts) == (worker, delivery.attempts):
            row.leased_by = None
            for name, value in values.items():
                setattr(row, name, value)


@dataclass(frozen=True, slots=True)
class Sent:
    url: str
    headers: Mapping[str, str]
    body: bytes


Told = Answer | NoAnswer | Exception | asyncio.Event | Callable[[], object]


@dataclass(slots=True)
class ScriptedSender:
    """Implements service.delivery.ports.Sender: 200, or what `script` has for the host's first
    label. An event is waited for before the 200.
    """

    script: dict[str, Told] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    at_once: Counter[str] = field(default_factory=Counter)
    most_at_once: int = 0

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer | NoAnswer:
        self.sent.append(Sent(url, dict(headers), body))
        name = str(urlsplit(url).hostname).split(".")[0]
        self.at_once[name] += 1
        self.most_at_once = max(self.most_at_once, self.at_once.total())
        try:
            return await self._answer(self.script.get(name, Answer(200)))
        finally:
            self.at_once[name] -= 1

    async def _answer(self, told: Told) -> Answer | NoAnswer:
        await asyncio.sleep(0)
        if isinstance(told, Exception):
            raise told
        if isinstance(told, asyncio.Event):
            await told.wait()
            return Answer(200)
        if isinstance(told, Answer | NoAnswer):
            return told
        told()
        return Answer(200)
