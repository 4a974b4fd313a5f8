"""A page that listens: the events of its user, as they come."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx

from torture.replica import Replica
from torture.world import Person

_OPEN_SECONDS = 120.0


@dataclass
class Page:
    """`heard` are the numbers of the events, in the order in which they came."""

    heard: list[int] = field(default_factory=list)
    ended: str | None = None
    _ready: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    @contextlib.asynccontextmanager
    async def listening(cls, replica: Replica, person: Person) -> AsyncIterator["Page"]:
        """To one stream, which is not opened again."""
        page = cls()
        reading = asyncio.create_task(page._read(replica, person))
        try:
            await page._opened(reading)
            yield page
        finally:
            reading.cancel()
            await asyncio.wait([reading])

    async def _opened(self, reading: "asyncio.Task[None]") -> None:
        """Raises what kept it from opening."""
        ready = asyncio.create_task(self._ready.wait())
        await asyncio.wait(
            [ready, reading], timeout=_OPEN_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        ready.cancel()
        if reading.done():
            reading.result()
        if not self._ready.is_set():
            raise RuntimeError("no stream was opened")

    async def _read(self, replica: Replica, person: Person) -> None:
        timeout = httpx.Timeout(_OPEN_SECONDS, read=None)
        async with (
            httpx.AsyncClient(trust_env=False, timeout=timeout) as client,
            client.stream(
                "GET", f"{replica.service.url}/v1/events", headers=person.headers
            ) as answer,
        ):
            answer.raise_for_status()
            fields: dict[str, str] = {}
            async for line in answer.aiter_lines():
                name, _, value = line.partition(":")
                if line:
                    fields[name] = value.strip()
                    continue
                self._take(fields)
                fields = {}

    def _take(self, fields: dict[str, str]) -> None:
        kind = fields.get("event")
        if kind == "ready":
            self._ready.set()
        elif kind == "end":
            self.ended = fields.get("data")
        elif kind is not None and "id" in fields:
            self.heard.append(int(fields["id"]))
