"""HTTP/1.1 of the stub Cognito: bytes in, bytes out, nothing that costs."""

import asyncio
import json
from typing import Any, Protocol, cast

OK, BAD, NOT_FOUND, FAULT = "200 OK", "400 Bad Request", "404 Not Found", "500 Server Error"
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_ANSWER = (
    "HTTP/1.1 {status}\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: {length}\r\n"
    "x-amzn-RequestId: 00000000-0000-4000-8000-000000000000\r\n\r\n"
)


class Upstream(Protocol):
    latency: float
    hang: bool

    def control(self, told: dict[str, Any]) -> None: ...

    def told(self) -> dict[str, int]: ...

    def answer(self, head: bytes, body: bytes) -> tuple[str, Any]: ...


class Connection(asyncio.Protocol):
    """One request after the other. It is in `all_` for as long as it is open."""

    def __init__(self, upstream: Upstream, all_: set["Connection"]) -> None:
        self._upstream = upstream
        self._all = all_
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its type
        self._all.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self._all.discard(self)

    def close(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        while (end := buffer.find(_HEAD_END)) >= 0:
            head = buffer[:end].lower()
            at = head.find(_LENGTH)
            length = int(head[at + len(_LENGTH) :].partition(b"\r")[0]) if at > 0 else 0
            start = end + len(_HEAD_END)
            if len(buffer) < start + length:
                break
            self._asked(head, buffer[start : start + length])
            buffer = buffer[start + length :]
        self._buffer = buffer

    def _asked(self, head: bytes, body: bytes) -> None:
        line = head.partition(b"\r")[0]
        if line.startswith(b"get /_counts "):
            self._say(OK, self._upstream.told())
        elif line.startswith(b"post /_control "):
            self._upstream.control(json.loads(body))
            self._say(OK, {})
        elif line.startswith(b"post / "):
            self._called(head, body)
        else:
            self._say(NOT_FOUND, {})

    def _called(self, head: bytes, body: bytes) -> None:
        upstream = self._upstream
        status, answer = upstream.answer(head, body)
        if upstream.hang:
            return
        if upstream.latency:
            loop = asyncio.get_running_loop()
            loop.call_later(upstream.latency, self._say, status, answer)
        else:
            self._say(status, answer)

    def _say(self, status: str, answer: Any) -> None:
        if not self._transport.is_closing():
            body = json.dumps(answer)
            head = _ANSWER.format(status=status, length=len(body))
            self._transport.write((head + body).encode())
