"""The store, faked: a real loopback server that keeps what it is sent and fails as it is told."""

import base64
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, unquote, urlsplit

from tests.fakes.http_stub import HttpStub, Reply, Request

Fault = Callable[[Request], Reply | None]
"""Its own answer, or None: as always."""

STORED = Reply(headers={"ETag": '"e"'})
LOST = Reply(promised=10)
"""As a fault: it is stored, and the connection is cut in the middle of the answer."""
CUT = Reply(status=500, promised=11)
"""As a fault: it is not stored, and the connection is cut."""
SILENCE = Reply(hang=True)


def refusal(code: str, status: int = 403, **headers: str) -> Reply:
    text = f"<Error><Code>{code}</Code><Message>no secret-1</Message></Error>"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, text.encode(), headers=named)


def once(reply: Reply) -> Fault:
    return lambda _: reply


@dataclass
class Put:
    """One request; `by` is what it was signed with, `answered_ok` whether the client heard so."""

    number: int
    body: bytes
    by: str
    headers: Mapping[str, str]
    answered_ok: bool = False


@dataclass
class FakeStore:
    """`faults` are asked one by one, `always` when there are no more. Nothing is taken that is
    signed with `dead_keys`. `parts` by multipart id, or by key for what went in one request
    (number 0).
    """

    stub: HttpStub
    faults: list[Fault | None] = field(default_factory=list)
    always: Fault | None = None
    dead_keys: set[str] = field(default_factory=set)
    puts: list[Put] = field(default_factory=list)
    parts: dict[str, dict[int, bytes]] = field(default_factory=dict)

    def answer(self, request: Request) -> Reply:
        put = _put_of(request)
        self.puts.append(put)
        fault = self.faults.pop(0) if self.faults else self.always
        reply = fault(request) if fault is not None else None
        if put.by in self.dead_keys:
            return refusal("InvalidAccessKeyId")
        if reply is not None and reply != LOST:
            return reply
        answer = self._taken(request, put)
        if answer == STORED and reply == LOST:
            return LOST
        put.answered_ok = answer == STORED
        return answer

    def _taken(self, request: Request, put: Put) -> Reply:
        multipart = _query(request).get("uploadId")
        if multipart is not None and multipart not in self.parts:
            return refusal("NoSuchUpload", 404)
        parts = self.parts.setdefault(multipart or key_of(request.target), {})
        if put.number in parts and request.headers.get("if-none-match") == "*":
            return refusal("PreconditionFailed", 412)
        sent = request.headers.get("x-amz-checksum-crc32")
        if sent is not None and sent != crc32(put.body):
            return refusal("BadDigest", 400)
        parts[put.number] = put.body
        return STORED

    @property
    def numbers(self) -> list[int]:
        return [put.number for put in self.puts]

    def sent_in_vain(self) -> list[int]:
        """Pieces that were sent again although the client had heard that they are stored."""
        known: set[int] = set()
        again = []
        for put in self.puts:
            again += [put.number] if put.number in known else []
            known |= {put.number} if put.answered_ok else set()
        return again


def key_of(target: str) -> str:
    """Without its bucket."""
    return unquote(urlsplit(target).path).split("/", 2)[2]


def crc32(body: bytes) -> str:
    return base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()


def _query(request: Request) -> dict[str, str]:
    return {name: found[0] for name, found in parse_qs(urlsplit(request.target).query).items()}


def _put_of(request: Request) -> Put:
    query = _query(request)
    by = query.get("X-Amz-Credential", "").split("/")[0]
    return Put(int(query.get("partNumber", 0)), request.body, by, request.headers)
