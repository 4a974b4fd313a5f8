"""One kept HTTP/1.1 connection that costs little: a request's bytes in, its answer out."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
LOST = 0
"""Status of a request whose connection ended before its answer, or could not be made."""


@dataclass(slots=True)
class Answer:
    """`began` and `ended` by time.perf_counter."""

    status: int
    head: bytes
    body: bytes
    began: float
    ended: float

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    def has(self, header: bytes) -> bool:
        """By its name in small letters."""
        return b"\r\n" + header + b":" in self.head.lower()


def statuses(answers: Iterable[Answer]) -> Counter[int]:
    return Counter(answer.status for answer in answers)


class Connection(asyncio.Protocol):
    """Answers have a Content-Length. One request at a time."""

    def __init__(self) -> None:
        self._buffer = b""
        self.answer: asyncio.Future[Answer] | None = None
        self._began = 0.0
        self.open = False

    @classmethod
    async def made(cls, port: int) -> "Connection":
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(cls, "127.0.0.1", port))[1]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its type
        self.open = True

    def ask(self, request: bytes) -> asyncio.Future[Answer]:
        """Its answer, or one with the status LOST; never raises."""
        self.answer = answer = asyncio.get_running_loop().create_future()
        self._began = time.perf_counter()
        if self.open:
            self._transport.write(request)
        else:
            self._done(LOST, b"", b"")
        return answer

    def close(self) -> None:
        if self.open:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer = self._buffer + data if self._buffer else data
        end = buffer.find(_HEAD_END)
        if end < 0:
            return
        at = buffer.lower().find(_LENGTH, 0, end)
        length = int(buffer[at + len(_LENGTH) : buffer.find(b"\r", at)]) if at > 0 else 0
        start = end + len(_HEAD_END)
        if len(buffer) - start < length:
            return
        self._buffer = b""
        self._done(int(buffer[9:12]), buffer[:end], buffer[start:])

    def connection_lost(self, _error: Exception | None) -> None:
        self.open = False
        self._done(LOST, b"", b"")

    def _done(self, status: int, head: bytes, body: bytes) -> None:
        if self.answer is not None and not self.answer.done():
            now = time.perf_counter()
            self.answer.set_result(Answer(status, head, body, self._began, now))
