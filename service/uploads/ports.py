"""What uploads need of the world."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from service.uploads.idempotency import Claim
from service.uploads.model import Checksum, ChecksumAlgorithm, Upload, UploadStatus
from service.uploads.quota import NO_LIMITS, Limits, Usage
from service.uploads.signed import SignedRequest


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page ended: newest first, ties broken by id."""

    created_at: datetime
    id: str


class UploadRecords(Protocol):
    """The records. Raises UnavailableError when the database does not answer."""

    async def add(
        self, upload: Upload, *, limits: Limits = NO_LIMITS, claim: Claim | None = None
    ) -> bool:
        """Reserves what it is charged, and finishes the claim, in the same transaction. False if
        its bucket, key and generation are taken. Raises QuotaExceededError, TooManyUploadsError,
        or IdempotencyInFlightError when the claim has passed to somebody else. In all these cases
        nothing is written.
        """
        ...

    async def get(self, upload_id: str) -> Upload | None: ...

    async def by_key(self, bucket: str, key: str) -> Upload | None:
        """The newest record of a key."""
        ...

    async def page(
        self,
        user_id: str,
        *,
        status: UploadStatus | None,
        after: Cursor | None,
        limit: int,
        fingerprint: str | None = None,
    ) -> Sequence[Upload]: ...

    async def transition(
        self,
        seen: Upload,
        status: UploadStatus,
        now: datetime,
        *,
        limits: Limits = NO_LIMITS,
        **changes: Any,
    ) -> Upload | None:
        """One compare-and-set, which settles the quota and writes the event (the timeline, the
        page's stream and the outbox) in the same transaction: None when the record is no longer in
        the state that was seen (status, ETag and charge). Raises
        QuotaExceededError where it would count more than before and that is over the limits.
        In both cases nothing is written.
        """
        ...

    async def amend(self, seen: Upload, now: datetime, **changes: Any) -> Upload | None:
        """Changes without a change of state (transport, multipart, …); compares the multipart's
        id besides. None when the record has moved on; then nothing was written.
        """
        ...

    async def usage(self, user_id: str, profile: str) -> Usage: ...

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
    `upload_id` is what the object's own metadata says (UPLOAD_ID_METADATA).
    """

    size: int
    etag: str
    content_type: str
    version_id: str | None = None
    checksum: Checksum | None = None
    readable: bool = True
    upload_id: str | None = None


class ObjectStore(Protocol):
    """Raises StoreUnavailableError (try again) and StoreRefusedError (set it up first)."""

    async def head(self, bucket: str, key: str) -> StoredObject | None:
        """The newest version, or None where nothing stands. A missing bucket may look the same."""
        ...

    async def confirm_absent(self, bucket: str, key: str) -> None:
        """Asks in another way, before what cannot be undone. Raises StoreUnavailableError or
        StoreRefusedError unless the store itself says that its bucket has nothing there.
        """
        ...

    async def has_version(self, bucket: str, key: str, version_id: str) -> bool: ...

    async def delete(self, bucket: str, key: str, *, etag: str | None) -> bool:
        """Deletes what has this ETag, or whatever is there for None. Gone already counts as done;
        False when another object stands there now, which is left alone.
        """
        ...

    async def tags(self, bucket: str, key: str, *, version_id: str | None) -> Mapping[str, str]:
        """Of this version, or of what stands there now for None. What is gone has none."""
        ...


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A part that the store has. `size` in bytes, `etag` without quotes."""

    number: int
    size: int
    etag: str
    checksum: Checksum | None = None


@dataclass(frozen=True, slots=True)
class ListedMultipart:
    """One that is under way, as a list names it. `initiated` by the store's clock."""

    key: str
    multipart_id: str
    initiated: datetime


@dataclass(frozen=True, slots=True)
class MultipartMarker:
    """Where a page of multiparts ended; some stores name one of the two only."""

    key: str | None
    multipart_id: str | None


@dataclass(frozen=True, slots=True)
class MultipartPage:
    """`following` is None on the last page."""

    items: Sequence[ListedMultipart]
    following: MultipartMarker | None


class Completed(StrEnum):
    """How the store took the completion of a multipart."""

    DONE = "done"
    EXISTS = "exists"  # an object is there already (If-None-Match: *)
    GONE = "gone"  # there is no such multipart (any more)
    CHECKSUM_DIFFERS = "checksum_differs"
    PARTS_REFUSED = "parts_refused"  # one is missing, too small, or not the one that was named
    CONFLICT = "conflict"  # something else writes this key just now


class Multiparts(Protocol):
    """Multiparts at the store. Raises StoreUnavailableError and StoreRefusedError."""

    async def create(
        self,
        bucket: str,
        key: str,
        *,
        content_type: str,
        upload_id: str,
        algorithm: ChecksumAlgorithm | None,
    ) -> str:
        """The store's id of a new one, which carries our upload's id in its metadata. With an
        algorithm its checksum is one of the full object.
        """
        ...

    async def parts(self, bucket: str, key: str, multipart_id: str) -> Sequence[StoredPart] | None:
        """All of them, however many pages the store makes of them, by number. None when there is
        no such multipart.
        """
        ...

    async def complete(
        self,
        bucket: str,
        key: str,
        multipart_id: str,
        parts: Sequence[StoredPart],
        *,
        checksum: Checksum | None,
    ) -> Completed:
        """Only where nothing is yet (`If-None-Match: *`). The store is told the whole size, and
        the checksum where there is one, to check both.
        """
        ...

    async def abort(self, bucket: str, key: str, multipart_id: str) -> None:
        """Gone already counts as done."""
        ...

    async def of_key(self, bucket: str, key: str) -> Sequence[str]:
        """The ids of all multiparts under way at exactly this key, whoever made them."""
        ...

    async def page(self, bucket: str, after: MultipartMarker | None) -> MultipartPage:
        """Some of the multiparts under way in the whole bucket, whoever made them, in the store's
        order: those after the marker, or the first.
        """
        ...


class Sink(Protocol):
    """Sends bytes on to the store as they come, and holds no more than a few chunks of them."""

    async def send(self, target: SignedRequest, *, size: int, chunks: AsyncIterator[bytes]) -> None:
        """One signed PUT of exactly `size` bytes. An error of `chunks` is raised as it is, and
        nothing is stored then. Raises InvalidRequestError for chunks of another size in all,
        StoreUnavailableError, StoreRefusedError, MultipartGoneError, and UploadStateError where
        the store has an object there already.
        """
        ...


class Folders(Protocol):
    """Where a user's objects live."""

    async def folder_of(self, user_id: str) -> str:
        """The key prefix, ending in `/`, that this user's credentials can write into.
        Raises what Cognito's grant may raise.
        """
        ...

    async def known_folder_of(self, user_id: str) -> str:
        """The same where the user's identity is known, else a folder that no credentials can
        write into. Never asks Cognito.
        """
        ...

    async def check(self) -> None:
        """Raises what Cognito raised when it was last asked, for a while."""
        ...
