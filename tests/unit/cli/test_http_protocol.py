"""What comes before a body is bounded: the protocol under a real uvicorn, on a loopback port."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from typing import Any, Self

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from cli.http_protocol import BoundedHttpProtocol
from routers.event_stream import ABORT, PATIENCE
from routers.problems import MEDIA_TYPE, Problem
from tests.fakes.asgi import App, ok
from tests.fakes.eventually import eventually

HUGE = 512 * 1024
MANY = BoundedHttpProtocol.most_headers + 1
POST = b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n%b"
CHUNKED = b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"


def post(body: bytes) -> bytes:
    return POST % (len(body), body)


class Wire:
    """One connection. Nothing here waits for longer than a minute."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        # A server that has refused may have gone already; what it answered can still be read.
        with contextlib.suppress(ConnectionError):
            self._writer.write(data)
            await asyncio.wait_for(self._writer.drain(), 60)

    async def rest(self) -> bytes:
        return await asyncio.wait_for(self._reader.read(), 60)

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers, body."""
        async with asyncio.timeout(60):
            status, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in lines if line)
            body = b""
            if "content-length" in headers:
                body = await self._reader.readexactly(int(headers["content-length"]))
            else:
                while (size := int(await self._reader.readline(), 16)) > 0:
                    body += (await self._reader.readexactly(size + 2))[:-2]
                await self._reader.readline()
        return int(status.split()[1]), headers, body

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


class House:
    """A server whose answers can be held back."""

    def __init__(
        self, protocol: type[BoundedHttpProtocol], *, app: App = ok, idle_seconds: int = 75
    ) -> None:
        self._app = app
        self.go = asyncio.Event()
        self.go.set()
        self.asked = asyncio.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(
            self._answer,
            http=protocol,
            ws="none",
            interface="asgi3",
            lifespan="off",
            log_config=None,
            timeout_keep_alive=idle_seconds,
        )
        self.server = uvicorn.Server(config)
        self._stack = contextlib.AsyncExitStack()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked.set()
        await self.go.wait()
        await self._app(scope, receive, send)

    async def wire(self) -> Wire:
        # The listener takes connections before the server does.
        wire = Wire(*await asyncio.open_connection(*self._listener.getsockname()))
        self._stack.push_async_callback(wire.close)
        return wire

    async def __aenter__(self) -> Self:
        self.server.capture_signals = contextlib.nullcontext  # type: ignore[assignment]
        self._serving = asyncio.create_task(self.server.serve(sockets=[self._listener]))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.go.set()
        await self._stack.aclose()
        self.server.should_exit = True
        await self._serving


class Hasty(BoundedHttpProtocol):
    head_seconds = 0.6


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with House(BoundedHttpProtocol) as running:
        yield running


@pytest.fixture
async def hasty() -> AsyncIterator[House]:
    async with House(Hasty) as running:
        yield running


async def test_requests_follow_each_other_on_one_connection(house: House) -> None:
    wire = await house.wire()
    for number in range(10):
        await wire.send(post(b"%d" % number))
        assert (await wire.answer())[::2] == (200, b"%d" % number)


async def test_pipelined_requests_are_answered_in_turn(house: House) -> None:
    wire = await house.wire()
    bodies = [b"%d" % number * 5000 for number in range(10, 60)]
    await wire.send(b"".join(map(post, bodies)))
    for body in bodies:
        assert (await wire.answer())[::2] == (200, body)


@pytest.mark.parametrize("size", [HUGE, 8 * HUGE])
async def test_a_big_body_after_a_small_head_is_no_concern_of_the_bounds(
    house: House, size: int
) -> None:
    wire = await house.wire()
    chunks = b"".join(b"1\r\n%b\r\n" % bytes([65 + n % 26]) for n in range(50_000))
    for request, length in ((post(b"x" * size), size), (CHUNKED + chunks + b"0\r\n\r\n", 50_000)):
        sending = asyncio.create_task(wire.send(request))
        status, _, body = await wire.answer()
        await sending
        assert (status, len(body)) == (200, length)


async def test_a_head_within_the_bounds_passes_in_whatever_pieces(house: House) -> None:
    wire = await house.wire()
    headers = b"".join(b"X-%d: %b\r\n" % (n, b"v" * 300) for n in range(190))
    for cut in (1, 4000, 40_000):
        request = b"GET /%b HTTP/1.1\r\nHost: t\r\n%b\r\n" % (b"p" * 2000, headers)
        await wire.send(request[:cut])
        await wire.send(request[cut:])
        assert (await wire.answer())[0] == 200


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nX: " + b"v" * HUGE,
        b"GET / HTTP/1.1\r\n" + b"n" * HUGE,
        b"GET / HTTP/1.1\r\nX:" + b" " * HUGE,
        b"GET / HTTP/1.1\r\n"
        + b"X: 1\r\n" * (MANY + 1),  # one is known to be over when the next begins
        b"GET / HTTP/1.1\r\n" + b"X: 1\r\n" * MANY + b"\r\n",
        b"GET / HTTP/1.1\r\n" + (b"X: " + b"v" * 4000 + b"\r\n") * 100,
        b"GET /" + b"p" * HUGE,
        b"\r\n" * HUGE,
    ],
    ids=["value", "name", "blanks", "many", "many complete", "sum", "request line", "nothing"],
)
async def test_a_head_beyond_the_bounds_is_refused(house: House, head: bytes) -> None:
    wire = await house.wire()
    await wire.send(post(b"first"))
    assert (await wire.answer())[0] == 200
    await wire.send(head)
    status, headers, body = await wire.answer()
    assert (status, headers["content-type"], headers["connection"]) == (431, MEDIA_TYPE, "close")
    assert headers["cache-control"] == "no-store"
    problem = Problem.model_validate_json(body)
    assert (problem.status, problem.code) == (431, "headers_too_large")
    assert problem.model_dump(exclude_none=True) == json.loads(body)
    assert await wire.rest() == b""


async def test_a_client_that_goes_on_sending_is_let_go(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.http_protocol._LINGER_SECONDS", 0.05)
    wire = await house.wire()
    await wire.send(b"GET / HTTP/1.1\r\nX: " + b"v" * HUGE)
    assert (await wire.answer())[0] == 431
    await eventually(lambda: not house.server.server_state.connections)


async def test_no_refusal_is_written_into_an_answer(house: House) -> None:
    house.go.clear()
    wire = await house.wire()
    await wire.send(post(b"first"))
    await house.asked.wait()
    await wire.send(b"GET / HTTP/1.1\r\nX: " + b"v" * HUGE)
    await wire.send(b"more")
    house.go.set()
    assert (await wire.answer())[::2] == (200, b"first")
    assert await wire.rest() == b""


@pytest.mark.parametrize(
    "end", [b"0\r\nX: " + b"v" * HUGE, b"0\r\n" + b"X: 1\r\n" * MANY, b"1;x=" + b"v" * HUGE]
)
async def test_trailers_and_chunk_sizes_are_bounded_too(house: House, end: bytes) -> None:
    wire = await house.wire()
    await wire.send(CHUNKED)
    await house.asked.wait()
    await wire.send(end)
    [protocol] = house.server.server_state.connections
    assert isinstance(protocol, BoundedHttpProtocol)
    await eventually(lambda: protocol._refused)
    assert len(protocol.headers) <= protocol.most_headers


async def test_garbage_is_still_called_so(house: House) -> None:
    wire = await house.wire()
    await wire.send(b"\x00\x01\r\n\r\n")
    assert (await wire.rest()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("start", [b"G", b"GET / HTTP/1.1\r\nHost: t\r\nX: ", b"\r\n"])
async def test_a_head_that_does_not_end_is_cut(hasty: House, start: bytes) -> None:
    fresh, used = await hasty.wire(), await hasty.wire()
    await used.send(post(b"first"))
    assert (await used.answer())[0] == 200
    for wire in (fresh, used):
        await wire.send(start)
        assert await wire.rest() == b""


async def test_a_head_that_came_beside_an_answer_has_its_time_after_it(hasty: House) -> None:
    hasty.go.clear()
    wire = await hasty.wire()
    await wire.send(post(b"first") + b"GET / HT")
    await hasty.asked.wait()
    await _cut(hasty)
    hasty.go.set()
    assert (await wire.answer())[::2] == (200, b"first")
    assert await wire.rest() == b""


async def test_time_runs_for_heads_only(hasty: House) -> None:
    """A slow body has a bound of its own, and an idle connection too."""
    idle, sending = await hasty.wire(), await hasty.wire()
    await idle.send(post(b"first"))
    assert (await idle.answer())[0] == 200
    await sending.send(post(b"hello")[:-2])
    await hasty.asked.wait()
    await _cut(hasty)
    await idle.send(post(b"again"))
    await sending.send(b"lo")
    assert (await idle.answer())[::2] == (200, b"again")
    assert (await sending.answer())[::2] == (200, b"hello")


async def test_the_rest_of_a_body_that_was_refused_is_not_waited_for() -> None:
    async def refuse(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers: list[Any] = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async with House(Hasty, app=refuse) as house:
        wire = await house.wire()
        await wire.send(post(b"x" * 1000)[:-500])
        assert (await wire.answer())[0] == 413
        await wire.send(b"x")
        assert await wire.rest() == b""


async def test_a_connection_on_which_nothing_comes_is_closed_as_idle() -> None:
    async with House(BoundedHttpProtocol, idle_seconds=0) as house:
        assert await (await house.wire()).rest() == b""


async def test_no_timer_outlives_its_connection(house: House) -> None:
    wire = await house.wire()
    await wire.send(b"GET ")
    connections = house.server.server_state.connections
    await eventually(lambda: any(getattr(one, "_deadline", None) for one in connections))
    [protocol] = connections
    assert isinstance(protocol, BoundedHttpProtocol)
    await wire.close()
    await eventually(lambda: not connections)
    assert (protocol._deadline, protocol.timeout_keep_alive_task) == (None, None)


async def _cut(hasty: House) -> None:
    """Returns when a deadline that was set after all others has passed."""
    slow = await hasty.wire()
    await slow.send(b"GET ")
    assert await slow.rest() == b""


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="an option of Linux")
async def test_an_answer_can_limit_how_long_its_client_may_be_out_of_reach() -> None:
    set_to: list[int] = []

    async def limiting(scope: Scope, receive: Receive, send: Send) -> None:
        extensions: Any = scope["extensions"]
        extensions["uploadgate.patience"](1.5)
        (connection,) = served.server.server_state.connections
        server_side: Any = connection
        taken = server_side.transport.get_extra_info("socket")
        set_to.append(taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))
        await ok(scope, receive, send)

    async with House(BoundedHttpProtocol, app=limiting) as served:
        wire = await served.wire()
        await wire.send(post(b"x"))
        assert (await wire.answer())[0] == 200
    assert set_to == [1500]


async def test_an_answer_is_offered_what_event_streams_ask_for() -> None:
    offered: list[str] = []

    async def looking(scope: Scope, receive: Receive, send: Send) -> None:
        extensions: Any = scope["extensions"]
        offered.extend(extensions)
        await ok(scope, receive, send)

    async with House(BoundedHttpProtocol, app=looking) as served:
        wire = await served.wire()
        await wire.send(post(b"x"))
        assert (await wire.answer())[0] == 200
    assert sorted(offered) == sorted([ABORT, PATIENCE])


class SixSocket:
    """Of IPv6, which not every machine has."""

    family = socket.AF_INET6

    def __init__(self) -> None:
        self.set_to: list[tuple[int, int, int]] = []

    def setsockopt(self, *option: int) -> None:
        self.set_to.append((option[0], option[1], option[2]))


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="an option of Linux")
def test_a_client_over_ipv6_is_limited_as_well() -> None:
    own = SixSocket()
    BoundedHttpProtocol.limit_patience(Connected(own), 1.5)  # type: ignore[arg-type]
    assert own.set_to == [(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1500)]


class Connected:
    """A protocol and its transport in one, over such a socket."""

    def __init__(self, own: Any) -> None:
        self.transport, self._own = self, own

    def get_extra_info(self, name: str) -> Any:
        return self._own if name == "socket" else None


def test_a_socket_that_has_no_such_limit_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of Unix, behind a proxy on the same machine; or one on another system than Linux."""
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        BoundedHttpProtocol.limit_patience(Connected(one), 1.5)  # type: ignore[arg-type]
    monkeypatch.delattr(socket, "TCP_USER_TIMEOUT", raising=False)
    with socket.socket() as plain:
        BoundedHttpProtocol.limit_patience(Connected(plain), 1.5)  # type: ignore[arg-type]
