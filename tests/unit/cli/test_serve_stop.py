"""A server that stops loses no request that was sent to it: on real sockets, in one process."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator
from typing import Any, Self

import pytest
from starlette.types import Receive, Scope, Send

from cli import serve
from cli.http_protocol import BoundedHttpProtocol
from cli.serve import DrainingServer
from settings import HttpSettings
from tests.fakes.asgi import App
from tests.fakes.eventually import eventually

HEAD = b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n"
REQUEST = HEAD + b"\r\nhello"
BIG = b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 40000000\r\n\r\n"


async def hello(_scope: Scope, receive: Receive, send: Send) -> None:
    """Once the whole request is there."""
    while (await receive()).get("more_body"):
        pass
    headers: list[Any] = [(b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})


class Client:
    """A plain socket: it sends without a turn of the server's loop."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setblocking(False)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    async def until(self, end: bytes) -> bytes:
        found = b""
        async with asyncio.timeout(60):
            while not found.endswith(end):
                data = await self._some()
                assert data, found
                found += data
        return found

    async def rest(self) -> bytes:
        """All that comes until the server has closed. Raises ConnectionResetError."""
        found = b""
        async with asyncio.timeout(60):
            while data := await self._some():
                found += data
        return found

    async def _some(self) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self.socket, 65_536)


class House:
    """A server that holds its answers back while `go` is not set."""

    def __init__(self, app: App = hello, **values: Any) -> None:
        self._app = app
        self.go = asyncio.Event()
        self.go.set()
        self.asked = asyncio.Event()
        http = HttpSettings.model_validate({"port": 0, **values})
        config = serve._config(http, self._answer)
        config.lifespan, config.interface = "off", "asgi3"
        self.server = DrainingServer(config, lambda: None, drain_seconds=3600)
        self._clients: list[Client] = []
        self._ending: asyncio.Task[None] | None = None

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.set()
        await self.go.wait()
        await self._app(scope, receive, send)

    def client(self) -> Client:
        """Connected, as far as the system is concerned."""
        client = Client(self.port)
        self._clients.append(client)
        return client

    async def kept(self) -> Client:
        """One whose connection has served already."""
        client = self.client()
        client.send(REQUEST)
        assert b"connection: close" not in await client.until(b"hello")
        return client

    def end(self) -> asyncio.Task[None]:
        """Begins with the next turn of the loop."""
        self.server.should_exit = True
        self._ending = asyncio.create_task(self.server.shutdown())
        return self._ending

    async def __aenter__(self) -> Self:
        self.server.config.load()
        self.server.lifespan = self.server.config.lifespan_class(self.server.config)
        await self.server.startup()
        self.port = self.server.servers[0].sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.go.set()
        for client in self._clients:
            client.socket.close()
        await (self._ending or self.end())


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with House() as running:
        yield running


def _is_last(answer: bytes) -> bool:
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    assert answer.endswith(b"hello"), answer
    return b"connection: close\r\n" in answer


async def test_a_request_that_lies_unread_on_a_kept_connection_is_answered(house: House) -> None:
    client = await house.kept()
    client.send(REQUEST)
    house.end()
    assert _is_last(await client.rest())


async def test_a_connection_that_was_not_yet_accepted_is_served(house: House) -> None:
    clients = [house.client() for _ in range(50)]
    for client in clients:
        client.send(REQUEST)
    house.end()
    assert all([_is_last(await client.rest()) for client in clients])


async def test_nobody_connects_after_the_end_has_begun(house: House) -> None:
    await house.end()
    with pytest.raises(ConnectionRefusedError):
        house.client()


async def test_a_request_of_which_a_part_has_come_is_waited_for(house: House) -> None:
    client, fresh = await house.kept(), house.client()
    for one in (client, fresh):
        one.send(HEAD)
    ending = house.end()
    await asyncio.sleep(2 * BoundedHttpProtocol.quiet_seconds)  # an idle one would be gone
    assert not ending.done()
    for one in (client, fresh):
        one.send(b"\r\nhe")
    await eventually(house.asked.is_set)
    for one in (client, fresh):
        one.send(b"llo")
        assert _is_last(await one.rest())


async def test_what_is_being_answered_is_answered_and_told_to_be_the_last(house: House) -> None:
    house.go.clear()
    client = house.client()
    client.send(REQUEST)
    await house.asked.wait()
    house.end()
    await eventually(lambda: house.server.draining)
    house.go.set()
    assert _is_last(await client.rest())


async def test_who_could_not_be_told_may_still_send_the_next() -> None:
    """The head of the first answer was on its way before the end began."""
    go = asyncio.Event()

    async def slow(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        headers: list[Any] = [(b"content-length", b"5")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await go.wait()
        await send({"type": "http.response.body", "body": b"hello"})

    async with House(slow) as house:
        client = house.client()
        client.send(REQUEST)
        assert b"connection: close" not in await client.until(b"\r\n\r\n")
        house.end()
        await eventually(lambda: house.server.draining)
        go.set()
        assert await client.until(b"hello") == b"hello"
        client.send(REQUEST)
        assert _is_last(await client.rest())


async def test_idle_connections_end_cleanly(house: House) -> None:
    clients = [await house.kept(), house.client()]
    await house.end()
    assert [await client.rest() for client in clients] == [b"", b""]


async def test_a_drain_tells_each_client_to_come_back_on_another_connection(house: House) -> None:
    kept, idle = await house.kept(), await house.kept()
    house.go.clear()
    begun = house.client()
    begun.send(REQUEST)
    house.asked.clear()
    await house.asked.wait()
    house.server.draining = True
    house.server._announce_close()
    house.go.set()
    assert _is_last(await begun.rest())
    for counter in (10, 0):  # the headers are made anew with the time
        await house.server.on_tick(counter)
        kept = kept if counter else house.client()
        kept.send(REQUEST)
        assert _is_last(await kept.rest())
    idle.send(REQUEST)
    assert _is_last(await idle.rest())


async def _refuse(_scope: Scope, _receive: Receive, send: Send) -> None:
    headers: list[Any] = [(b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": b"large"})


async def test_an_early_answer_is_not_lost_to_the_rest_of_the_body() -> None:
    """Closed with input unread, the connection would be reset, and the answer with it."""
    async with House(_refuse) as house:
        house.server._announce_close()
        reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
        writer.write(BIG + b"x" * 4_000_000)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(writer.drain(), 0.2)
        assert (await asyncio.wait_for(reader.read(), 60)).endswith(b"large")
        writer.close()


async def test_a_request_that_came_while_the_loop_was_busy_is_read_before_an_idle_end() -> None:
    """Timers come before input."""
    async with House(keep_alive_seconds=1) as house:
        client = await house.kept()
        [connection] = house.server.server_state.connections
        assert isinstance(connection, BoundedHttpProtocol)
        connection.timeout_keep_alive_handler()  # its time is over
        client.send(REQUEST)
        assert (await client.until(b"hello")).startswith(b"HTTP/1.1 200 ")


async def test_a_signal_in_the_middle_of_a_line_that_is_being_written_ends_it_all_the_same(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its handler runs within that write, and may not write itself."""

    def reentrant(*_: object, **__: object) -> None:
        raise RuntimeError("reentrant call inside <_io.BufferedWriter name='<stderr>'>")

    house.server._drain_seconds = 0
    with monkeypatch.context() as patch:
        patch.setattr("typer.echo", reentrant)
        house.server.handle_exit(signal.SIGTERM, None)
    await eventually(lambda: house.server.should_exit)
