"""Showing, listing and deleting uploads."""

from collections.abc import Sequence
from datetime import timedelta

import structlog

from errors import UploadNotFoundError, UploadStateError
from service.clock import Clock
from service.uploads.model import Upload, UploadStatus
from service.uploads.multiparts import MultipartKeeper
from service.uploads.ports import Cursor, ObjectStore, UploadRecords
from service.uploads.transitions import ARRIVED, ENDED, IN_FLIGHT

_log = structlog.get_logger("uploadgate.uploads")
_DELETED = "deleted by the user"


class Uploads:
    """The caller's own uploads; another user's do not exist for them."""

    def __init__(
        self,
        *,
        records: UploadRecords,
        store: ObjectStore,
        keeper: MultipartKeeper,
        overdue: timedelta,
        clock: Clock,
    ) -> None:
        self._records = records
        self._store = store
        self._keeper = keeper
        self._overdue = overdue
        self._clock = clock

    async def get(self, user_id: str, upload_id: str) -> Upload:
        """Raises UploadNotFoundError, for another user's upload too."""
        upload = await self._records.get(upload_id)
        if upload is None or upload.user_id != user_id:
            raise UploadNotFoundError
        return upload

    async def by_key(self, user_id: str, bucket: str, key: str) -> Upload:
        """The newest record of a key. Raises UploadNotFoundError."""
        upload = await self._records.by_key(bucket, key)
        if upload is None or upload.user_id != user_id:
            raise UploadNotFoundError
        return upload

    async def page(
        self,
        user_id: str,
        *,
        status: UploadStatus | None,
        after: Cursor | None,
        limit: int,
        fingerprint: str | None = None,
    ) -> tuple[Sequence[Upload], Cursor | None]:
        """Newest first; the cursor is None on the last page."""
        found = await self._records.page(
            user_id, status=status, after=after, limit=limit + 1, fingerprint=fingerprint
        )
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
        if upload.status is UploadStatus.RECEIVED:
            raise UploadStateError("The upload is being verified; ask again in a moment")
        if upload.status in IN_FLIGHT:
            return await self.abort(upload)
        await self._delete_object(upload)
        return await self._deleted(upload)

    async def _deleted(self, seen: Upload) -> Upload:
        """Its object is gone: the record says so, even if it moved on in between."""
        try:
            return await self._ended(seen, UploadStatus.DELETED, _DELETED)
        except UploadStateError:
            now = await self.get(seen.user_id, seen.id)
            if now.status in ENDED:
                return now
            if now.etag != seen.etag or now.status not in ARRIVED:
                raise
            return await self._ended(now, UploadStatus.DELETED, _DELETED)

    async def abort(self, seen: Upload) -> Upload:
        """Of an upload in flight. Raises UploadStateError when it has moved on since."""
        aborted = await self._ended(seen, UploadStatus.ABORTED, "aborted by the user")
        await self._keeper.try_to_clear(aborted)
        return aborted

    async def _ended(self, upload: Upload, status: UploadStatus, reason: str) -> Upload:
        now = self._clock()
        # The client's own credentials may still write: the sweep deletes what comes.
        look_again = now + self._overdue
        ended = await self._records.transition(
            upload, status, now, status_reason=reason, next_look_at=look_again, looks=0
        )
        if ended is None:
            raise UploadStateError("The upload moved on meanwhile; look at it again")
        _log.info(f"upload.{status}", upload_id=upload.id, by="user")
        return ended

    async def _delete_object(self, upload: Upload) -> None:
        if not await self._store.delete(upload.bucket, upload.key, etag=upload.etag):
            # Its event is late or lost: the sweep looks now, and tells it as replaced.
            await self._records.looked(upload, self._clock())
            raise UploadStateError("The object was written again meanwhile; ask again in a moment")
