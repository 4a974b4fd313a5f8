"""Behind an egress proxy, and with authorities of one's own: what botocore's calls honour, those
of our own do, too.
"""

import asyncio
import contextlib
import logging
import os
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from aws.egress import Egress
from aws.heads import Heads
from aws.part_lister import PartLister
from aws.signer.credentials import SigningCredentials
from aws.signer.presigner import Presigner
from aws.sink import StoreSink
from errors import StoreUnavailableError
from service.uploads.signed import SignedRequest
from tests.fakes.http_stub import HttpStub, Reply, Request
from tests.unit.aws.test_multiparts import page, part
from tests.unit.delivery.test_sender import certificate, of_a_server

STORE = "http://store.invalid"
KEY = "a/b c+%.txt"
PATH = "/uploads/a/b%20c%2B%25.txt"
PASSWORD = "a-proxys-password"
LIMITS = {"connect_seconds": 5, "read_seconds": 5, "attempts": 1, "call_seconds": 8}

Call = Callable[[str], Awaitable[object]]


async def keys() -> SigningCredentials:
    return SigningCredentials("AKIAEXAMPLE", "secret", None)


def signer(url: str) -> Presigner:
    return Presigner(credentials=keys, region="us-east-1", endpoint=url)


async def head(url: str) -> object:
    async with Heads.opened(signer(url), connections=1, **LIMITS) as heads:
        return await heads.head("uploads", KEY)


async def listed(url: str) -> object:
    async with PartLister.opened(signer(url), connections=1, **LIMITS) as lister:
        return await lister.parts("uploads", KEY, "multi")


async def sent(url: str) -> object:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"hello"

    target = SignedRequest(
        f"{url}{PATH}?X-Amz-Signature=a%2Fb", {}, datetime(2026, 1, 1, tzinfo=UTC)
    )
    async with StoreSink.opened(connections=1, connect_seconds=5, idle_seconds=5) as sink:
        await sink.send(target, size=5, chunks=chunks())
    return target


CALLS = pytest.mark.parametrize("call", [head, listed, sent])


def stored(request: Request) -> Reply:
    if request.method == "GET":
        return page(part(1))
    return Reply(200, b"", {"ETag": '"one"', "x-amz-request-id": "18EB80081BCF5E38"})


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    return monkeypatch


@pytest.fixture
def answering(stub: HttpStub) -> HttpStub:
    stub.answer = stored
    return stub


@CALLS
async def test_the_proxy_is_asked_for_the_very_address_that_was_signed(
    call: Call, answering: HttpStub, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("HTTP_PROXY", answering.url)
    assert await call(STORE)
    (request,) = answering.requests
    assert request.target.split("?")[0] == STORE + PATH
    assert request.headers["host"] == "store.invalid"
    if call is sent:
        assert request.target == f"{STORE}{PATH}?X-Amz-Signature=a%2Fb"
        assert request.body == b"hello"


@CALLS
async def test_hosts_in_no_proxy_are_asked_themselves(
    call: Call, answering: HttpStub, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    environment.setenv("NO_PROXY", "elsewhere.example,127.0.0.1")
    assert await call(answering.url)
    (request,) = answering.requests
    assert request.target.split("?")[0] == PATH


@CALLS
async def test_the_password_of_a_proxy_is_for_the_proxy_alone(
    call: Call,
    answering: HttpStub,
    environment: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    for url in (answering.url, "http://127.0.0.1:9", "http://127.0.0.1:no-port"):
        environment.setenv("HTTP_PROXY", url.replace("//", f"//user:{PASSWORD}@"))
        with capture_logs() as logs:
            if url == answering.url:
                assert await call(STORE)
            else:
                with pytest.raises(StoreUnavailableError) as raised:
                    await call(STORE)
                assert PASSWORD not in repr((raised.value, raised.value.__cause__))
                assert logs
        assert PASSWORD not in repr(logs) + caplog.text
    (request,) = answering.requests
    credentials = b64encode(f"user:{PASSWORD}".encode()).decode()
    assert request.headers["proxy-authorization"] == f"Basic {credentials}"
    assert PASSWORD not in request.target


async def test_netrc_is_not_read(
    answering: HttpStub, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password mine\n")
    environment.setenv("NETRC", str(netrc))
    environment.setenv("HTTP_PROXY", answering.url)
    await sent(STORE)
    (request,) = answering.requests
    assert "authorization" not in request.headers
    assert "proxy-authorization" not in request.headers


# --- authorities ----------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def secured(store: HttpStub, file: Path) -> AsyncIterator[str]:
    """TLS before the store, under the name `localhost`."""
    server = await asyncio.start_server(store._talk, "127.0.0.1", 0, ssl=of_a_server(file))
    async with server:
        yield f"https://localhost:{server.sockets[0].getsockname()[1]}"


@contextlib.asynccontextmanager
async def tunnelling(asked: list[str]) -> AsyncIterator[str]:
    """A proxy that knows CONNECT alone."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0].decode()
        asked.append(line)
        port = int(line.split()[1].rpartition(":")[2])
        there, onward = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(pump(reader, onward), pump(there, writer))

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@CALLS
@pytest.mark.parametrize("name", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "the file"])
async def test_the_authorities_that_botocore_trusts_are_trusted(
    call: Call, name: str, answering: HttpStub, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = certificate(tmp_path, "localhost")
    async with secured(answering, file) as url:
        with pytest.raises(StoreUnavailableError):
            await call(url)
        assert answering.requests == []
        if name == "the file":
            config = tmp_path / "config"
            config.write_text(f"[default]\nca_bundle = {file}\n")
            environment.setenv("AWS_CONFIG_FILE", str(config))
        else:
            environment.setenv(name, str(file))
        assert await call(url)


@CALLS
async def test_tls_goes_through_the_proxy_and_is_still_verified(
    call: Call, answering: HttpStub, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = certificate(tmp_path, "localhost")
    asked: list[str] = []
    async with secured(answering, file) as url, tunnelling(asked) as proxy:
        environment.setenv("HTTPS_PROXY", proxy)
        with pytest.raises(StoreUnavailableError):
            await call(url)
        assert answering.requests == []
        environment.setenv("AWS_CA_BUNDLE", str(file))
        assert await call(url)
    authority = url.removeprefix("https://")
    assert asked == [f"CONNECT {authority} HTTP/1.1"] * 2


async def test_authorities_that_cannot_be_read_are_named(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment.setenv("AWS_CA_BUNDLE", str(tmp_path / "none.pem"))
    with pytest.raises(OSError, match=r"none\.pem"):
        await Egress.found()
    environment.setenv("AWS_CA_BUNDLE", os.devnull)
    with pytest.raises(OSError, match=os.devnull):
        await Egress.found()


async def test_without_any_the_systems_are_trusted() -> None:
    assert (await Egress.found()).tls is True
    assert isinstance(Egress(ssl.create_default_context()).tls, ssl.SSLContext)
