"""Clients that cost little: sockets, and bodies that are sent from one buffer that all share."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

_PIECE = 64 * 1024


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    def expect(self, *statuses: int) -> "Answer":
        if self.status not in statuses:
            raise RuntimeError(f"answered {self.status}: {self.content[:500]!r}")
        return self


class Line:
    """One kept connection. `sent` counts the bytes that went over it."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._loop = asyncio.get_running_loop()
        self._read = b""
        self.sent = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def to(cls, port: int) -> AsyncIterator["Line"]:
        with socket.socket() as connection:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
            yield cls(connection)

    async def ask(
        self,
        method: str,
        path: str,
        *pieces: bytes | memoryview,
        headers: Mapping[str, str] | None = None,
        asks_first: bool = False,
    ) -> Answer:
        """`asks_first`: the body is sent only when the server wants it (RFC 9110, 10.1.1)."""
        length = sum(len(piece) for piece in pieces)
        lines = {"Host": "127.0.0.1", "Content-Length": str(length), **(headers or {})}
        if asks_first:
            lines["Expect"] = "100-continue"
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        await self._send(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode())
        if asks_first:
            answer = await self._answer()
            if answer.status != 100:  # noqa: PLR2004
                return answer
        for piece in pieces:
            await self._send(piece)
        return await self._answer()

    async def ask_json(self, path: str, body: Any, headers: Mapping[str, str]) -> Answer:
        more = {**headers, "Content-Type": "application/json"}
        return await self.ask("POST", path, json.dumps(body).encode(), headers=more)

    async def _send(self, piece: bytes | memoryview) -> None:
        await self._loop.sock_sendall(self._socket, piece)
        self.sent += len(piece)

    async def _answer(self) -> Answer:
        while b"\r\n\r\n" not in self._read:
            await self._receive()
        head, _, self._read = self._read.partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        lines = (line.partition(":") for line in rest)
        headers = {name.lower(): value.strip() for name, _, value in lines}
        length = int(headers.get("content-length", 0))
        while len(self._read) < length:
            await self._receive()
        content, self._read = self._read[:length], self._read[length:]
        return Answer(int(first.split()[1]), headers, content)

    async def _receive(self) -> None:
        piece = await self._loop.sock_recv(self._socket, _PIECE)
        if not piece:
            raise ConnectionError("the server has closed the connection")
        self._read += piece
