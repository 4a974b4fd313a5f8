"""The service, faked as the engine sees it: the methods of `client.api.Api`, and the relay."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from urllib.parse import quote

from client.grants import Issued
from client.problems import ApiError, CredentialsError
from client.signed import Signed, StoredPart
from client.wire import Checksum, Keys, Place, Upload
from tests.fakes.http_stub import Reply, Request
from tests.unit.client.engine.fake_store import FakeStore

PART = 1024
BUCKET, PREFIX = "uploads", "us-east-1:me/"


def problem(code: str, status: int = 409, mode: Any = "fatal", **facts: Any) -> ApiError:
    return ApiError(code, code, code, status=status, retry_mode=mode, facts=facts)


@dataclass
class FakeService:
    """`failing` are errors by the name of the call, raised one by one. `relay_faults`: how many
    pieces are stored before the request ends with that answer. `calls` in their order.
    """

    store: FakeStore
    store_url: str
    transport: str = "credentials"
    largest_whole: int = PART
    url_life: timedelta = timedelta(minutes=15)
    key_life: timedelta = timedelta(hours=1)
    no_keys: CredentialsError | None = None
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)
    calls: list[tuple[str, Any]] = field(default_factory=list)
    failing: dict[str, list[Exception]] = field(default_factory=dict)
    on_call: Callable[[str], None] = lambda _: None
    relay_faults: list[tuple[int, Reply]] = field(default_factory=list)
    relayed: list[tuple[str, bytes]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def _called(self, name: str, what: Any = None) -> None:
        self.calls.append((name, what))
        self.on_call(name)
        if errors := self.failing.get(name):
            raise errors.pop(0)

    def asked(self, name: str) -> list[Any]:
        return [what for called, what in self.calls if called == name]

    # --- records -----------------------------------------------------------------------------

    def create_upload(
        self,
        filename: str,
        size: int,
        content_type: str,
        *,
        transport: str,
        profile: str | None,
        checksum: Checksum | None,
        fingerprint: str,
    ) -> Upload:
        upload_id = f"upl_{next(self._numbers)}"
        digest = {"algorithm": checksum.algorithm, "value": checksum.value} if checksum else None
        record: dict[str, Any] = {
            "id": upload_id,
            "status": "pending",
            "transport": self.transport if transport == "auto" else transport,
            "profile": profile or "default",
            "filename": filename,
            "size": size,
            "content_type": content_type,
            "bucket": BUCKET,
            "key": f"{PREFIX}{upload_id}/a b+ü.bin",
            "created_at": "2030-01-01T12:00:00Z",
            "checksum": digest,
            "multipart": None,
        }
        self.records[upload_id] = record
        self.fingerprints[upload_id] = fingerprint
        if size > self.largest_whole:
            self._new_multipart(record)
        self._called("create", transport)
        return self._shown(record)

    def upload(self, upload_id: str) -> Upload:
        self._called("upload")
        return self._shown(self.records[upload_id])

    def uploads(self, *, fingerprint: str) -> Iterator[Upload]:
        self._called("uploads", fingerprint)
        for upload_id in reversed(self.records):
            if self.fingerprints[upload_id] == fingerprint:
                yield self._shown(self.records[upload_id])

    def delete_upload(self, upload_id: str) -> None:
        self._called("delete", upload_id)
        self.records[upload_id]["status"] = "aborted"

    # --- sending -----------------------------------------------------------------------------

    def sign_parts(
        self, upload_id: str, numbers: Sequence[int], checksums: Mapping[int, str] | None = None
    ) -> dict[int, Signed]:
        self._called("sign", list(numbers))
        record = self.records[upload_id]
        if record["size"] <= self.largest_whole:
            raise problem("invalid_part", 422)
        record["transport"] = "presigned"
        if not self._has_multipart(record):
            self._new_multipart(record)
        multipart = record["multipart"]["upload_id"]
        sums = {n: {"x-amz-checksum-crc32": value} for n, value in (checksums or {}).items()}
        return {
            number: self._signed(
                record, f"partNumber={number}&uploadId={multipart}&", sums.get(number, {})
            )
            for number in numbers
        }

    def switch_transport(self, upload_id: str, transport: str) -> Upload:
        self._called("switch", transport)
        self.records[upload_id]["transport"] = transport
        return self._shown(self.records[upload_id])

    def stored_parts(self, upload_id: str) -> list[StoredPart]:
        self._called("stored")
        found = self._parts(self.records[upload_id])
        return [StoredPart(number, len(body)) for number, body in sorted(found.items())]

    def complete_upload(self, upload_id: str) -> Upload:
        self._called("complete")
        record = self.records[upload_id]
        if record["status"] != "completed":
            self._complete(record)
        return self._shown(record)

    # --- relay -------------------------------------------------------------------------------

    def content_url(self, upload_id: str) -> str:
        return f"{self.store.stub.url}/v1/uploads/{upload_id}/content"

    def access_token(self) -> str:
        return f"token-{len(self.asked('renew'))}"

    def renewed_token(self, refused: str) -> str:
        self._called("renew", refused)
        return self.access_token()

    def take(self, request: Request) -> Reply:
        """As `PUT …/content` answers."""
        record = self.records[request.target.split("/")[3]]
        record["transport"] = "relay"
        self.relayed.append((request.headers.get("content-range", ""), request.body))
        kept, reply = self.relay_faults.pop(0) if self.relay_faults else (10_000, None)
        pieces = self._pieces(record, request)[:kept]
        self._parts(record).update(pieces)
        if not self._missing(record):
            record["status"] = "completed"
        return reply or Reply(body=json.dumps(dict(self._shown(record).raw)).encode())

    def _pieces(self, record: dict[str, Any], request: Request) -> list[tuple[int, bytes]]:
        if record["multipart"] is None:
            return [(0, request.body)]
        span = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", request.headers["content-range"])
        assert span is not None
        first, last, total = map(int, span.groups())
        assert (last + 1 - first, total) == (len(request.body), record["size"])
        assert first % PART == 0
        starts = range(0, len(request.body), PART)
        return [((first + at) // PART + 1, request.body[at : at + PART]) for at in starts]

    # --- credentials -------------------------------------------------------------------------

    def issue(self) -> Issued:
        self._called("issue")
        if self.no_keys is not None:
            raise self.no_keys
        keys = Keys(f"ASIA{next(self._numbers)}", "secret-1", "session-1", now() + self.key_life)
        return Issued(keys, Place("us-east-1", self.store_url, BUCKET, PREFIX), timedelta(0))

    # --- what came of it ---------------------------------------------------------------------

    @property
    def record(self) -> dict[str, Any]:
        """The newest."""
        return self.records[next(reversed(self.records))]

    @property
    def content(self) -> bytes:
        parts = self._parts(self.record)
        return b"".join(parts[number] for number in sorted(parts))

    # --- inside ------------------------------------------------------------------------------

    def _new_multipart(self, record: dict[str, Any]) -> None:
        upload_id = f"mp/{next(self._numbers)}+="
        self.store.parts[upload_id] = {}
        digest = record["checksum"]
        record["multipart"] = {
            "upload_id": upload_id,
            "part_size": PART,
            "part_count": -(-record["size"] // PART),
            "checksum_algorithm": digest["algorithm"] if digest else None,
        }

    def _has_multipart(self, record: dict[str, Any]) -> bool:
        multipart = record["multipart"]
        return multipart is not None and multipart["upload_id"] in self.store.parts

    def _shown(self, record: dict[str, Any]) -> Upload:
        put = None
        if record["multipart"] is None and record["transport"] == "presigned":
            signed = self._signed(record, "", {"If-None-Match": "*"})
            put = {
                "url": signed.url,
                "headers": dict(signed.headers),
                "expires_at": signed.expires_at.isoformat(),
            }
        return Upload.read({**record, "put": put, "server_time": now().isoformat()})

    def _signed(self, record: dict[str, Any], query: str, headers: Mapping[str, str]) -> Signed:
        by = f"X-Amz-Credential=service-{next(self._numbers)}/x"
        path = f"{BUCKET}/{quote(record['key'])}?{query.replace('+', '%2B')}{by}"
        terms = {"x-signed": "yes", **headers}
        return Signed(f"{self.store_url}/{path}", terms, now() + self.url_life)

    def _parts(self, record: dict[str, Any]) -> dict[int, bytes]:
        multipart = record["multipart"]
        if multipart is None:
            return self.store.parts.setdefault(record["key"], {})
        return self.store.parts.get(multipart["upload_id"], {})

    def _missing(self, record: dict[str, Any]) -> list[int]:
        sizes = {number: len(body) for number, body in self._parts(record).items()}
        if record["multipart"] is None:
            return [] if 0 in sizes else [0]
        wanted = range(1, record["multipart"]["part_count"] + 1)
        size = record["size"]
        return [n for n in wanted if sizes.get(n) != min(PART, size - (n - 1) * PART)]

    def _complete(self, record: dict[str, Any]) -> None:
        if record["multipart"] is not None and not self._has_multipart(record):
            raise problem("multipart_gone", mode="resign")
        if missing := self._missing(record):
            named = missing if record["multipart"] else []
            raise problem("upload_incomplete", mode="resign", missing_parts=named)
        record["status"] = "completed"


def now() -> datetime:
    return datetime.now(UTC)
