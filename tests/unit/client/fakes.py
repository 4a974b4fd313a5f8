"""The wire, faked: a token source, and the store as a real loopback server."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

from client.http import HttpClient

Handler = Callable[[httpx.Request], httpx.Response]
HttpFor = Callable[[Handler], HttpClient]
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

    def do_POST(self) -> None:
        self._begin()
        if "uploads" in self.path.partition("?")[2]:
            body = b"<InitiateMultipartUploadResult><UploadId>mp-1</UploadId>"
            self._answer(200, body + b"</InitiateMultipartUploadResult>")
        elif self.server.completion_status == 200:
            self._answer(200, b"<CompleteMultipartUploadResult/>")
        else:
            body = b"<Error><Code>AccessDenied</Code><Message>no secret-1</Message></Error>"
            self._answer(self.server.completion_status, body)

    def do_PUT(self) -> None:
        size = self._begin()
        found = re.search(r"partNumber=(\d+)", self.path)
        number = int(found[1]) if found else 0
        self.server.parts[number] = size
        status = self.server.on_part(number)
        body = b"" if status == 200 else b"<Error><Code>AccessDenied</Code></Error>"
        self._answer(status, body, ETag=f'"etag-{number}"')

    def do_DELETE(self) -> None:
        self._begin()
        self._answer(204)
