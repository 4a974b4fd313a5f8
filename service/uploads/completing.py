"""Completing a multipart from the store's own list of parts, and verifying what came of it."""

import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import structlog

from errors import (
    MultipartGoneError,
    UploadIncompleteError,
    UploadNotFoundError,
    UploadRejectedError,
    UploadStateError,
)
from service.clock import Clock
from service.uploads.excess import excess
from service.uploads.idempotency import Claim, IdempotencyKeys, digest
from service.uploads.model import Upload, UploadStatus
from service.uploads.multiparts import MultipartKeeper
from service.uploads.policy import Policy
from service.uploads.ports import Completed, Multiparts, ObjectStore, StoredPart, UploadRecords
from service.uploads.transfers import check_in_flight, missing_parts, planned
from service.uploads.transitions import ARRIVED

_log = structlog.get_logger("uploadgate.uploads")
Settle = Callable[[str, str], Awaitable[object]]
"""Looks at the store and moves the record (service.completion.settlement)."""


class Completing:
    """Idempotent: asked again, it answers what there is. What the store says counts: a lost
    answer, an object that is there already and a doubled call all end in the same look at it.
    """

    def __init__(
        self,
        *,
        records: UploadRecords,
        keys: IdempotencyKeys,
        store: ObjectStore,
        multiparts: Multiparts,
        keeper: MultipartKeeper,
        policy: Policy,
        settle: Settle,
        lease: timedelta,
        clock: Clock,
    ) -> None:
        self._records = records
        self._keys = keys
        self._store = store
        self._multiparts = multiparts
        self._keeper = keeper
        self._policy = policy
        self._settle = settle
        self._lease = lease
        self._clock = clock

    async def complete(self, upload: Upload, *, idempotency_key: str | None = None) -> Upload:
        """The verified upload. Raises UploadIncompleteError (naming what is missing),
        MultipartGoneError, UploadRejectedError, UploadEndedError, UploadStateError, and what the
        store may raise.
        """
        if idempotency_key is None:
            return await self._complete(upload)
        claim = Claim(upload.user_id, idempotency_key, uuid.uuid4().hex)
        now = self._clock()
        asked = digest("complete", upload.id)
        if await self._keys.begin(claim, asked, now, lease_until=now + self._lease):
            return await self._outcome(upload)
        try:
            completed = await self._complete(upload)
        except BaseException:  # a caller who left, too: the key is free again
            await self._keys.release(claim)
            raise
        await self._keys.finish(claim, upload.id)
        return completed

    async def _complete(self, upload: Upload) -> Upload:
        if upload.status in ARRIVED:
            return upload
        if upload.status is not UploadStatus.RECEIVED:
            check_in_flight(upload)
            await self._make_object(upload)
        await self._settle(upload.bucket, upload.key)
        return await self._outcome(upload)

    async def _make_object(self, upload: Upload) -> None:
        """Unless it is there already."""
        try:
            if upload.multipart_id is not None:
                await self._complete_multipart(upload, upload.multipart_id)
            elif await self._store.head(upload.bucket, upload.key) is None:
                raise _nothing_there(upload)
        except (UploadIncompleteError, MultipartGoneError):
            await self._outcome(upload)  # ended meanwhile: that is told, not that it is to go on
            raise

    async def _complete_multipart(self, upload: Upload, multipart_id: str) -> None:
        parts = await self._multiparts.parts(upload.bucket, upload.key, multipart_id)
        if parts is None:
            await self._dropped_or_done(upload)
            return
        if reason := self._excess(upload, parts):
            raise await self._rejected(upload, reason)
        if _lacks(upload, parts):
            # A transfer manager with credentials of its own makes its own multipart.
            if await self._store.head(upload.bucket, upload.key) is None:
                raise _missing(upload, parts)
            return
        answer = await self._multiparts.complete(
            upload.bucket,
            upload.key,
            multipart_id,
            parts,
            checksum=upload.declared_checksum if upload.part_checksum else None,
        )
        await self._follow(upload, answer)

    async def reject_overgrown(self, upload: Upload) -> bool:
        """Whether it was: parts whose size nobody announced are looked at while they come, or they
        would cost the quota nothing until somebody completes them.
        """
        if upload.multipart_id is None:
            return False
        parts = await self._multiparts.parts(upload.bucket, upload.key, upload.multipart_id)
        reason = self._excess(upload, parts or [])
        if reason is not None:
            await self._rejected(upload, reason)
        return reason is not None

    def _excess(self, upload: Upload, parts: Sequence[StoredPart]) -> str | None:
        """Sizes are verified before completing: after it, the bytes would be an object already."""
        arrived = sum(part.size for part in parts)
        return excess(upload, arrived, self._policy.of_record(upload.profile))

    async def _follow(self, upload: Upload, answer: Completed) -> None:
        if answer is Completed.CHECKSUM_DIFFERS:
            raise await self._rejected(upload, f"the {upload.part_checksum} checksum differs")
        if answer is Completed.PARTS_REFUSED:
            raise UploadIncompleteError("The store refuses the parts: one is too small or changed")
        if answer is Completed.CONFLICT:
            raise UploadStateError("Something else writes this key just now; ask again")
        if answer is Completed.GONE:
            await self._dropped_or_done(upload)
        # An object is there: by this call, by an earlier one whose answer was lost, or by the
        # user's own credentials. Settling tells which. The record keeps the multipart's id, so
        # that the sweep clears away whatever is left of it.

    async def _dropped_or_done(self, upload: Upload) -> None:
        """There is no such multipart: dropped, unless an object stands in its place."""
        if await self._store.head(upload.bucket, upload.key) is None:
            await self._keeper.forgotten(upload)
            raise MultipartGoneError

    async def _rejected(self, upload: Upload, reason: str) -> UploadRejectedError:
        now = self._clock()
        rejected = await self._records.transition(
            upload,
            UploadStatus.REJECTED,
            now,
            status_reason=reason,
            # Should clearing away fail now, the sweep does it.
            next_look_at=now,
            looks=0,
        )
        if rejected is not None:
            _log.info("upload.rejected", upload_id=upload.id, reason=reason)
            await self._keeper.try_to_clear(rejected)
        return UploadRejectedError(reason)

    async def _outcome(self, upload: Upload) -> Upload:
        fresh = await self._records.get(upload.id)
        if fresh is None:
            raise UploadNotFoundError
        if fresh.status not in ARRIVED | {UploadStatus.RECEIVED}:
            check_in_flight(fresh)
        return fresh


def _nothing_there(upload: Upload) -> UploadIncompleteError:
    plan = planned(upload)
    missing = range(1, plan.part_count + 1) if plan else ()
    return UploadIncompleteError("Nothing has arrived", missing=missing)


def _lacks(upload: Upload, parts: Sequence[StoredPart]) -> bool:
    arrived = sum(part.size for part in parts)
    return not parts or upload.declared_size not in (None, arrived)


def _missing(upload: Upload, parts: Sequence[StoredPart]) -> UploadIncompleteError:
    """Names the planned parts that are not there, or not in their planned length."""
    if not parts:
        return _nothing_there(upload)
    arrived = sum(part.size for part in parts)
    detail = f"{upload.declared_size} bytes were announced, {arrived} have arrived"
    plan = planned(upload)
    if plan is None:
        return UploadIncompleteError(detail)
    return UploadIncompleteError(detail, missing=missing_parts(plan, parts))
