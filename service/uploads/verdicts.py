"""What is quarantined stays so until somebody has looked at it."""

from typing import Any, Literal

import structlog

from errors import UploadNotFoundError, UploadStateError
from service.clock import Clock
from service.uploads.model import Upload, UploadStatus
from service.uploads.ports import ObjectStore, UploadRecords
from service.uploads.transitions import IN_FLIGHT

_log = structlog.get_logger("uploadgate.uploads")
Verdict = Literal["clean", "rejected"]
_SAME = {
    "clean": frozenset({UploadStatus.COMPLETED, UploadStatus.REPLACED}),
    "rejected": frozenset({UploadStatus.REJECTED}),
}


class Verdicts:
    """For administrators: any user's upload."""

    def __init__(self, *, records: UploadRecords, store: ObjectStore, clock: Clock) -> None:
        self._records = records
        self._store = store
        self._clock = clock

    async def give(
        self, upload_id: str, verdict: Verdict, reason: str | None, etag: str | None = None
    ) -> Upload:
        """The same verdict twice is one. `etag` is of the bytes that were looked at: a verdict that
        comes late must not be taken for what was written since. Raises UploadNotFoundError, and
        UploadStateError for what is not quarantined or was written again since it was verified.
        """
        upload = await self._records.get(upload_id)
        if upload is None:
            raise UploadNotFoundError
        if etag is not None and etag != upload.etag:
            raise UploadStateError(
                "The object is not the one that was looked at", final=upload.etag is not None
            )
        if upload.status in _SAME[verdict]:
            return upload
        if upload.status is not UploadStatus.QUARANTINED:
            coming = IN_FLIGHT | {UploadStatus.RECEIVED}
            raise UploadStateError(
                f"The upload is {upload.status}, not quarantined", final=upload.status not in coming
            )
        given = await self._given(upload, verdict, reason or "rejected by a verdict")
        if given is not None:
            return given
        moved = await self._records.get(upload_id)
        if moved is not None and moved.status in _SAME[verdict] and moved.etag == upload.etag:
            return moved  # by the same verdict, which came at the same time
        raise UploadStateError("The upload moved on meanwhile; look at it again")

    async def _given(self, upload: Upload, verdict: Verdict, reason: str) -> Upload | None:
        """None where it moved meanwhile."""
        if verdict == "clean":
            return await self._release(upload)
        return await self._reject(upload, reason)

    async def _release(self, upload: Upload) -> Upload | None:
        stored = await self._store.head(upload.bucket, upload.key)
        if stored is None or stored.etag != upload.etag:
            raise UploadStateError("The object is not the one that was verified")
        if upload.completed_at is not None:  # with other bytes, before it was written again
            return await self._moved(upload, UploadStatus.REPLACED)
        return await self._moved(upload, UploadStatus.COMPLETED, completed_at=self._clock())

    async def _reject(self, upload: Upload, reason: str) -> Upload | None:
        now = self._clock()
        rejected = await self._moved(
            upload, UploadStatus.REJECTED, status_reason=reason, next_look_at=now, looks=0
        )
        if rejected is not None:
            await self._store.delete(upload.bucket, upload.key, etag=upload.etag)
        return rejected

    async def _moved(self, upload: Upload, status: UploadStatus, **changes: Any) -> Upload | None:
        moved = await self._records.transition(upload, status, self._clock(), **changes)
        if moved is not None:
            _log.info(f"upload.{status}", upload_id=upload.id, by="verdict")
        return moved
