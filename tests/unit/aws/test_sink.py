"""Bytes on their way through: exactly as many as announced, never more than a few at once, and
nothing stored of what went wrong.
"""

import asyncio
import contextlib
import logging
import socket
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from aws.measured_body import MeasuredBody
from aws.sink import StoreSink
from errors import (
    InvalidRequestError,
    MultipartGoneError,
    StoreRefusedError,
    StoreUnavailableError,
    UploadgateError,
    UploadStateError,
)
from service.uploads.signed import SignedRequest
from tests.fakes.http_stub import HttpStub, Reply

PATH = "/uploads/us-east-1%3A0000/a%20b.txt?X-Amz-Signature=secret%2Bsecret&partNumber=1"
SECRET = "X-Amz-Signature"
KIB = 1024
IDLE = 60.0

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def target(url: str, **headers: str) -> SignedRequest:
    return SignedRequest(url + PATH, headers, datetime(2026, 1, 1, tzinfo=UTC))


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def sink_with(
    connections: int = 4, connect_seconds: float = IDLE, idle_seconds: float = IDLE
) -> contextlib.AbstractAsyncContextManager[StoreSink]:
    return StoreSink.opened(
        connections=connections, connect_seconds=connect_seconds, idle_seconds=idle_seconds
    )


@pytest.fixture
async def sink() -> AsyncIterator[StoreSink]:
    async with sink_with() as opened:
        yield opened


@contextlib.asynccontextmanager
async def odd_store(talk: Talk, receive_buffer: int | None = None) -> AsyncIterator[str]:
    """A server that talks as it likes, on a connection at a time or many."""
    listener = socket.socket()
    if receive_buffer is not None:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    listener.bind(("127.0.0.1", 0))
    talks: set[asyncio.Task[None]] = set()

    async def talked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        try:
            await talk(reader, writer)
        except (asyncio.CancelledError, ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talked, sock=listener, limit=KIB)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


# --- what the store gets -------------------------------------------------------------------------


async def test_the_bytes_arrive_under_their_exact_length_and_the_signed_headers(
    sink: StoreSink, stub: HttpStub
) -> None:
    signed = {"content-type": "text/plain", "If-None-Match": "*", "content-length": "11"}
    await sink.send(target(stub.url, **signed), size=11, chunks=stream(b"hello ", b"", b"world"))
    (request,) = stub.requests
    assert (request.method, request.target, request.body) == ("PUT", PATH, b"hello world")
    assert request.headers["content-length"] == "11"
    assert request.headers["content-type"] == "text/plain"
    assert request.headers["if-none-match"] == "*"
    assert "transfer-encoding" not in request.headers


async def test_no_type_is_made_up(sink: StoreSink, stub: HttpStub) -> None:
    await sink.send(target(stub.url), size=1, chunks=stream(b"x"))
    assert "content-type" not in stub.requests[0].headers


@pytest.mark.parametrize("chunks", [(), (b"", b"")])
async def test_an_empty_body_is_one(
    sink: StoreSink, stub: HttpStub, chunks: tuple[bytes, ...]
) -> None:
    await sink.send(target(stub.url), size=0, chunks=stream(*chunks))
    (request,) = stub.requests
    assert (request.headers["content-length"], request.body) == ("0", b"")


async def test_many_go_at_once(stub: HttpStub) -> None:
    async with sink_with(connections=3) as sink:
        bodies = [bytes([n]) * 100 * KIB for n in range(20)]
        sends = (
            sink.send(target(stub.url), size=len(body), chunks=stream(body)) for body in bodies
        )
        await asyncio.gather(*sends)
    assert sorted(request.body for request in stub.requests) == bodies


# --- a body that is not what was announced -------------------------------------------------------

WRONG = [
    (5, (b"four",)),
    (5, ()),
    (5, (b"fiv", b"")),
    (5, (b"five5", b"6")),
    (5, (b"five56",)),
    (5, (b"fiv", b"e56")),
    (5, (b"five5", b"", b"6")),
    (0, (b"1",)),
]


@pytest.mark.parametrize(("size", "chunks"), WRONG)
async def test_a_body_of_another_length_is_never_stored(
    sink: StoreSink, stub: HttpStub, size: int, chunks: tuple[bytes, ...]
) -> None:
    with pytest.raises(InvalidRequestError):
        await sink.send(target(stub.url), size=size, chunks=stream(*chunks))
    assert not [request for request in stub.requests if request.body or size]


class _SourceError(Exception):
    pass


@pytest.mark.parametrize("error", [_SourceError(), OSError(5, "lost"), TimeoutError()])
@pytest.mark.parametrize("before", [(), (b"some",), (b"some", b"more" * 100 * KIB)])
async def test_an_error_of_the_source_is_raised_as_it_is_and_nothing_is_stored(
    sink: StoreSink, stub: HttpStub, error: Exception, before: tuple[bytes, ...]
) -> None:
    async def failing() -> AsyncIterator[bytes]:
        for chunk in before:
            yield chunk
        raise error

    with pytest.raises(type(error)) as caught:
        await sink.send(target(stub.url), size=KIB * KIB, chunks=failing())
    assert caught.value is error
    assert not stub.requests
    await sink.send(target(stub.url), size=1, chunks=stream(b"x"))
    assert [request.body for request in stub.requests] == [b"x"]


@given(st.lists(st.binary(max_size=6), max_size=6), st.integers(0, 24))
def test_a_body_gives_its_size_or_fails_before(chunks: list[bytes], size: int) -> None:
    async def read() -> tuple[bytes, Exception | None]:
        given = b""
        async with MeasuredBody(stream(*chunks), size) as body:
            with contextlib.suppress(InvalidRequestError):
                async for chunk in body:
                    given += chunk
            assert body.whole == (body.failure is None)
        return given, body.failure

    given, failure = driven(read())
    whole = b"".join(chunks)
    assert (failure is None) == (len(whole) == size)
    assert given == whole if failure is None else whole.startswith(given)
    assert failure is None or len(given) < max(size, 1)


def driven(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Its result, without an event loop: nothing here waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


# --- what the store answers ----------------------------------------------------------------------


def refusing(code: str, status: int) -> Reply:
    return Reply(
        status, f"<Error><Code>{code}</Code><Resource>{SECRET}</Resource></Error>".encode()
    )


ANSWERS = [
    (refusing("PreconditionFailed", 412), UploadStateError),
    (Reply(412, b"cut", promised=500), UploadStateError),
    (refusing("AccessDenied", 403), StoreRefusedError),
    (refusing("SignatureDoesNotMatch", 403), StoreRefusedError),
    (refusing("NoSuchBucket", 404), StoreRefusedError),
    (refusing("NoSuchUpload", 404), MultipartGoneError),
    (refusing("BadDigest", 400), InvalidRequestError),
    (Reply(400, b"not xml"), StoreRefusedError),
    (Reply(400, b"x" * 100 * KIB), StoreRefusedError),
    (Reply(307, b"", {"Location": "http://127.0.0.1:1/elsewhere"}), StoreRefusedError),
    (refusing("RequestTimeout", 400), StoreUnavailableError),
    (refusing("ConditionalRequestConflict", 409), StoreUnavailableError),
    (refusing("SlowDown", 503), StoreUnavailableError),
    (Reply(429), StoreUnavailableError),
    (Reply(500, b"<html>oh</html>"), StoreUnavailableError),
    (Reply(403, b"<Error><Co", promised=500), StoreRefusedError),
]


@pytest.mark.parametrize(("reply", "kind"), ANSWERS)
async def test_what_the_store_refuses_is_told(
    sink: StoreSink, stub: HttpStub, reply: Reply, kind: type[UploadgateError]
) -> None:
    stub.answer = reply
    with pytest.raises(kind) as caught:
        await sink.send(target(stub.url), size=5, chunks=stream(b"bytes"))
    assert len(stub.requests) == 1
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "kind"), [(403, StoreRefusedError), (200, StoreUnavailableError)]
)
async def test_an_answer_before_the_end_ends_the_sending(
    sink: StoreSink, status: int, kind: type[UploadgateError]
) -> None:
    """Also where the source gives nothing just then; and a premature 200 is not believed."""

    async def hasty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode())
        await reader.read()

    source = Stalling(b"some")
    async with odd_store(hasty) as url:
        with pytest.raises(kind):
            await sent_and_left(sink, url, source)


async def test_a_request_is_never_repeated(sink: StoreSink) -> None:
    seen = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        await reader.readexactly(5)

    async with odd_store(silent) as url:
        with pytest.raises(StoreUnavailableError):
            await sink.send(target(url), size=5, chunks=stream(b"bytes"))
    assert len(seen) == 1


class Stalling(AsyncIterator[bytes]):
    """Gives these, and then nothing until it is released. `stopped`: whoever read it has left."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)
        self.stalled = asyncio.Event()
        self.released = asyncio.Event()
        self.stopped = False

    async def __anext__(self) -> bytes:
        if self.chunks:
            return self.chunks.pop(0)
        self.stalled.set()
        try:
            await self.released.wait()
        except asyncio.CancelledError:
            self.stopped = True
            raise
        raise StopAsyncIteration


async def sent_and_left(sink: StoreSink, url: str, source: Stalling) -> None:
    """At the moment it is over nobody reads the source any more: the caller may."""
    try:
        await sink.send(target(url), size=100, chunks=source)
    finally:
        assert source.stopped


# --- time ----------------------------------------------------------------------------------------


async def _deaf(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def test_a_store_that_takes_no_bytes_is_unavailable_and_few_are_asked_for() -> None:
    given = 0

    async def source() -> AsyncIterator[bytes]:
        nonlocal given
        for _ in range(1024):
            given += 64 * KIB
            yield bytes(64 * KIB)

    async with sink_with(idle_seconds=0.3) as sink, odd_store(_deaf, 4 * KIB) as url:
        with pytest.raises(StoreUnavailableError):
            await sink.send(target(url), size=64 * KIB * KIB, chunks=source())
    # The kernel's own buffers hold some megabytes; the process itself a few chunks.
    assert given <= 16 * KIB * KIB


async def test_a_store_that_does_not_answer_is_unavailable(stub: HttpStub) -> None:
    stub.answer = Reply(hang=True)
    began = time.monotonic()
    async with sink_with(idle_seconds=0.1) as sink:
        with pytest.raises(StoreUnavailableError):
            await sink.send(target(stub.url), size=5, chunks=stream(b"bytes"))
    assert time.monotonic() - began < 40


async def test_an_error_that_never_ends_is_not_waited_for() -> None:
    async def trickling(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 X\r\nContent-Length: 100\r\n\r\n")
        await asyncio.Event().wait()

    source = Stalling(b"some")
    async with sink_with(idle_seconds=0.1) as sink, odd_store(trickling) as url:
        with pytest.raises(StoreUnavailableError):
            await sent_and_left(sink, url, source)


async def test_a_source_may_take_its_time(stub: HttpStub) -> None:
    """How long is for whoever reads the client's body to say."""
    source = Stalling(b"by", b"tes")
    async with sink_with(idle_seconds=0.1) as sink:
        sending = asyncio.create_task(sink.send(target(stub.url), size=5, chunks=source))
        await source.stalled.wait()
        asyncio.get_running_loop().call_later(0.3, source.released.set)
        await sending
    assert stub.requests[0].body == b"bytes"


async def test_more_requests_than_connections_wait_only_so_long(stub: HttpStub) -> None:
    async with sink_with(connections=1, connect_seconds=0.1) as sink:
        first = Stalling(b"bytes")
        sending = asyncio.create_task(sink.send(target(stub.url), size=5, chunks=first))
        await first.stalled.wait()
        with pytest.raises(StoreUnavailableError):
            await sink.send(target(stub.url), size=5, chunks=stream(b"bytes"))
        first.released.set()
        await sending
    assert len(stub.requests) == 1


async def test_a_caller_who_leaves_ends_the_request(sink: StoreSink, stub: HttpStub) -> None:
    source = Stalling(b"some")
    sending = asyncio.create_task(sent_and_left(sink, stub.url, source))
    await source.stalled.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert not stub.requests


async def test_a_store_that_goes_away_ends_the_reading_too(sink: StoreSink) -> None:
    async def leaving(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    source = Stalling(b"some")
    async with odd_store(leaving) as url:
        with pytest.raises(StoreUnavailableError):
            await sent_and_left(sink, url, source)


# --- secrets -------------------------------------------------------------------------------------


async def test_the_address_reaches_no_log_and_no_traceback(
    stub: HttpStub, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[str] = []

    async def fails(url: str, size: int = 5, **options: float) -> None:
        async with sink_with(**options) as sink:  # type: ignore[arg-type]
            try:
                await sink.send(target(url), size=size, chunks=stream(b"bytes"))
            except UploadgateError as error:
                told.append("".join(traceback.format_exception(error)) + repr(error.__context__))

    with capture_logs() as logs:
        await fails("http://127.0.0.1:1")
        await fails("http://[nonsense")
        await fails("ftp://127.0.0.1")
        await fails(stub.url, size=7)
        for reply in (refusing("AccessDenied", 403), Reply(500), Reply(307), Reply(hang=True)):
            stub.script = [reply]
            await fails(stub.url, idle_seconds=0.1)
        async with odd_store(_deaf) as url:
            await fails(url, size=5, idle_seconds=0.1)
    assert len(told) == 9
    assert SECRET not in "".join(told) + caplog.text + repr(logs)
