"""The upload records in memory, as strict as the database's."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from errors import IdempotencyInFlightError, QuotaExceededError, TooManyUploadsError
from service.uploads.idempotency import Claim
from service.uploads.model import Origin, Transport, Upload, UploadStatus
from service.uploads.ports import Cursor
from service.uploads.quota import NO_LIMITS, Limits, Usage, charge, in_flight
from service.uploads.transitions import allowed
from tests.fakes.clock import START
from tests.fakes.idempotency import MemoryIdempotencyKeys

BUCKET = "uploads"
IDENTITY = "us-east-1:6f1c0f3e-2f0a-4c55-9a0e-6a4f4a7b1c2d"

NEVER_CHANGED = {"id", "user_id", "profile", "bucket", "key", "generation", "charged"}
BY_TRANSITION = {"status", "etag", "size"}


def upload(**changes: Any) -> Upload:
    """A pending upload of 5 bytes by `ada`, overdue after half a minute."""
    upload_id = changes.get("id", "upl_1")
    values: dict[str, Any] = {
        "id": upload_id,
        "user_id": "usr_ada",
        "status": UploadStatus.PENDING,
        "origin": Origin.API,
        "transport": Transport.CREDENTIALS,
        "transport_reason": "auto",
        "profile": "default",
        "filename": "a.txt",
        "content_type": "text/plain",
        "bucket": BUCKET,
        "key": f"{IDENTITY}/{upload_id}/a.txt",
        "created_at": START,
        "updated_at": START,
        "expires_at": START + timedelta(days=7),
        "next_look_at": START + timedelta(seconds=30),
        "metadata": {},
        "declared_size": 5,
    }
    return Upload(**{**values, **changes})


class MemoryRecords:
    """Implements service.uploads.ports.UploadRecords. The next `lost_races` transitions and the
    next `lost_amendments` find the record moved on; a transition into a state of `failing` raises
    what is given there, once. Claims are finished in `keys`.
    """

    def __init__(self, *rows: Upload, keys: MemoryIdempotencyKeys | None = None) -> None:
        self.rows = {row.id: row for row in rows}
        self.keys = keys or MemoryIdempotencyKeys()
        self.lost_races = 0
        self.lost_amendments = 0
        self.failing: dict[UploadStatus, Exception] = {}
        self.moves: list[UploadStatus] = []

    async def add(
        self, upload: Upload, *, limits: Limits = NO_LIMITS, claim: Claim | None = None
    ) -> bool:
        place = (upload.bucket, upload.key, upload.generation)
        taken = {(row.bucket, row.key, row.generation) for row in self.rows.values()}
        if upload.id in self.rows or place in taken:
            return False
        if claim is not None and not self.keys.holds(claim):
            raise IdempotencyInFlightError(retry_after=1)
        self._check(upload, limits, upload.charged, in_flight(upload.status))
        if claim is not None:
            self.keys.finish_now(claim, upload.id)
        self.rows[upload.id] = upload
        return True

    async def get(self, upload_id: str) -> Upload | None:
        return self.rows.get(upload_id)

    async def by_key(self, bucket: str, key: str) -> Upload | None:
        found = [row for row in self.rows.values() if (row.bucket, row.key) == (bucket, key)]
        return max(found, key=lambda row: row.generation, default=None)

    async def page(
        self,
        user_id: str,
        *,
        status: UploadStatus | None,
        after: Cursor | None,
        limit: int,
        fingerprint: str | None = None,
    ) -> Sequence[Upload]:
        found = [
            row
            for row in self.rows.values()
            if row.user_id == user_id
            and status in (None, row.status)
            and fingerprint in (None, row.fingerprint)
            and (after is None or (row.created_at, row.id) < (after.created_at, after.id))
        ]
        return sorted(found, key=lambda row: (row.created_at, row.id), reverse=True)[:limit]

    async def transition(
        self,
        seen: Upload,
        status: UploadStatus,
        now: datetime,
        *,
        limits: Limits = NO_LIMITS,
        **changes: Any,
    ) -> Upload | None:
        if not allowed(seen.status, status):
            raise ValueError(f"{seen.status} is never followed by {status}")
        _refuse(changes, NEVER_CHANGED)
        if status in self.failing:
            raise self.failing.pop(status)
        row = self.rows[seen.id]
        if self.lost_races:
            self.lost_races -= 1
            return None
        if (row.status, row.etag, row.charged) != (seen.status, seen.etag, seen.charged):
            return None
        charged = charge(seen, status, changes.get("size", seen.size))
        self._check(row, limits, charged - row.charged, 0)
        self.rows[row.id] = replace(row, status=status, charged=charged, updated_at=now, **changes)
        self.moves.append(status)
        return self.rows[row.id]

    async def amend(self, seen: Upload, now: datetime, **changes: Any) -> Upload | None:
        _refuse(changes, NEVER_CHANGED | BY_TRANSITION)
        row = self.rows[seen.id]
        if self.lost_amendments:
            self.lost_amendments -= 1
            return None
        known = (seen.status, seen.etag, seen.multipart_id)
        if (row.status, row.etag, row.multipart_id) != known:
            return None
        self.rows[row.id] = replace(row, updated_at=now, **changes)
        return self.rows[row.id]

    async def usage(self, user_id: str, profile: str) -> Usage:
        return self._usage(user_id, profile)

    async def overdue(self, now: datetime, limit: int) -> Sequence[Upload]:
        due = [
            (row.next_look_at, row.id, row)
            for row in self.rows.values()
            if row.next_look_at is not None and row.next_look_at <= now
        ]
        return [row for _, _, row in sorted(due)[:limit]]

    async def looked(self, seen: Upload, next_look_at: datetime | None) -> None:
        row = self.rows[seen.id]
        if (row.status, row.looks) == (seen.status, seen.looks):
            self.rows[row.id] = replace(row, next_look_at=next_look_at, looks=row.looks + 1)

    def _usage(self, user_id: str, profile: str) -> Usage:
        place = (user_id, profile)
        rows = [row for row in self.rows.values() if (row.user_id, row.profile) == place]
        return Usage(sum(row.charged for row in rows), sum(in_flight(row.status) for row in rows))

    def _check(self, upload: Upload, limits: Limits, more_bytes: int, more_in_flight: int) -> None:
        counted = self._usage(upload.user_id, upload.profile)
        quota = limits.quota
        if quota is not None and more_bytes > 0 and counted.bytes + more_bytes > quota:
            raise QuotaExceededError(f"{max(quota - counted.bytes, 0)} of {quota} bytes are left")
        most = limits.in_flight
        if most is not None and more_in_flight and counted.in_flight + more_in_flight > most:
            raise TooManyUploadsError(f"{most} uploads may be in flight at once")


def _refuse(changes: dict[str, Any], names: set[str]) -> None:
    if refused := names & changes.keys():
        raise ValueError(f"not to be changed here: {', '.join(sorted(refused))}")
