"""Relay: for clients that cannot reach the store. The bytes pass through as they come, part by
part into the record's multipart; nothing is kept here, so any replica can go on with the rest.
"""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from errors import (
    ContentRangeError,
    InvalidRequestError,
    MultipartGoneError,
    TooManyUploadsError,
    TransportUnavailableError,
    UploadStateError,
)
from service.uploads.completing import Completing
from service.uploads.model import Transport, Upload
from service.uploads.multiparts import MultipartKeeper
from service.uploads.plan import LARGEST_PUT, Plan
from service.uploads.ports import Sink
from service.uploads.signed import PartTerms, Signer
from service.uploads.slices import Slices
from service.uploads.transfers import Transfers, check_in_flight, missing_parts, planned


@dataclass(frozen=True, slots=True)
class ContentRange:
    """Bytes `start` to `end`, both included, of `total` (RFC 9110, 14.4)."""

    start: int
    end: int
    total: int


class Relay:
    def __init__(
        self,
        *,
        transfers: Transfers,
        keeper: MultipartKeeper,
        signer: Signer,
        sink: Sink,
        completing: Completing,
        most_of_one_user: int,
    ) -> None:
        self._transfers = transfers
        self._keeper = keeper
        self._signer = signer
        self._sink = sink
        self._completing = completing
        self._most = most_of_one_user
        self._held: Counter[str] = Counter()

    async def take(
        self, upload: Upload, given: ContentRange | None, chunks: AsyncIterator[bytes]
    ) -> Upload:
        """The record; completed and verified where this brings the end of the file and nothing is
        missing. A range begins with a part and ends with one, or with the file. Raises
        ContentRangeError (saying where to go on), InvalidRequestError for a body of another
        length, TooManyUploadsError, and what the store may raise.
        """
        with self._place(upload.user_id):
            return await self._take(upload, given, chunks)

    @contextlib.contextmanager
    def _place(self, user_id: str) -> Iterator[None]:
        """A relay lasts as long as its client likes: no user may hold all of a replica's places."""
        if self._held[user_id] >= self._most:
            raise TooManyUploadsError(f"One user has {self._most} relays at once at most")
        self._held[user_id] += 1
        try:
            yield
        finally:
            self._held[user_id] -= 1
            self._held += Counter()  # drops the zeros

    async def _take(
        self, upload: Upload, given: ContentRange | None, chunks: AsyncIterator[bytes]
    ) -> Upload:
        check_in_flight(upload)
        size = upload.declared_size
        if size is None or (upload.part_count is None and size > LARGEST_PUT):
            raise TransportUnavailableError("An upload of unknown size cannot be relayed")
        span = given or ContentRange(0, size - 1, size)
        await self._check(upload, span, size)
        upload = await self._transfers.switched(upload, Transport.RELAY)
        plan = planned(upload)
        slices = Slices(chunks)
        if plan is None:
            return await self._send_whole(upload, size, slices)
        upload = await self._send_parts(upload, plan, span, slices)
        if span.end + 1 < size:
            return upload
        return await self._completed(upload, plan)

    async def _check(self, upload: Upload, span: ContentRange, size: int) -> None:
        plan = planned(upload)
        step = size if plan is None else plan.part_size
        if span.total != size:
            raise InvalidRequestError(f"The upload was announced with {size} bytes")
        ends_well = span.end + 1 == size or (plan is not None and (span.end + 1) % step == 0)
        if span.end >= size or not ends_well:
            raise InvalidRequestError("A range ends with a part, or with the file")
        if span.start != 0 and (plan is None or span.start % step != 0):
            raise ContentRangeError(
                "A range begins with a part", expected_offset=await self._next_offset(upload, plan)
            )

    async def _next_offset(self, upload: Upload, plan: Plan | None) -> int:
        if plan is None:
            return 0
        missing = missing_parts(plan, await self._transfers.parts(upload))
        return plan.offset(missing[0]) if missing else upload.declared_size or 0

    async def _send_whole(self, upload: Upload, size: int, slices: Slices) -> Upload:
        target = await self._transfers.put(upload)
        # There already: an earlier answer was lost. Completing looks at what it is.
        with contextlib.suppress(UploadStateError):
            await self._sink.send(target, size=size, chunks=slices.next(size, last=True))
        return await self._completing.complete(upload)

    async def _send_parts(
        self, upload: Upload, plan: Plan, span: ContentRange, slices: Slices
    ) -> Upload:
        upload = await self._keeper.ensured(upload)
        assert upload.multipart_id is not None  # noqa: S101 - ensured
        first = span.start // plan.part_size + 1
        last = span.end // plan.part_size + 1
        for number in range(first, last + 1):
            length = plan.length(number)
            # Signed just in time: a slow client must not find its address expired.
            [target] = await self._signer.parts(
                upload.bucket,
                upload.key,
                upload.multipart_id,
                [PartTerms(number, length)],
                seconds=self._transfers.seconds_for(upload),
            )
            try:
                chunks = slices.next(length, last=number == last)
                await self._sink.send(target, size=length, chunks=chunks)
            except MultipartGoneError:
                # Dropped, aborted, or completed meanwhile by another relay of the same bytes:
                # completing finds out which.
                return await self._completing.complete(upload)
        return upload

    async def _completed(self, upload: Upload, plan: Plan) -> Upload:
        if missing_parts(plan, await self._transfers.parts(upload)):
            return upload
        return await self._completing.complete(upload)
