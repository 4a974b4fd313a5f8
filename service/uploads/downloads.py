"""Giving a verified object back: always as an attachment, under its original name."""

from datetime import timedelta

from errors import UploadEndedError, UploadStateError
from service.clock import Clock
from service.uploads.disposition import attachment, download_type
from service.uploads.model import Upload, UploadStatus
from service.uploads.pins import pin_stands
from service.uploads.policy import Policy
from service.uploads.ports import ObjectStore, StoredObject, UploadRecords
from service.uploads.signed import SignedRequest, Signer
from service.uploads.transitions import ENDED


class Downloads:
    def __init__(
        self,
        *,
        records: UploadRecords,
        store: ObjectStore,
        signer: Signer,
        policy: Policy,
        url_life: timedelta,
        clock: Clock,
    ) -> None:
        self._records = records
        self._store = store
        self._signer = signer
        self._policy = policy
        self._url_life = url_life
        self._clock = clock

    async def sign(self, upload: Upload) -> SignedRequest:
        """A GET of the verified version. Raises UploadEndedError or UploadStateError for what is
        not there, not verified, or quarantined.
        """
        if upload.status in ENDED:
            raise UploadEndedError(f"The upload is {upload.status}")
        if upload.status not in (UploadStatus.COMPLETED, UploadStatus.REPLACED):
            raise UploadStateError(f"The upload is {upload.status}, not completed")
        await self._check_same(upload)
        return await self._signer.get(
            upload.bucket,
            upload.key,
            version_id=upload.version_id,
            content_disposition=attachment(upload.filename),
            content_type=download_type(upload.content_type),
            seconds=int(self._url_life.total_seconds()),
        )

    async def _check_same(self, upload: Upload) -> None:
        """What is given back is what was verified: an event of an overwrite may be late or lost.
        Between this look and the download a version id alone is certain.
        """
        stored = await self._store.head(upload.bucket, upload.key)
        if not await self._is_verified(upload, stored):
            await self._records.looked(upload, self._clock())
            raise UploadStateError("The object was written again meanwhile; ask again in a moment")

    async def _is_verified(self, upload: Upload, stored: StoredObject | None) -> bool:
        if stored is None or stored.etag != upload.etag:
            return False
        return await pin_stands(self._store, upload, stored)
