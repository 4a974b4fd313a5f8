"""Giving a verified object back: always as an attachment, under its original name."""

from datetime import timedelta

from errors import UploadEndedError, UploadStateError
from service.uploads.disposition import attachment, download_type
from service.uploads.model import Upload, UploadStatus
from service.uploads.policy import Policy
from service.uploads.signed import SignedRequest, Signer
from service.uploads.transitions import ENDED


class Downloads:
    def __init__(self, *, signer: Signer, policy: Policy, url_life: timedelta) -> None:
        self._signer = signer
        self._policy = policy
        self._url_life = url_life

    async def sign(self, upload: Upload) -> SignedRequest:
        """A GET of the verified version. Raises UploadEndedError or UploadStateError for what is
        not there, not verified, or quarantined (a replacement has no verdict of its own).
        """
        if upload.status in ENDED:
            raise UploadEndedError(f"The upload is {upload.status}")
        quarantined = self._policy.of_record(upload.profile).quarantine
        replaced = upload.status is UploadStatus.REPLACED
        verified = replaced and upload.next_look_at is None and not quarantined
        if upload.status is not UploadStatus.COMPLETED and not verified:
            raise UploadStateError(f"The upload is {upload.status}, not completed")
        return await self._signer.get(
            upload.key,
            version_id=upload.version_id,
            content_disposition=attachment(upload.filename),
            content_type=download_type(upload.content_type),
            seconds=int(self._url_life.total_seconds()),
        )
