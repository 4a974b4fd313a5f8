"""Creating, showing, listing and deleting uploads."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from errors import TransportUnavailableError, UploadNotFoundError, UploadStateError
from service.clock import Clock
from service.uploads.keys import object_key
from service.uploads.model import Checksum, Origin, Transport, Upload, UploadStatus
from service.uploads.policy import Policy
from service.uploads.ports import Cursor, Folders, ObjectStore, UploadRecords
from service.uploads.transitions import ENDED, IN_FLIGHT

TransportChoice = Literal["auto", "credentials", "presigned", "relay"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUpload:
    """What a client announces. `size` in bytes."""

    filename: str
    size: int
    content_type: str
    profile: str | None = None
    checksum: Checksum | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    fingerprint: str | None = None
    transport: TransportChoice = "auto"


@dataclass(frozen=True, slots=True)
class Timing:
    """`overdue` is how long the store's word is waited for before the sweep looks itself."""

    expires: timedelta
    overdue: timedelta


class Uploads:
    """The caller's own uploads; another user's do not exist for them."""

    def __init__(
        self,
        *,
        records: UploadRecords,
        store: ObjectStore,
        folders: Folders,
        policy: Policy,
        bucket: str,
        timing: Timing,
        clock: Clock,
    ) -> None:
        self._records = records
        self._store = store
        self._folders = folders
        self._policy = policy
        self._bucket = bucket
        self._timing = timing
        self._clock = clock

    async def create(self, user_id: str, new: NewUpload) -> Upload:
        """Record first: nothing exists at the store yet, and nothing may without this row."""
        profile = self._policy.profile(new.profile)
        self._policy.check_size(profile, new.size)
        transport, reason = self._transport(new.transport)
        prefix = await self._folders.folder_of(user_id)
        now = self._clock()
        upload_id = f"upl_{uuid.uuid4().hex}"
        upload = Upload(
            id=upload_id,
            user_id=user_id,
            status=UploadStatus.PENDING,
            origin=Origin.API,
            transport=transport,
            transport_reason=reason,
            profile=profile.name,
            filename=new.filename,
            content_type=new.content_type,
            declared_size=new.size,
            declared_checksum=new.checksum,
            bucket=self._bucket,
            key=object_key(prefix, upload_id, new.filename),
            metadata=dict(new.metadata),
            fingerprint=new.fingerprint,
            created_at=now,
            updated_at=now,
            expires_at=now + self._timing.expires,
            next_look_at=now + self._timing.overdue,
        )
        await self._records.add(upload)
        return upload

    def _transport(self, asked: TransportChoice) -> tuple[Transport, str]:
        """Credentials are the one transport built so far; the others are named, not pretended."""
        if asked in ("presigned", "relay"):
            raise TransportUnavailableError(f"The transport {asked} is not offered here")
        self._policy.check_credentials()
        return Transport.CREDENTIALS, "auto" if asked == "auto" else "requested"

    async def get(self, user_id: str, upload_id: str) -> Upload:
        """Raises UploadNotFoundError, for another user's upload too."""
        upload = await self._records.get(upload_id)
        if upload is None or upload.user_id != user_id:
            raise UploadNotFoundError
        return upload

    async def page(
        self, user_id: str, *, status: UploadStatus | None, after: Cursor | None, limit: int
    ) -> tuple[Sequence[Upload], Cursor | None]:
        """Newest first; the cursor is None on the last page."""
        found = await self._records.page(user_id, status=status, after=after, limit=limit + 1)
        page = found[:limit]
        more = len(found) > limit
        return page, Cursor(page[-1].created_at, page[-1].id) if more else None

    async def delete(self, user_id: str, upload_id: str) -> Upload:
        """In flight: aborted. Arrived: the object goes first, then the record says so, so that a
        failure between the two is mended by asking again. Ended already: as it is.
        """
        upload = await self.get(user_id, upload_id)
        if upload.status in ENDED:
            return upload
        if upload.status in IN_FLIGHT:
            after, reason = UploadStatus.ABORTED, "aborted by the user"
        elif upload.status is UploadStatus.RECEIVED:
            raise UploadStateError("The upload is being verified; ask again in a moment")
        else:
            after, reason = UploadStatus.DELETED, "deleted by the user"
            await self._delete_object(upload)
        now = self._clock()
        # The client's own credentials may still write: the sweep deletes what comes.
        look_again = now + self._timing.overdue
        ended = await self._records.transition(
            upload, after, now, status_reason=reason, next_look_at=look_again, looks=0
        )
        if ended is None:
            raise UploadStateError("The upload moved on meanwhile; look at it again")
        return ended

    async def _delete_object(self, upload: Upload) -> None:
        if not await self._store.delete(upload.bucket, upload.key, etag=upload.etag):
            # Its event is late or lost: the sweep looks now, and tells it as replaced.
            await self._records.looked(upload, self._clock())
            raise UploadStateError("The object was written again meanwhile; ask again in a moment")
