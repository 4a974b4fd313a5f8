"""The one multipart of a record: made after the record, by the service alone, and cleared away.

A stock transfer manager with credentials makes a multipart of its own and completes that; the
service's then stays unused and is aborted when the record is settled.
"""

import structlog

from errors import UploadEndedError, UploadgateError, UploadNotFoundError, UploadStateError
from service.clock import Clock
from service.uploads.model import Origin, Upload
from service.uploads.ports import Multiparts, UploadRecords
from service.uploads.transitions import ENDED

_log = structlog.get_logger("uploadgate.uploads")


class MultipartKeeper:
    def __init__(self, *, records: UploadRecords, multiparts: Multiparts, clock: Clock) -> None:
        self._records = records
        self._multiparts = multiparts
        self._clock = clock

    async def ensured(self, upload: Upload) -> Upload:
        """The record with its multipart, made now if there is none. Two who come at once make
        two, and the one that is not written down is aborted.
        """
        if upload.multipart_id is not None:
            return upload
        made = await self._multiparts.create(
            upload.bucket,
            upload.key,
            content_type=upload.content_type,
            upload_id=upload.id,
            algorithm=upload.part_checksum,
        )
        amended = await self._records.amend(upload, self._clock(), multipart_id=made)
        if amended is not None:
            return amended
        await self._abort(upload, made)
        return await self._another(upload)

    async def forgotten(self, upload: Upload) -> None:
        """The store knows the record's multipart no more: the next one asked for is made anew."""
        _log.warning("multipart.gone", upload_id=upload.id)
        await self._records.amend(upload, self._clock(), multipart_id=None)

    @staticmethod
    def may_lie_about(upload: Upload) -> bool:
        """Whether half-sent parts may be at its key. Small files never have any of ours."""
        planned = upload.part_count is not None or upload.declared_size is None
        return upload.origin is Origin.API and (planned or upload.multipart_id is not None)

    async def clear(self, upload: Upload) -> None:
        """Aborts every multipart at the record's key, whoever made it: this upload takes no more.
        Raises StoreUnavailableError or StoreRefusedError: try again later.
        """
        for multipart_id in await self._multiparts.of_key(upload.bucket, upload.key):
            await self._multiparts.abort(upload.bucket, upload.key, multipart_id)
        if upload.multipart_id is not None:
            # Not all stores list what was made a moment ago.
            await self._multiparts.abort(upload.bucket, upload.key, upload.multipart_id)
            await self._records.amend(upload, self._clock(), multipart_id=None)

    async def try_to_clear(self, upload: Upload) -> None:
        """As `clear`; what fails now, the sweep does when it comes by."""
        try:
            await self.clear(upload)
        except UploadgateError as error:
            _log.warning("multipart.not_cleared", upload_id=upload.id, cause=error.code)

    async def _abort(self, upload: Upload, multipart_id: str) -> None:
        """Of no use to anybody; the sweep finds it by its key, once the upload has ended, should
        this fail.
        """
        try:
            await self._multiparts.abort(upload.bucket, upload.key, multipart_id)
        except UploadgateError as error:
            _log.warning("multipart.not_aborted", upload_id=upload.id, cause=error.code)

    async def _another(self, upload: Upload) -> Upload:
        fresh = await self._records.get(upload.id)
        if fresh is None:
            raise UploadNotFoundError
        if fresh.status in ENDED:
            raise UploadEndedError(f"The upload is {fresh.status}")
        if fresh.multipart_id is None:
            raise UploadStateError("The upload moved on meanwhile; look at it again")
        return fresh
