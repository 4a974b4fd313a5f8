"""A page that reads an event stream, message by message: it can leave, and it can take nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.types import Message

from tests.fakes.asgi import LEAVE, App, body

PATH = "/v1/events"


@dataclass(frozen=True)
class Event:
    """As the standard's parser makes it of its block. A comment has nothing but `comment`."""

    event: str | None = None
    id: str | None = None
    data: str | None = None
    retry: str | None = None
    comment: str | None = None


def parsed(block: str) -> Event:
    fields: dict[str, str] = {}
    for line in block.split("\n"):
        name, _, value = line.partition(":")
        fields[name or "comment"] = value.removeprefix(" ")
    return Event(**fields)


class Page:
    """`taking` is cleared for a page that takes nothing: the server's sending blocks then."""

    def __init__(self, headers: dict[str, str], method: str = "GET", **scope: Any) -> None:
        raw = [(name.lower().encode(), text.encode()) for name, text in headers.items()]
        self.scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": PATH,
            "raw_path": PATH.encode(),
            "query_string": b"",
            "headers": raw,
            "client": ("192.0.2.1", 1),
            "state": {},
            **scope,
        }
        self.sent: list[Message] = []
        self.taking = asyncio.Event()
        self.taking.set()
        self._more = asyncio.Event()
        self._gone = asyncio.Event()
        self._asked = False
        self._read = ""
        self._taken = 0

    async def receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return body()
        await self._gone.wait()
        return LEAVE

    async def send(self, message: Message) -> None:
        await self.taking.wait()
        self.sent.append(message)
        self._more.set()

    def leave(self) -> None:
        self._gone.set()

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode().lower(): text.decode() for name, text in self.sent[0]["headers"]}

    @property
    def content(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def ended(self) -> bool:
        return bool(self.sent) and self.sent[-1].get("more_body") is False

    async def next(self, many: int = 1) -> list[Event]:
        """The next so many, comments among them."""
        async with asyncio.timeout(60):
            while self._waiting().count("\n\n") < many:
                self._more.clear()
                await self._more.wait()
        blocks = self._waiting().split("\n\n")[:many]
        self._taken += sum(len(block) + 2 for block in blocks)
        return [parsed(block) for block in blocks]

    def _waiting(self) -> str:
        return self.content.decode()[self._taken :]

    async def answered(self) -> None:
        async with asyncio.timeout(60):
            while not self.sent:
                self._more.clear()
                await self._more.wait()


@asynccontextmanager
async def opened(app: App, page: Page) -> AsyncIterator["asyncio.Task[None]"]:
    """The request under way; ended at the end, if it has not ended by then."""

    async def call() -> None:
        await app(page.scope, page.receive, page.send)

    task = asyncio.create_task(call())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
