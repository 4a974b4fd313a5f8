"""What a client needs in order to send: signed parts, a signed PUT or form, what is there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from errors import (
    InvalidPartError,
    UploadEndedError,
    UploadRejectedError,
    UploadStateError,
)
from service.clock import Clock
from service.uploads.model import Transport, Upload, UploadStatus
from service.uploads.multiparts import MultipartKeeper
from service.uploads.plan import LARGEST_PUT, MOST_PARTS, SMALLEST_PART, Plan
from service.uploads.policy import Policy
from service.uploads.ports import Multiparts, StoredPart, UploadRecords
from service.uploads.signed import PartTerms, SignedForm, SignedRequest, Signer
from service.uploads.transitions import ENDED, IN_FLIGHT
from service.uploads.transports import Transports

_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Offer:
    """How a file that goes in one request can be sent now; None where it cannot, or goes in parts
    or by other means.
    """

    put: SignedRequest | None = None
    post: SignedForm | None = None


def planned(upload: Upload) -> Plan | None:
    if upload.declared_size is None or upload.part_size is None or upload.part_count is None:
        return None
    return Plan(upload.declared_size, upload.part_size, upload.part_count)


def missing_parts(plan: Plan, parts: Sequence[StoredPart]) -> list[int]:
    """The numbers of those that are not there, or not in their planned length."""
    found = {part.number: part.size for part in parts}
    numbers = range(1, plan.part_count + 1)
    return [number for number in numbers if found.get(number) != plan.length(number)]


def most_parts(upload: Upload) -> int:
    """The highest part number that makes sense. A client that plans its own parts needs no more
    than parts of the smallest size.
    """
    if upload.part_count is not None:
        return upload.part_count
    if upload.declared_size is None:
        return MOST_PARTS
    return max(1, min(MOST_PARTS, -(-upload.declared_size // SMALLEST_PART)))


def check_in_flight(upload: Upload) -> None:
    """Raises UploadEndedError, UploadRejectedError or UploadStateError for one that is not."""
    if upload.status is UploadStatus.REJECTED:
        raise UploadRejectedError(upload.status_reason)
    if upload.status in ENDED:
        raise UploadEndedError(f"The upload is {upload.status}")
    if upload.status not in IN_FLIGHT:
        raise UploadStateError(f"The upload is {upload.status}: nothing more is to be sent")


class Transfers:
    def __init__(
        self,
        *,
        records: UploadRecords,
        multiparts: Multiparts,
        keeper: MultipartKeeper,
        signer: Signer,
        transports: Transports,
        policy: Policy,
        url_life: timedelta,
        clock: Clock,
    ) -> None:
        self._records = records
        self._multiparts = multiparts
        self._keeper = keeper
        self._signer = signer
        self._transports = transports
        self._policy = policy
        self._url_life = url_life
        self._clock = clock

    async def sign_parts(
        self, upload: Upload, wanted: Sequence[PartTerms]
    ) -> Sequence[SignedRequest]:
        """One address a part, in the order asked. On an upload of another transport this is the
        switch to presigned: its multipart and finished parts stay. Raises InvalidPartError.
        """
        check_in_flight(upload)
        terms = terms_of(upload, wanted)
        upload = await self.switched(upload, Transport.PRESIGNED)
        upload = await self._keeper.ensured(upload)
        assert upload.multipart_id is not None  # noqa: S101 - ensured
        return await self._signer.parts(
            upload.bucket,
            upload.key,
            upload.multipart_id,
            terms,
            seconds=self.seconds_for(upload),
        )

    async def parts(self, upload: Upload) -> Sequence[StoredPart]:
        """All that the store has; none where there is no multipart (any more)."""
        if upload.multipart_id is None:
            return []
        found = await self._multiparts.parts(upload.bucket, upload.key, upload.multipart_id)
        if found is None and upload.status in IN_FLIGHT:
            await self._keeper.forgotten(upload)
        return found or []

    async def offer(self, upload: Upload) -> Offer:
        """For an upload in flight by presigned transport that goes in one request."""
        single = upload.part_count is None and upload.multipart_id is None
        sendable = upload.status in IN_FLIGHT and upload.expires_at > self._clock()
        presigned = upload.transport is Transport.PRESIGNED
        size = upload.declared_size
        if not (single and sendable and presigned) or size is None or size > LARGEST_PUT:
            return Offer()
        # No form can name a checksum, and the store would then have none to compare. A form can be
        # sent again where a PUT cannot, after a verdict too.
        quarantined = self._policy.of_record(upload.profile).quarantine
        form = None if upload.declared_checksum or quarantined else await self.form(upload)
        return Offer(put=await self.put(upload), post=form)

    def addresses_end(self) -> datetime:
        """When an address that is signed now ends at the latest."""
        return self._clock() + self._url_life

    async def put(self, upload: Upload) -> SignedRequest:
        """Raises InvalidPartError for an upload that does not go in one PUT of a known size."""
        if upload.declared_size is None or upload.declared_size > LARGEST_PUT:
            raise InvalidPartError("This upload does not go in one PUT")
        return await self._signer.put(
            upload.bucket,
            upload.key,
            size=upload.declared_size,
            content_type=upload.content_type,
            checksum=upload.declared_checksum,
            upload_id=upload.id,
            seconds=self.seconds_for(upload),
        )

    async def form(self, upload: Upload) -> SignedForm:
        """Of exactly the announced size, or of any size up to the profile's limit."""
        largest = self._policy.of_record(upload.profile).ceiling
        size = upload.declared_size
        return await self._signer.post(
            upload.bucket,
            upload.key,
            smallest=0 if size is None else size,
            largest=min(largest, LARGEST_PUT) if size is None else size,
            content_type=upload.content_type,
            upload_id=upload.id,
            seconds=self.seconds_for(upload),
        )

    async def switched(self, upload: Upload, to: Transport) -> Upload:
        """The record under way by this transport. Raises PolicyError where the profile does not
        allow it, TransportUnavailableError where the key lies outside of the grant's folder.
        """
        for _ in range(_ROUNDS):
            check_in_flight(upload)
            if upload.expires_at <= self._clock():
                raise UploadEndedError("The upload has expired")
            if upload.transport is to and upload.status is UploadStatus.UPLOADING:
                return upload
            if upload.transport is not to:
                await self._transports.check_switch(upload, to)
            moved = await self._under_way(upload, to)
            if moved is not None:
                return moved
            upload = await self._records.get(upload.id) or upload
        raise UploadStateError("The upload kept changing meanwhile; look at it again")

    async def _under_way(self, upload: Upload, to: Transport) -> Upload | None:
        changes: dict[str, Any] = {}
        if upload.transport is not to:
            changes = {"transport": to, "transport_reason": "switched"}
        now = self._clock()
        if upload.status is UploadStatus.PENDING:
            return await self._records.transition(upload, UploadStatus.UPLOADING, now, **changes)
        return await self._records.amend(upload, now, **changes)

    def seconds_for(self, upload: Upload) -> int:
        """No address outlives its upload."""
        left = upload.expires_at - self._clock()
        return max(1, int(min(self._url_life, left).total_seconds()))


def terms_of(upload: Upload, wanted: Sequence[PartTerms]) -> list[PartTerms]:
    """The parts asked for, with the sizes of the plan. Raises InvalidPartError."""
    plan = planned(upload)
    if plan is None and upload.multipart_id is None:
        raise InvalidPartError("This upload goes in one request, not in parts")
    highest = most_parts(upload)
    numbers = [part.number for part in wanted]
    if len(set(numbers)) != len(numbers):
        raise InvalidPartError("A part is asked for twice")
    if not all(1 <= number <= highest for number in numbers):
        raise InvalidPartError(f"This upload has the parts 1 to {highest}")
    if plan is None:
        return list(wanted)
    return [PartTerms(part.number, plan.length(part.number), part.checksum) for part in wanted]
