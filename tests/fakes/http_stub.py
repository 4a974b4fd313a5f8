"""A real HTTP server on loopback that answers what it is told, well or badly.

Written on sockets: what it must do (cut an answer off, never answer) no framework allows.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Request:
    """Header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    """`promised` bytes of body are announced (None: as many as are sent); with `hang` no byte
    is ever sent.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    promised: int | None = None
    hang: bool = False


Answer = Reply | Callable[[Request], Reply]


class HttpStub:
    """Answers `script` one by one, then `answer` for ever. Keeps every request."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.script: list[Answer] = []
        self.requests: list[Request] = []
        self.url = ""
        self._talks: set[asyncio.Task[None]] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def serving(cls, answer: Answer | None = None) -> AsyncIterator["HttpStub"]:
        stub = cls(answer or Reply())
        server = await asyncio.start_server(stub._talk, "127.0.0.1", 0)
        stub.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield stub
        finally:
            server.close()
            for talk in stub._talks:
                talk.cancel()
            await asyncio.gather(*stub._talks, return_exceptions=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.current_task()
        assert talk is not None
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)
        try:
            # A client that leaves is its own affair, and a cancelled talk must end quietly.
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._one(reader, writer)
        except asyncio.CancelledError:
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await _read(reader)
        self.requests.append(request)
        told = self.script.pop(0) if self.script else self.answer
        reply = told(request) if callable(told) else told
        if reply.hang:
            await asyncio.Event().wait()
        length = len(reply.body) if reply.promised is None else reply.promised
        headers = {"Content-Length": str(length), "Connection": "close", **reply.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        body = b"" if request.method == "HEAD" else reply.body
        writer.write(f"HTTP/1.1 {reply.status} Stub\r\n{head}\r\n".encode() + body)
        await writer.drain()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    pairs = (line.split(":", 1) for line in head[1:] if line)
    headers = {name.lower(): value.strip() for name, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, target, headers, body)
