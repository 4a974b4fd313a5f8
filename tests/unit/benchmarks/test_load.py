"""The load generators, against a server whose every answer is known."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from benchmarks import raw_load
from benchmarks.burst import crowd
from benchmarks.probe import probed
from benchmarks.steady import Steady
from tests.fakes.eventually import eventually


@dataclass
class Server:
    """Answers a request for `/201` with 201 and its path; `/lost` with the end of the connection.
    `held` keeps the answers back until it is set.
    """

    port: int = 0
    connections: int = 0
    requests: list[str] = field(default_factory=list)
    held: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Server"]:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while head := await _head(reader):
            path = head.split()[1].decode()
            self.requests.append(path)
            await self.held.wait()
            if path == "/lost":
                break
            body = json.dumps(path).encode()
            # In two pieces, as the network may cut it.
            writer.write(b"HTTP/1.1 %b Any\r\nContent-Le" % path[1:4].encode())
            await writer.drain()
            writer.write(b"ngth: %d\r\n\r\n%b" % (len(body), body))
        writer.close()


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


def requests(*paths: str) -> list[bytes]:
    return [f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode() for path in paths]


def at_once() -> Server:
    server = Server()
    server.held.set()
    return server


async def test_every_answer_counts_by_its_status() -> None:
    async with at_once().running() as server:
        asked = requests("/200", "/201", "/503", "/200")
        run = await raw_load.run("127.0.0.1", server.port, asked, connections=2)
    assert run.statuses == {200: 2, 201: 1, 503: 1}
    assert len(run.took) == 3
    assert run.failures == 1
    assert sorted(run.bodies) == [b'"/200"', b'"/200"', b'"/201"']


async def test_a_crowd_asks_all_at_once_on_connections_that_are_open() -> None:
    asked = requests(*["/200"] * 20, "/lost")
    async with Server().running() as server, crowd([server.port], asked) as go:
        await eventually(lambda: server.connections == 21)
        assert not server.requests
        going = asyncio.ensure_future(go())
        await eventually(lambda: len(server.requests) == 21)
        server.held.set()
        run = await going
    assert run.told() == {"200": 20, "lost": 1}
    assert run.answered == 20


async def test_a_crowd_of_a_server_with_threads_connects_as_it_asks() -> None:
    async with (
        at_once().running() as server,
        crowd([server.port], requests("/200"), open_before=False) as go,
    ):
        assert server.connections == 0
        run = await go()
    assert run.told() == {"200": 1}


async def test_a_steady_stream_does_not_wait_for_answers() -> None:
    async with Server().running() as server:
        steady = Steady(server.port, per_second=1000)
        await steady.run(requests("/200", "/201"))
        await eventually(lambda: len(server.requests) == 2)
        assert not steady.answers
        server.held.set()
        await steady.close(within=60)
    assert {answer.status for answer in steady.answers} == {200, 201}


async def test_a_probe_that_waits_counts_all_that_were_due_meanwhile() -> None:
    async with Server().running() as server, probed(server.port, "/200", every=0.01) as seen:
        await eventually(lambda: bool(server.requests))
        await asyncio.sleep(0.3)
        server.held.set()
        await eventually(lambda: len(server.requests) > 25)
    assert seen.failures == seen.reconnects == 0
    assert seen.first_ms > 250
    assert 250 < seen.p99_ms <= seen.most_ms
    assert server.connections == 1
