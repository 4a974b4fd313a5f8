"""The upload records in memory, as strict as the database's."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from service.uploads.model import Origin, Transport, Upload, UploadStatus
from service.uploads.ports import Cursor
from service.uploads.transitions import allowed
from tests.fakes.clock import START

BUCKET = "uploads"
IDENTITY = "us-east-1:6f1c0f3e-2f0a-4c55-9a0e-6a4f4a7b1c2d"


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
    """Implements service.uploads.ports.UploadRecords. The next `lost_races` transitions find the
    record moved on; a transition into a state of `failing` raises what is given there, once.
    """

    def __init__(self, *rows: Upload) -> None:
        self.rows = {row.id: row for row in rows}
        self.lost_races = 0
        self.failing: dict[UploadStatus, Exception] = {}
        self.moves: list[UploadStatus] = []

    async def add(self, upload: Upload) -> bool:
        place = (upload.bucket, upload.key, upload.generation)
        if any((row.bucket, row.key, row.generation) == place for row in self.rows.values()):
            return False
        self.rows[upload.id] = upload
        return True

    async def get(self, upload_id: str) -> Upload | None:
        return self.rows.get(upload_id)

    async def by_key(self, bucket: str, key: str) -> Upload | None:
        found = [row for row in self.rows.values() if (row.bucket, row.key) == (bucket, key)]
        return max(found, key=lambda row: row.generation, default=None)

    async def page(
        self, user_id: str, *, status: UploadStatus | None, after: Cursor | None, limit: int
    ) -> Sequence[Upload]:
        found = [
            row
            for row in self.rows.values()
            if row.user_id == user_id
            and status in (None, row.status)
            and (after is None or (row.created_at, row.id) < (after.created_at, after.id))
        ]
        return sorted(found, key=lambda row: (row.created_at, row.id), reverse=True)[:limit]

    async def transition(
        self, seen: Upload, status: UploadStatus, now: datetime, **changes: Any
    ) -> Upload | None:
        assert allowed(seen.status, status)
        if status in self.failing:
            raise self.failing.pop(status)
        row = self.rows[seen.id]
        if self.lost_races:
            self.lost_races -= 1
            return None
        if (row.status, row.etag) != (seen.status, seen.etag):
            return None
        self.rows[row.id] = replace(row, status=status, updated_at=now, **changes)
        self.moves.append(status)
        return self.rows[row.id]

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
