"""A page that reads its user's event stream, over HTTP."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx

from tests.integration.stack import User

PATH = "/v1/events"
_PATIENCE = 120.0


@dataclass(frozen=True)
class Told:
    """An event as the standard's parser makes it of its block."""

    event: str
    id: str | None
    data: Any

    @property
    def number(self) -> int:
        assert self.id is not None
        return int(self.id)

    @property
    def upload(self) -> Any:
        """As the event shows it; empty where it is about none."""
        return self.data["data"].get("upload", {})


class EventReader:
    """For one who waits. `told` is all that came since the stream was opened, in its order, but for
    `ready`; `last_id` is what to go on after.
    """

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.ready: Told | None = None
        self.last_id: str | None = None
        self._cut = False
        self._reading: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    @classmethod
    @contextlib.asynccontextmanager
    async def reading(
        cls, url: str, user: User, *, after: str | None = None
    ) -> AsyncIterator["EventReader"]:
        """Opened, when the block begins. `after` is sent as Last-Event-ID."""
        reader = cls()
        more = {} if after is None else {"Last-Event-ID": after}
        reader._reading = asyncio.create_task(reader._read(url, user.headers | more))
        reader._reading.add_done_callback(lambda _: reader._news.set())
        try:
            await reader._until(lambda: reader.ready)
            yield reader
        finally:
            reader._reading.cancel()
            await asyncio.wait([reader._reading])

    async def hears(self, upload: Any, kind: str) -> Told:
        """The event of that kind about that upload. Raises TimeoutError."""

        def found() -> Told | None:
            return next((one for one in self.told if _is_about(one, upload, kind)), None)

        told: Told = await self._until(found)
        return told

    async def ended(self) -> Any:
        """The data of `end`, which must be the last that comes before the connection's end."""

        def found() -> Told | None:
            return next((one for one in self.told if one.event == "end"), None)

        end: Told = await self._until(found)
        await self._until(self._is_over)
        assert self.told[-1] is end
        assert not self._cut
        return end.data

    async def was_cut(self) -> bool:
        """Once the connection is over: whether it broke, instead of ending as HTTP has it."""
        await self._until(self._is_over)
        return self._cut

    def numbers(self) -> list[int]:
        return [one.number for one in self.told if one.id is not None]

    def _is_over(self) -> bool:
        return self._reading is not None and self._reading.done()

    async def _until(self, found: Callable[[], Any]) -> Any:
        async with asyncio.timeout(_PATIENCE):
            while True:
                self._news.clear()
                if result := found():
                    return result
                if self._reading is not None and self._reading.done():
                    self._reading.result()
                    raise AssertionError(f"the stream is over, after {self.told}")
                await self._news.wait()

    async def _read(self, url: str, headers: dict[str, str]) -> None:
        timeout = httpx.Timeout(_PATIENCE, read=None)
        try:
            async with (
                httpx.AsyncClient(trust_env=False, timeout=timeout) as client,
                client.stream("GET", f"{url}{PATH}", headers=headers) as answer,
            ):
                if answer.status_code != httpx.codes.OK:
                    raise AssertionError((await answer.aread()).decode())
                assert answer.headers["content-type"].startswith("text/event-stream")
                async for told in _events(answer.aiter_lines()):
                    self._take(told)
        except httpx.TransportError:
            self._cut = True

    def _take(self, told: Told) -> None:
        self.last_id = told.id or self.last_id
        if told.event == "ready":
            self.ready = told
        else:
            self.told.append(told)
        self._news.set()


def _is_about(told: Told, upload: Any, kind: str) -> bool:
    return told.event == kind and told.upload.get("id") == upload["id"]


async def _events(lines: AsyncIterator[str]) -> AsyncIterator[Told]:
    fields: dict[str, str] = {}
    async for line in lines:
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
            continue
        if "event" in fields:
            yield Told(fields["event"], fields.get("id"), json.loads(fields["data"]))
        fields = {}
