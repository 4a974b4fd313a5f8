"""`python -m benchmarks.probe PORT PATH EVERY`: how long one light call takes while others are
served.

A process of its own with blocking sockets, as the load is busy. It asks every so many seconds on
one kept connection until its standard input ends, and then prints what it saw. What counts is the
time since a call was due: one that is late delays those behind it, and they count as late, too.
"""

import contextlib
import json
import math
import os
import select
import socket
import statistics
import sys
import time
from asyncio import create_subprocess_exec, subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_LONGEST = 120.0
_FEW = 2


@dataclass
class Seen:
    """`failures` are other answers than 200. `connect_ms` and `first_ms` are
    the connection itself and the first answer on it; `p99_from_sending_ms` counts none for being
    sent late; `reconnects`: the server has closed it meanwhile.
    """

    calls: int = 0
    failures: int = 0
    reconnects: int = 0
    connect_ms: float = 0
    first_ms: float = 0
    median_ms: float = 0
    p99_ms: float = 0
    p99_from_sending_ms: float = 0
    most_ms: float = 0


@asynccontextmanager
async def probed(port: int, path: str = "/livez", *, every: float = 0.01) -> AsyncIterator[Seen]:
    """It connects on entering, and is complete when the context ends."""
    process = await create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.probe", str(port), path, str(every)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    if process.stdout is None:
        raise RuntimeError("no pipe")
    await process.stdout.readline()  # it has started, and connects now
    seen = Seen()
    try:
        yield seen
    finally:
        told, _ = await process.communicate(b"")  # which closes its input
    for name, value in json.loads(told).items():
        setattr(seen, name, value)


class Probe:
    def __init__(self, port: int, path: str) -> None:
        self._port = port
        self._request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
        self._socket = socket.socket()
        self.seen = Seen()
        self.took: list[float] = []
        self.from_sending: list[float] = []

    def connect(self) -> float:
        self._socket.close()
        began = time.perf_counter()
        self._socket = socket.create_connection(("127.0.0.1", self._port), _LONGEST)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return (time.perf_counter() - began) * 1000

    def ask(self, due: float) -> None:
        """Once more on a new connection where the server has closed this one."""
        self.seen.calls += 1
        sent = time.perf_counter()
        try:
            answered = self._answered()
        except ConnectionError:
            self.seen.reconnects += 1
            self.connect()
            answered = self._answered()
        self.seen.failures += not answered
        now = time.perf_counter()
        self.took.append((now - due) * 1000)
        self.from_sending.append((now - sent) * 1000)

    def _answered(self) -> bool:
        """Whether with 200. It does not wait longer than it is to go on."""
        self._socket.sendall(self._request)
        data = b""
        while self._socket in select.select([self._socket, sys.stdin], [], [])[0]:
            piece = self._socket.recv(65_536)
            if not piece:
                raise ConnectionError
            data += piece
            head, end, body = data.partition(_HEAD_END)
            if end and len(body) >= int(head.lower().partition(_LENGTH)[2].split(b"\r", 1)[0] or 0):
                return head.split(b" ", 2)[1] == b"200"
        return True

    def told(self) -> Seen:
        seen, took = self.seen, self.took
        if len(self.from_sending) >= _FEW:
            seen.first_ms, seen.most_ms = took[0], max(took)
            seen.median_ms = statistics.median(took)
            seen.p99_ms, seen.p99_from_sending_ms = _p99(took), _p99(self.from_sending)
        return seen


def _p99(took: list[float]) -> float:
    return statistics.quantiles(took, n=100, method="inclusive")[98]


def run(port: int, path: str, every: float) -> Seen:
    probe = Probe(port, path)
    print("started", flush=True)
    probe.seen.connect_ms = probe.connect()
    due = time.perf_counter()
    while True:
        left = max(0.0, due - time.perf_counter())
        if select.select([sys.stdin], [], [], left)[0]:
            probe.took += late(due, time.perf_counter(), every)
            return probe.told()
        probe.ask(due)
        due += every


def late(due: float, now: float, every: float) -> list[float]:
    """Milliseconds that those calls have waited by now which were due and could not be made."""
    return [(now - due - at * every) * 1000 for at in range(math.ceil((now - due) / every))]


def main() -> int:
    # It shares its core with the load, and must not wait for it.
    with contextlib.suppress(PermissionError):
        os.nice(-10)
    print(json.dumps(vars(run(int(sys.argv[1]), sys.argv[2], float(sys.argv[3])))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
