"""Each fault of the proxy, at an upstream that echoes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.short_folder import short_folder
from torture.proxy import Fault, FaultProxy

PATIENCE = 60


class Echo:
    """Says back what it hears, and remembers it."""

    def __init__(self) -> None:
        self.heard = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while chunk := await reader.read(65_536):
                self.heard += chunk
                writer.write(chunk)
                await writer.drain()
        writer.close()


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def say(self, content: bytes) -> None:
        self.writer.write(content)
        await self.writer.drain()

    async def hears(self, count: int) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readexactly(count)

    async def asks(self, content: bytes) -> bytes:
        await self.say(content)
        return await self.hears(len(content))

    async def end(self) -> bytes:
        """What still comes until the connection ends."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()

    async def ended(self) -> bytes:
        """The same, however it ends: what was not read yet makes a RST of a FIN."""
        try:
            return await self.end()
        except ConnectionResetError:
            return b""


class Stand:
    def __init__(self, proxy: FaultProxy, echo: Echo) -> None:
        self.proxy = proxy
        self.echo = echo
        self._clients: list[Client] = []

    async def client(self) -> Client:
        opened = Client(*await asyncio.open_connection("127.0.0.1", self.proxy.port))
        self._clients.append(opened)
        return opened

    async def turns(self) -> None:
        """What can happen without anybody's doing has then happened."""
        for _ in range(50):
            await asyncio.sleep(0)

    async def close(self) -> None:
        for client in self._clients:
            client.writer.close()
            with contextlib.suppress(ConnectionError):
                await client.writer.wait_closed()


@contextlib.asynccontextmanager
async def standing() -> AsyncIterator[Stand]:
    with short_folder("px-") as folder:
        echo, socket = Echo(), folder / "s"
        server = await asyncio.start_unix_server(echo.serve, socket)
        async with FaultProxy.serving(socket) as proxy:
            stand = Stand(proxy, echo)
            yield stand
            await stand.close()
        server.close()
        await server.wait_closed()


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    async with standing() as opened:
        yield opened


async def test_all_passes(stand: Stand) -> None:
    client = await stand.client()
    sent = bytes(range(256)) * 4096  # a MiB, many chunks
    saying = asyncio.create_task(client.say(sent))
    assert await client.hears(len(sent)) == sent
    await saying
    client.writer.write_eof()
    assert await client.end() == b""


async def test_a_tcp_upstream_too() -> None:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with FaultProxy.serving(("127.0.0.1", port)) as proxy:
        stand = Stand(proxy, echo)
        assert await (await stand.client()).asks(b"x") == b"x"
        await stand.close()
    server.close()
    await server.wait_closed()


async def test_an_upstream_that_is_away_ends_the_connection() -> None:
    async with FaultProxy.serving(Path("/nowhere")) as proxy:
        stand = Stand(proxy, Echo())
        client = await stand.client()
        await client.say(b"x")
        with pytest.raises(ConnectionResetError):
            await client.end()
        await stand.close()


async def test_cut_ends_what_is_open_and_what_is_opened_cleanly(stand: Stand) -> None:
    before = await stand.client()
    await before.asks(b"x")
    await stand.proxy.set(Fault.CUT)
    assert await before.end() == b""
    assert await (await stand.client()).end() == b""
    await stand.proxy.heal()
    assert await (await stand.client()).asks(b"y") == b"y"


async def test_reset_ends_them_by_rst(stand: Stand) -> None:
    before = await stand.client()
    await before.asks(b"x")
    await stand.proxy.set(Fault.RESET)
    with pytest.raises(ConnectionResetError):
        await before.end()
    with pytest.raises(ConnectionResetError):
        await (await stand.client()).end()


async def test_dropped_bytes_reach_nobody(stand: Stand) -> None:
    client = await stand.client()
    await client.asks(b"before")
    await stand.proxy.set(Fault.DROP)
    await client.say(b"lost")
    client.writer.write_eof()
    assert await client.end() == b""
    assert stand.echo.heard == b"before"


async def test_garbage_is_answered_and_the_upstream_hears_nothing(stand: Stand) -> None:
    await stand.proxy.set(Fault.GARBAGE)
    client = await stand.client()
    await client.say(b"HEAD / HTTP/1.1\r\n\r\n")
    first = await client.hears(1)
    assert stand.echo.heard == b""
    client.writer.write_eof()
    assert 1 <= len(first + await client.end()) <= 512


async def test_what_is_held_arrives_when_it_is_let_go(stand: Stand) -> None:
    client = await stand.client()
    await client.asks(b"before")
    await stand.proxy.set(Fault.HOLD)
    await client.say(b"held")
    # Another connection's whole way is no shorter.
    other = await stand.client()
    await other.say(b"HELD")
    await stand.turns()
    assert stand.echo.heard == b"before"
    await stand.proxy.heal()
    assert (await client.hears(4), await other.hears(4)) == (b"held", b"HELD")


async def test_a_delay_lets_all_pass_in_its_order(stand: Stand) -> None:
    stand.proxy.delay = 0.01
    client = await stand.client()
    await client.say(b"a")
    await client.say(b"b")
    assert await client.hears(2) == b"ab"


async def test_the_proxy_can_answer_itself(stand: Stand) -> None:
    stand.proxy.answers = lambda sent: b"404" if sent.startswith(b"HEAD") else None
    client = await stand.client()
    await client.say(b"HEAD /x")
    assert await client.hears(3) == b"404"
    assert await client.asks(b"GET /x") == b"GET /x"
    assert stand.echo.heard == b"GET /x"


async def test_a_tripwire_stops_everything_before_its_last_pattern(stand: Stand) -> None:
    wire = stand.proxy.arm(b"INTO inbox", b"COMMIT")
    other, client = await stand.client(), await stand.client()
    assert await other.asks(b"COMMIT") == b"COMMIT"  # in another's transaction
    assert await client.asks(b"BEGIN INSERT INTO inbox") == b"BEGIN INSERT INTO inbox"
    assert not wire.tripped
    await client.say(b"COMMIT;")
    assert await wire.wait(PATIENCE)
    await other.say(b"more")
    await stand.turns()
    await stand.proxy.discard()
    assert (await client.ended(), await other.ended()) == (b"", b"")
    await stand.turns()
    assert b"COMMIT;" not in stand.echo.heard
    assert b"more" not in stand.echo.heard
    # It was for once.
    again = await stand.client()
    assert await again.asks(b"INTO inbox COMMIT;") == b"INTO inbox COMMIT;"


async def test_a_tripwire_for_an_answer_lets_pass_what_is_answered(stand: Stand) -> None:
    wire = stand.proxy.arm(b"INTO inbox", b"COMMIT", answer=b"MMIT;")
    other, client = await stand.client(), await stand.client()
    assert await other.asks(b"COMMIT;") == b"COMMIT;"
    assert await client.asks(b"INSERT INTO inbox") == b"INSERT INTO inbox"
    assert not wire.tripped
    await client.say(b"COMMIT;")
    assert await wire.wait(PATIENCE)
    assert stand.echo.heard.endswith(b"INTO inboxCOMMIT;")
    await other.say(b"more")
    await stand.turns()
    await stand.proxy.discard()
    assert await client.ended() == b""
    assert not stand.echo.heard.endswith(b"more")


async def test_what_a_tripwire_held_goes_on_when_it_is_let_go(stand: Stand) -> None:
    wire = stand.proxy.arm(b"COMMIT")
    client = await stand.client()
    await client.say(b"COMMIT;")
    assert await wire.wait(PATIENCE)
    await stand.turns()
    assert stand.echo.heard == b""
    await stand.proxy.heal()
    assert await client.hears(7) == b"COMMIT;"


async def test_a_pattern_that_comes_in_pieces_trips_too(stand: Stand) -> None:
    wire = stand.proxy.arm(b"INTO inbox", b"COMMIT")
    client = await stand.client()
    for piece in (b"INTO in", b"box; COM"):
        await client.asks(piece)
    await client.say(b"MIT")
    assert await wire.wait(PATIENCE)


async def test_a_tripwire_that_nobody_touches_says_so(stand: Stand) -> None:
    wire = stand.proxy.arm(b"COMMIT")
    await (await stand.client()).asks(b"ROLLBACK")
    assert not await wire.wait(0.01)
