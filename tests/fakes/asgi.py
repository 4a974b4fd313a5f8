"""One request to a bare ASGI application, message by message."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from starlette.types import Message, Receive, Scope, Send

App = Callable[[Scope, Receive, Send], Awaitable[None]]
HANG: Message = {"type": "hang"}
LEAVE: Message = {"type": "http.disconnect"}


def body(content: bytes = b"", *, more: bool = False) -> Message:
    return {"type": "http.request", "body": content, "more_body": more}


class Call:
    """`messages` are received one by one; after them nothing comes, as from a client that waits."""

    def __init__(
        self,
        path: str = "/",
        messages: Iterable[Message] = (),
        headers: dict[str, str] | None = None,
        kind: str = "http",
        method: str = "POST",
    ) -> None:
        raw = [(name.lower().encode(), text.encode()) for name, text in (headers or {}).items()]
        self.scope: dict[str, Any] = {
            "type": kind,
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": raw,
            "client": ("192.0.2.1", 1),
        }
        self.sent: list[Message] = []
        self._messages = list(messages or [body()])

    async def to(self, app: App) -> "Call":
        await app(self.scope, self.receive, self.send)
        return self

    async def receive(self) -> Message:
        if not self._messages or self._messages[0] is HANG:
            await asyncio.Event().wait()
        return self._messages.pop(0)

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"]) if self.sent else 0

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode().lower(): text.decode() for name, text in self.sent[0]["headers"]}


async def ok(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the whole body and answers it."""
    whole = b""
    while True:
        message = await receive()
        whole += message.get("body", b"")
        if not message.get("more_body", False):
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": whole})
