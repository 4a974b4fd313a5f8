"""For transfer managers that plan their parts themselves and name their multipart as S3 does.

The multipart is the service's own all the same, so the service completes it, from the store's
list, after checking that this is what the client means.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from errors import InvalidPartError, MultipartGoneError, UploadIncompleteError, UploadStateError
from service.clock import Clock
from service.uploads.completing import Completing
from service.uploads.model import Transport, Upload
from service.uploads.multiparts import MultipartKeeper
from service.uploads.ports import Multiparts, StoredPart, UploadRecords
from service.uploads.signed import PartTerms, SignedRequest
from service.uploads.transfers import Transfers, check_in_flight
from service.uploads.transitions import IN_FLIGHT
from service.uploads.uploads import Uploads

_ROUNDS = 5


class OwnParts:
    def __init__(
        self,
        *,
        records: UploadRecords,
        multiparts: Multiparts,
        keeper: MultipartKeeper,
        transfers: Transfers,
        completing: Completing,
        uploads: Uploads,
        clock: Clock,
    ) -> None:
        self._records = records
        self._multiparts = multiparts
        self._keeper = keeper
        self._transfers = transfers
        self._completing = completing
        self._uploads = uploads
        self._clock = clock

    async def begin(self, upload: Upload) -> Upload:
        """The record with its multipart; asked again, the same one. From here on no plan of the
        service's counts. Raises what switching the transport and the store may raise.
        """
        for _ in range(_ROUNDS):
            upload = await self._transfers.switched(upload, Transport.PRESIGNED)
            unplanned = await self._without_plan(upload)
            if unplanned is not None:
                return await self._keeper.ensured(unplanned)
            upload = await self._records.get(upload.id) or upload
        raise UploadStateError("The upload kept changing meanwhile; look at it again")

    async def _without_plan(self, upload: Upload) -> Upload | None:
        """None when the record has moved on."""
        declared = upload.declared_checksum
        checksum = declared.algorithm if declared and not upload.multipart_id else None
        wanted = replace(
            upload,
            part_size=None,
            part_count=None,
            part_checksum=upload.part_checksum or checksum,
        )
        if wanted == upload:
            return upload
        return await self._records.amend(
            upload,
            self._clock(),
            part_size=None,
            part_count=None,
            part_checksum=wanted.part_checksum,
        )

    async def sign(
        self, upload: Upload, multipart_id: str, numbers: Sequence[int]
    ) -> Sequence[SignedRequest]:
        """One address a part. Raises InvalidPartError, MultipartGoneError."""
        check_named(upload, multipart_id)
        return await self._transfers.sign_parts(upload, [PartTerms(number) for number in numbers])

    async def parts(self, upload: Upload, multipart_id: str) -> Sequence[StoredPart]:
        """All that the store has. Raises MultipartGoneError."""
        check_named(upload, multipart_id)
        stored = await self._multiparts.parts(upload.bucket, upload.key, multipart_id)
        if stored is None:
            await self._keeper.forgotten(upload)
            raise MultipartGoneError
        return stored

    async def complete(self, upload: Upload, multipart_id: str, named: Mapping[int, str]) -> Upload:
        """`named` are the ETags by part number, without quotes: what the client thinks it has
        sent. Asked again after a lost answer, it answers the upload. Raises InvalidPartError for
        parts that are not what the store has, and what completing may raise.
        """
        if upload.status in IN_FLIGHT and upload.multipart_id is not None:
            check_named(upload, multipart_id)
            stored = await self._multiparts.parts(upload.bucket, upload.key, multipart_id)
            # None: dropped, or completed by an earlier call. Completing finds out which.
            if stored is not None:
                _check_same(stored, named)
        return await self._completing.complete(upload)

    async def abort(self, upload: Upload, multipart_id: str) -> Upload:
        """Only what is in flight: this deletes nothing that has arrived."""
        check_named(upload, multipart_id)
        return await self._uploads.abort(upload)


def check_named(upload: Upload, multipart_id: str) -> None:
    """Raises MultipartGoneError for one that is not (any more) this upload's."""
    check_in_flight(upload)
    if upload.multipart_id != multipart_id:
        raise MultipartGoneError


def _check_same(stored: Sequence[StoredPart], named: Mapping[int, str]) -> None:
    found = {part.number: part.etag for part in stored}
    missing = sorted(set(named) - set(found))
    if missing:
        raise UploadIncompleteError("Parts that are named have not arrived", missing=missing)
    if set(found) != set(named):
        raise InvalidPartError("Parts have arrived that are not named")
    if any(found[number] != etag for number, etag in named.items()):
        raise InvalidPartError("A part is not the one that is named")
