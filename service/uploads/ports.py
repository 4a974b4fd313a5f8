"""What uploads need of the world."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from service.uploads.model import Checksum, Upload, UploadStatus


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page ended: newest first, ties broken by id."""

    created_at: datetime
    id: str


class UploadRecords(Protocol):
    """The records. Raises UnavailableError when the database does not answer."""

    async def add(self, upload: Upload) -> bool:
        """False if its bucket, key and generation are taken; nothing is written then."""
        ...

    async def get(self, upload_id: str) -> Upload | None: ...

    async def by_key(self, bucket: str, key: str) -> Upload | None:
        """The newest record of a key."""
        ...

    async def page(
        self, user_id: str, *, status: UploadStatus | None, after: Cursor | None, limit: int
    ) -> Sequence[Upload]: ...

    async def transition(
        self, seen: Upload, status: UploadStatus, now: datetime, **changes: Any
    ) -> Upload | None:
        """One compare-and-set: None when the record is no longer in the state that was seen
        (status and ETag); then nothing was written.
        """
        ...

    async def overdue(self, now: datetime, limit: int) -> Sequence[Upload]:
        """Records whose `next_look_at` has come, the longest waiting first."""
        ...

    async def looked(self, seen: Upload, next_look_at: datetime | None) -> None:
        """Notes a look that found nothing."""
        ...


@dataclass(frozen=True, slots=True)
class StoredObject:
    """What the store answers to a HEAD. `size` in bytes, `etag` without quotes. Not `readable`:
    there, but encrypted with a key that only the client has, or with headers beyond S3's limits.
    """

    size: int
    etag: str
    content_type: str
    version_id: str | None = None
    checksum: Checksum | None = None
    readable: bool = True


class ObjectStore(Protocol):
    """Raises StoreUnavailableError (try again) and StoreRefusedError (set it up first)."""

    async def head(self, bucket: str, key: str) -> StoredObject | None: ...

    async def delete(self, bucket: str, key: str, *, etag: str | None) -> bool:
        """Deletes what has this ETag, or whatever is there for None. Gone already counts as done;
        False when another object stands there now, which is left alone.
        """
        ...


class Folders(Protocol):
    """Where a user's objects live."""

    async def folder_of(self, user_id: str) -> str:
        """The key prefix, ending in `/`, that this user's credentials can write into.
        Raises what Cognito's grant may raise.
        """
        ...
