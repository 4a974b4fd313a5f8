import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from client.engine.answers import CutError, UnreachableError
from client.engine.body import Body, Source
from client.engine.local_file import LocalFile
from client.engine.pace import Pace
from client.engine.sending import Sender
from client.engine.threads import Threads
from client.engine.watchdog import Watchdog
from tests.fakes.http_stub import HttpStub

FileOf = Callable[[float], Path]
KIB = 1024


@pytest_asyncio.fixture
async def sender() -> AsyncIterator[Sender]:
    async with Sender.opened(connections=2) as opened:
        yield opened


@pytest.fixture
def told() -> list[int]:
    return []


@pytest.fixture(params=[None, 1e15], ids=["poured", "block by block"])
def source(file_of: FileOf, told: list[int], request: Any) -> Iterator[Source]:
    """A limit is what has every block pass through this process."""
    file = LocalFile.open(file_of(8 * KIB))
    with Threads(reads=2, calls=1) as threads:
        yield Source(file, threads, Pace(request.param), told.append)
    file.close()


@contextlib.asynccontextmanager
async def _server(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """With so little room that what it does not read stays with the client."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * KIB)
    listening.bind(("127.0.0.1", 0))
    server = await asyncio.start_server(talk, sock=listening)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
    finally:
        server.close()


async def test_a_store_that_stops_reading_is_given_up(sender: Sender, source: Source) -> None:
    over = asyncio.Event()

    async def never_reads(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    async with _server(never_reads) as url:
        watchdog = Watchdog(0.2)
        body = Body(source, 0, source.file.size, watchdog)
        with pytest.raises(CutError, match="nothing moved"):
            await sender.put(url, {}, body, watchdog)
        assert body.sent < source.file.size
        over.set()


async def test_what_moves_slowly_is_not_given_up(sender: Sender, source: Source) -> None:
    """It takes longer than it may stand still."""

    async def reads_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        left = source.file.size
        while left:
            left -= len(await reader.read(32 * KIB))
            await asyncio.sleep(0.012)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with _server(reads_slowly) as url:
        watchdog = Watchdog(2)
        answer = await sender.put(url, {}, Body(source, 0, source.file.size, watchdog), watchdog)
        assert answer.status == 200


async def test_what_our_own_limit_holds_up_is_not_given_up(sender: Sender, source: Source) -> None:
    async with HttpStub.serving() as stub:
        slow = replace(source, pace=Pace(4 * KIB))
        watchdog = Watchdog(1.5)  # shorter than the pauses between two blocks
        body = Body(slow, 0, 12 * KIB, watchdog)
        assert (await sender.put(stub.url, {}, body, watchdog)).status == 200


async def test_an_early_refusal_is_heard_and_the_rest_not_sent(
    sender: Sender, source: Source
) -> None:
    async def refuses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
        await writer.drain()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    async with _server(refuses) as url:
        watchdog = Watchdog(5)
        body = Body(source, 0, source.file.size, watchdog)
        answer = await sender.put(url, {}, body, watchdog)
        assert (answer.status, answer.body) == (403, b"no")
        assert body.sent < source.file.size


async def test_a_kept_connection_that_was_closed_does_not_cut_the_body_short(
    sender: Sender, source: Source, told: list[int]
) -> None:
    """aiohttp sends again by itself then: from the start, and told as one."""
    bodies: list[bytes] = []

    async def closes_after_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        bodies.append(await reader.readexactly(600 * KIB))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")  # the next one is begun, and cut
        writer.close()

    async with _server(closes_after_one) as url:
        for _ in range(2):
            watchdog = Watchdog(5)
            body = Body(source, 100, 600 * KIB, watchdog)
            assert (await sender.put(url, {}, body, watchdog)).status == 200
    assert len(bodies) == 2
    assert bodies[0] == bodies[1] == source.file.read(100, 600 * KIB)
    assert sum(told) == 2 * 600 * KIB


async def test_no_connection_is_told_as_such(sender: Sender, source: Source) -> None:
    watchdog = Watchdog(5)
    with pytest.raises(UnreachableError):
        await sender.put("http://127.0.0.1:9/x", {}, Body(source, 0, 1, watchdog), watchdog)


async def test_exactly_the_signed_address_and_headers_are_sent(
    sender: Sender, source: Source
) -> None:
    async with HttpStub.serving() as stub:
        target = "/b/a%2Fb%20%C3%BC+x?uploadId=a%2Fb%2B%3D&X-Amz-Signature=1"
        watchdog = Watchdog(5)
        headers = {"x-signed": "yes", "Content-Length": "17", "Host": "elsewhere"}
        await sender.put(stub.url + target, headers, Body(source, 3, 5, watchdog), watchdog)
        [request] = stub.requests
    assert request.target == target
    assert request.headers["x-signed"] == "yes"
    assert request.headers["content-length"] == "5"
    assert request.headers["host"] in stub.url
    assert "content-type" not in request.headers
    assert "transfer-encoding" not in request.headers
    assert request.body == source.file.read(3, 5)


async def test_a_redirect_is_not_followed(sender: Sender, source: Source) -> None:
    async def redirects(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 307 Go\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with _server(redirects) as url:
        watchdog = Watchdog(5)
        assert (await sender.put(url, {}, Body(source, 0, 1, watchdog), watchdog)).status == 307
