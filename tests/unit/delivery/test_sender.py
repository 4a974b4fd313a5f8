"""Against real servers on loopback, which behave well or badly."""

import asyncio
import contextlib
import gzip
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from outgoing.guard import Guard
from outgoing.sender import HttpSender
from service.delivery.ports import Answer, NoAnswer
from tests.fakes.clock import START, Clock
from tests.fakes.http_stub import HttpStub, Reply

BODY = '{"é":"🎉"}'.encode()
HEADERS = {"webhook-id": "evt_1", "webhook-signature": "v1,x"}
OURS = ("127.0.0.1/32", "::1/128")
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Names:
    """A resolver that gives its answers in turn, the last one for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers) or [["127.0.0.1"]]
        self.asked = 0

    async def __call__(self, host: str) -> Sequence[str]:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextlib.asynccontextmanager
async def sender(
    names: Names | None = None,
    *,
    seconds: float = 60,
    connections: int = 8,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[HttpSender]:
    guard = Guard(allowed_networks=OURS, allow_http=True, resolve=names or Names())
    async with HttpSender.opened(
        guard,
        timeout_seconds=seconds,
        connections=connections,
        user_agent="uploadgate/1.2.3",
        clock=Clock(),
        tls=tls,
    ) as opened:
        yield opened


@contextlib.asynccontextmanager
async def talking(
    talk: Talk, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """A server that does as `talk` says; its port."""
    talks: set[asyncio.Task[Any]] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await talk(reader, writer)
        writer.close()

    server = await asyncio.start_server(one, host, port, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


async def post(url: str, names: Names | None = None, **options: Any) -> Answer | NoAnswer:
    async with sender(names, **options) as opened:
        return await opened.post(url, HEADERS, BODY)


async def answering(*parts: bytes) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(BODY)
        for part in parts:
            writer.write(part)
            await writer.drain()
        await reader.read()

    return talk


# --- what is sent ---------------------------------------------------------------------------------


async def test_a_post_is_sent_as_it_is() -> None:
    async with HttpStub.serving(Reply(204)) as stub, sender() as opened:
        target = "/a%2Fb/../%7ec;d?e=%20f&g=h+i%41"
        assert await opened.post(stub.url + target, HEADERS, BODY) == Answer(204)
        (request,) = stub.requests
        assert (request.method, request.target) == ("POST", target)
        assert request.body == BODY
        host = stub.url.removeprefix("http://")
        assert request.headers == {
            "host": host,
            "accept": "*/*",
            "user-agent": "uploadgate/1.2.3",
            "content-type": "application/json",
            "content-length": str(len(BODY)),
            "connection": "close",
            **HEADERS,
        }


async def test_no_cookie_is_kept_and_no_proxy_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    cookies = {"Set-Cookie": "a=b; Path=/"}
    async with HttpStub.serving(Reply(200, headers=cookies)) as stub, sender() as opened:
        for _ in range(2):
            url = stub.url.replace("127.0.0.1", "receiver")
            assert await opened.post(url, HEADERS, BODY) == Answer(200)
        assert all("cookie" not in request.headers for request in stub.requests)


# --- what is answered -----------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 204, 299, 400, 404, 410, 429, 500, 503, 599])
async def test_a_status_is_a_status(status: int) -> None:
    async with HttpStub.serving(Reply(status)) as stub:
        assert await post(stub.url) == Answer(status)


async def test_a_wish_to_wait_is_read_in_either_form() -> None:
    date = format_datetime(START + timedelta(seconds=90), usegmt=True)
    for value, seconds in [("120", 120.0), (date, 90.0), ("soon", None)]:
        async with HttpStub.serving(Reply(429, headers={"Retry-After": value})) as stub:
            assert await post(stub.url) == Answer(429, seconds)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    async with HttpStub.serving() as elsewhere:
        reply = Reply(status, headers={"Location": elsewhere.url})
        async with HttpStub.serving(reply) as stub:
            assert await post(stub.url) == Answer(status)
        assert elsewhere.requests == []


async def test_a_huge_answer_is_not_read() -> None:
    taken = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        await reader.readuntil(BODY)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()
            taken += 65536

    async with talking(talk) as port:
        assert await post(f"http://127.0.0.1:{port}/") == Answer(200)
    assert taken < 20_000_000  # what the kernel's buffers take


async def test_a_packed_answer_is_not_unpacked() -> None:
    bomb = gzip.compress(b"0" * 10_000_000)
    headers = {"Content-Encoding": "gzip"}
    async with HttpStub.serving(Reply(200, bomb, headers)) as stub:
        assert await post(stub.url) == Answer(200)


async def test_an_answer_that_breaks_off_or_drags_on_is_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("outgoing.sender._ANSWER_SECONDS", 0.01)
    async with HttpStub.serving(Reply(200, b"x", promised=1000)) as stub:
        assert await post(stub.url) == Answer(200)
    dragging = await answering(b"HTTP/1.1 503 x\r\nRetry-After: 7\r\nContent-Length: 9\r\n\r\n")
    async with talking(dragging) as port:
        assert await post(f"http://127.0.0.1:{port}/") == Answer(503, 7)


# --- what is no answer ----------------------------------------------------------------------------


async def test_one_that_never_answers_costs_the_time_out() -> None:
    async with HttpStub.serving(Reply(hang=True)) as stub:
        assert await post(stub.url, seconds=0.05) == NoAnswer("timeout")


async def test_the_time_out_counts_the_wait_for_a_connection_too() -> None:
    async with HttpStub.serving(Reply(hang=True)) as stub:
        async with sender(seconds=0.05, connections=1) as opened:
            found = await asyncio.gather(*(opened.post(stub.url, {}, b"") for _ in range(3)))
        # Had each its own time from when it got the connection, the last would take three of them.
        assert found == [NoAnswer("timeout")] * 3


async def test_connections_are_given_back() -> None:
    async with HttpStub.serving(Reply(hang=True)) as stub, sender(connections=2) as opened:
        opened._seconds = 0.02
        for _ in range(5):
            assert await opened.post(stub.url, {}, b"") == NoAnswer("timeout")
        opened._seconds = 60
        stub.answer = Reply(200, b"x" * 100_000)
        for _ in range(5):
            assert await opened.post(stub.url, {}, b"") == Answer(200)


async def test_nobody_there_is_refused() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        assert await post(f"http://127.0.0.1:{port}/") == NoAnswer("refused")
        names = Names(["::1", "127.0.0.1"])
        found = await post(f"http://receiver:{port}/", names)
        assert found in (NoAnswer("refused"), NoAnswer("unreachable"))  # this without IPv6


async def test_a_connection_that_breaks_off_is_broken() -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(BODY)
        ends: socket.socket = writer.get_extra_info("socket")
        ends.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def leave(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(BODY)

    for talk in (reset, leave):
        async with talking(talk) as port:
            assert await post(f"http://127.0.0.1:{port}/") == NoAnswer("broken")


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"\x00" * 100_000,
    ],
)
async def test_what_is_no_http_is_broken(said: bytes) -> None:
    async with talking(await answering(said)) as port:
        assert await post(f"http://127.0.0.1:{port}/") == NoAnswer("broken")


# --- whom it is sent to ---------------------------------------------------------------------------


async def test_a_url_that_may_not_be_sent_to_any_more_is_final() -> None:
    for url in ("ftp://127.0.0.1/", "http://user@127.0.0.1/", "http://127.1/"):
        assert await post(url) == NoAnswer("forbidden_url", final=True)


async def test_a_private_address_is_never_connected_to() -> None:
    async with HttpStub.serving() as stub:
        url = stub.url.replace("127.0.0.1", "receiver")
        for found in (["127.0.0.2"], ["127.0.0.1", "127.0.0.2"], ["10.0.0.1"]):
            assert await post(url, Names(found)) == NoAnswer("forbidden_address")
        assert await post("http://127.0.0.2/") == NoAnswer("forbidden_address")
        assert stub.requests == []


@pytest.fixture
def both_ports() -> Iterator[tuple[socket.socket, socket.socket, int]]:
    """Listening on one port at an address that is allowed, and at one that is not."""
    while True:
        with socket.socket() as ours, socket.socket() as theirs:
            ours.bind(("127.0.0.1", 0))
            port = ours.getsockname()[1]
            with contextlib.suppress(OSError):  # somebody listens there at any address
                theirs.bind(("127.0.0.2", port))
                yield ours, theirs, port
                return


async def test_a_name_that_changes_under_way_gains_nothing(
    both_ports: tuple[socket.socket, socket.socket, int],
) -> None:
    ours, theirs, port = both_ports
    reached: list[str] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(writer.get_extra_info("sockname")[0])
        await reader.readuntil(BODY)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    names = Names(*[["127.0.0.1"], ["127.0.0.2"]] * 10)
    async with (
        await asyncio.start_server(talk, sock=ours),
        await asyncio.start_server(talk, sock=theirs),
        sender(names) as opened,
    ):
        url = f"http://receiver:{port}/"
        found = [await opened.post(url, HEADERS, BODY) for _ in range(20)]
    assert found == [Answer(200), NoAnswer("forbidden_address")] * 10
    assert reached == ["127.0.0.1"] * 10
    assert names.asked == 20


async def test_a_connection_to_anything_else_is_not_even_begun(
    both_ports: tuple[socket.socket, socket.socket, int],
) -> None:
    """Whatever aiohttp makes of a URL, and whatever way it goes."""
    ours, theirs, port = both_ports
    ours.listen()
    theirs.listen()
    theirs.settimeout(0)
    async with sender(seconds=0.05) as opened:
        assert await opened.post(f"http://receiver:{port}/", {}, b"") == NoAnswer("timeout")
        with pytest.raises(aiohttp.ClientConnectorError):
            await opened._session.post(f"http://127.0.0.2:{port}/")
        with pytest.raises(BlockingIOError):
            theirs.accept()


async def test_of_several_addresses_one_that_answers_is_found() -> None:
    async with HttpStub.serving() as stub:
        url = stub.url.replace("127.0.0.1", "receiver")
        assert await post(url, Names(["::1", "127.0.0.1"])) == Answer(200)


async def test_many_at_once_go_each_to_their_own() -> None:
    async with HttpStub.serving() as one, HttpStub.serving() as other, sender() as opened:
        urls = [one.url, other.url.replace("127.0.0.1", "receiver"), "http://127.0.0.2:1/"] * 10
        found = await asyncio.gather(*(opened.post(url, HEADERS, BODY) for url in urls))
        assert found == [Answer(200), Answer(200), NoAnswer("forbidden_address")] * 10
        assert (len(one.requests), len(other.requests)) == (10, 10)


# --- TLS ------------------------------------------------------------------------------------------


def certificate(folder: Path, name: str) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(
            subject, subject, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1)
        )
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return file


def of_a_server(file: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


async def test_a_certificate_that_nobody_signed_is_not_sent_to(tmp_path: Path) -> None:
    heard: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read())

    tls = of_a_server(certificate(tmp_path, "receiver"))
    async with talking(talk, tls=tls) as port:
        assert await post(f"https://receiver:{port}/") == NoAnswer("tls")
    assert heard == []


async def test_the_certificate_must_be_of_the_name_in_the_url(tmp_path: Path) -> None:
    file = certificate(tmp_path, "receiver")
    trusting = ssl.create_default_context(cafile=str(file))
    ok = await answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    async with talking(ok, tls=of_a_server(file)) as port, sender(tls=trusting) as opened:
        for host, expected in [
            ("receiver", Answer(200)),
            ("other", NoAnswer("tls")),
            ("127.0.0.1", NoAnswer("tls")),
        ]:
            assert await opened.post(f"https://{host}:{port}/", HEADERS, BODY) == expected


async def test_a_server_without_tls_is_no_https() -> None:
    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()

    async with talking(talk) as port:
        assert await post(f"https://127.0.0.1:{port}/") == NoAnswer("tls")


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_receiver_that_never_closes_its_tls_keeps_no_connection(
    tmp_path: Path, run: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    """On the loop that serves as well, whose connections are of other classes."""
    run(_never_closed(tmp_path))


async def _never_closed(tmp_path: Path) -> None:
    file = certificate(tmp_path, "receiver")
    trusting = ssl.create_default_context(cafile=str(file))
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    answered, gone = 0, 0

    def receive(listener: socket.socket) -> None:
        """Of plain sockets: asyncio's own would answer the close."""
        nonlocal answered, gone
        connection, _ = listener.accept()
        with of_a_server(file).wrap_socket(connection, server_side=True) as receiver:
            receiver.recv(65536)
            receiver.sendall(answer)
            answered += 1
            connection = socket.socket(fileno=os.dup(receiver.fileno()))
            connection.settimeout(60)
            with connection, contextlib.suppress(ConnectionError):
                while connection.recv(65536):  # what it sends at last is not read as TLS
                    pass
            gone += 1

    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://receiver:{listener.getsockname()[1]}/"
        receiving = asyncio.create_task(asyncio.to_thread(receive, listener))
        async with sender(tls=trusting) as opened:
            assert await opened.post(url, HEADERS, BODY) == Answer(200)
            await receiving
    assert (answered, gone) == (1, 1)
