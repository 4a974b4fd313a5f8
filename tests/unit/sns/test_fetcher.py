import asyncio
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from aws.sns.fetcher import HttpxCertificateFetcher
from errors import UploadgateError, WebhookForgedError, WebhookUnverifiableError
from tests.unit.sns.sender import CERT_URL, good_certificate

Handler = Callable[[httpx.Request], httpx.Response]


def response(status: int, content: bytes) -> httpx.Response:
    return httpx.Response(status, stream=httpx.ByteStream(content))


async def fetched(handler: Handler) -> bytes:
    async with HttpxCertificateFetcher(transport=httpx.MockTransport(handler)) as fetcher:
        return await fetcher.fetch(CERT_URL)


async def test_the_certificate_is_asked_for_plainly() -> None:
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return response(200, good_certificate())

    assert await fetched(answer) == good_certificate()
    [request] = requests
    assert (request.method, str(request.url)) == ("GET", CERT_URL)
    assert request.headers["accept-encoding"] == "identity"
    assert not {"authorization", "cookie"} & set(request.headers)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    hosts: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        return httpx.Response(status, headers={"location": "http://169.254.169.254/latest/"})

    with pytest.raises(WebhookForgedError):
        await fetched(answer)
    assert hosts == ["sns.us-east-1.amazonaws.com"]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (204, WebhookForgedError),
        (206, WebhookForgedError),
        (403, WebhookForgedError),
        (404, WebhookForgedError),
        (408, WebhookUnverifiableError),
        (429, WebhookUnverifiableError),
        (500, WebhookUnverifiableError),
        (503, WebhookUnverifiableError),
    ],
)
async def test_only_what_may_pass_is_to_be_sent_again(
    status: int, error: type[UploadgateError]
) -> None:
    with pytest.raises(error):
        await fetched(lambda _request: response(status, good_certificate()))


@pytest.mark.parametrize(
    "failure",
    [httpx.ConnectError("x"), httpx.ReadTimeout("x"), httpx.RemoteProtocolError("x")],
)
async def test_the_network_failing_is_to_be_sent_again(failure: Exception) -> None:
    def answer(_request: httpx.Request) -> httpx.Response:
        raise failure

    with pytest.raises(WebhookUnverifiableError):
        await fetched(answer)


async def test_an_answer_without_end_is_given_up_soon() -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * 4096

    with pytest.raises(WebhookForgedError):
        await fetched(lambda _request: httpx.Response(200, content=endless()))
    assert sent <= 9


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nPEM!", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nPEM!", WebhookUnverifiableError),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000, WebhookForgedError),
        (b"", WebhookUnverifiableError),
    ],
    ids=["whole", "cut short", "too large", "hung up"],
)
async def test_over_a_real_connection(answer: bytes, error: type[UploadgateError] | None) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    async with server, HttpxCertificateFetcher(timeout_seconds=2) as fetcher:
        if error is None:
            assert await fetcher.fetch(url) == b"PEM!"
        else:
            with pytest.raises(error):
                await fetcher.fetch(url)


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    async with HttpxCertificateFetcher() as fetcher:
        assert fetcher._client._mounts == {}
        assert fetcher._client.follow_redirects is False
        assert fetcher._client.timeout == httpx.Timeout(4.0)
