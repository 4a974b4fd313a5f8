"""The wire, faked: the service as a handler of httpx, the store as a real loopback server."""

import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from client.http import HttpClient
from client.retries import RetryPolicy

Handler = Callable[[httpx.Request], httpx.Response]
NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


class Tokens:
    """A token source that counts its renewals."""

    def __init__(self) -> None:
        self.renewals = 0

    def access_token(self) -> str:
        return f"token-{self.renewals}"

    def renew(self, refused: str) -> str:
        self.renewals += 1
        return f"token-{self.renewals}"


@pytest.fixture
def tokens() -> Tokens:
    return Tokens()


@pytest.fixture
def sleeps() -> list[float]:
    return []


@pytest.fixture
def http_for(sleeps: list[float]) -> Iterator[Callable[[Handler], HttpClient]]:
    opened: list[HttpClient] = []

    def build(handler: Handler) -> HttpClient:
        client = HttpClient(
            "http://service.test",
            transport=httpx.MockTransport(handler),
            policy=RetryPolicy(jitter=lambda: 1.0),
            sleep=sleeps.append,
        )
        opened.append(client)
        return client

    yield build
    for client in opened:
        client.close()


@pytest.fixture
def record() -> dict[str, Any]:
    return {
        "id": "upl_1",
        "status": "pending",
        "status_reason": None,
        "bucket": "uploads",
        "key": "us-east-1:me/upl_1/a.bin",
        "content_type": "application/octet-stream",
        "created_at": "2030-01-01T12:00:00Z",
        "completed_at": None,
        "of_a_later_version": {"this": "client does not know"},
    }


@pytest.fixture
def exchanged() -> dict[str, Any]:
    return {
        "access_key_id": "ASIAEXAMPLE",
        "secret_access_key": "secret-1",
        "session_token": "session-1",
        "expires_at": (NOW + timedelta(hours=1)).isoformat(),
        "region": "us-east-1",
        "endpoint": "http://store.test",
        "bucket": "uploads",
        "key_prefix": "us-east-1:me/",
        "server_time": NOW.isoformat(),
    }


@pytest.fixture
def cognito_grant() -> dict[str, Any]:
    return {
        "mode": "cognito",
        "identity_id": "us-east-1:me",
        "open_id_token": "an-open-id-token",
        "logins": {"cognito-identity.amazonaws.com": "an-open-id-token"},
        "identity_pool_id": "us-east-1:pool",
        "region": "us-east-1",
        "endpoints": {"cognito_identity": "http://127.0.0.1:9", "s3": "http://127.0.0.1:9"},
        "bucket": "uploads",
        "key_prefix": "us-east-1:me/",
        "expires_at": (NOW + timedelta(minutes=15)).isoformat(),
        "refresh_after": (NOW + timedelta(minutes=10)).isoformat(),
        "server_time": NOW.isoformat(),
    }


class FakeStore(ThreadingHTTPServer):
    """As much of S3 as one upload takes. `on_part` runs before a part is answered."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Store)
        self.calls: list[tuple[str, str]] = []
        self.parts: dict[int, int] = {}
        self.authorizations: list[str] = []
        self.on_part: Callable[[int], int] = lambda _: 200
        self.completion_status = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def count(self, method: str, pattern: str = "") -> int:
        return sum(1 for m, path in self.calls if m == method and re.search(pattern, path))


class _Store(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeStore

    def log_message(self, *_: object) -> None:
        return

    def _begin(self) -> int:
        if self.headers.get("Expect") == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        size = len(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        self.server.calls.append((self.command, self.path))
        self.server.authorizations.append(self.headers.get("Authorization", ""))
        return size

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:  # noqa: N802
        self._begin()
        if "uploads" in self.path.partition("?")[2]:
            body = b"<InitiateMultipartUploadResult><UploadId>mp-1</UploadId>"
            self._answer(200, body + b"</InitiateMultipartUploadResult>")
        elif self.server.completion_status == 200:
            self._answer(200, b"<CompleteMultipartUploadResult/>")
        else:
            body = b"<Error><Code>AccessDenied</Code><Message>no secret-1</Message></Error>"
            self._answer(self.server.completion_status, body)

    def do_PUT(self) -> None:  # noqa: N802
        size = self._begin()
        found = re.search(r"partNumber=(\d+)", self.path)
        number = int(found[1]) if found else 0
        self.server.parts[number] = size
        status = self.server.on_part(number)
        body = b"" if status == 200 else b"<Error><Code>AccessDenied</Code></Error>"
        self._answer(status, body, ETag=f'"etag-{number}"')

    def do_DELETE(self) -> None:  # noqa: N802
        self._begin()
        self._answer(204)


@pytest.fixture
def store() -> Iterator[FakeStore]:
    server = FakeStore()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()
