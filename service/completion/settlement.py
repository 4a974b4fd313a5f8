"""From "something happened at this key" to the record's true state.

Everything that wakes the service ends here: webhooks and the sweep alike. What counts is what
the store answers now, so a doubled, late or false event changes nothing.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import structlog

from errors import QuotaExceededError, UnavailableError
from service.clock import Clock
from service.completion.adoption import Adoption
from service.completion.verification import Verdict, verify
from service.uploads.model import Origin, Transport, Upload, UploadStatus
from service.uploads.policy import Policy
from service.uploads.ports import ObjectStore, StoredObject, UploadRecords
from service.uploads.quota import Limits
from service.uploads.transitions import ENDED, IN_FLIGHT

_log = structlog.get_logger("uploadgate.completion")
_ROUNDS = 5
_NO_ROOM = "it does not fit into what is left of the quota"


class Outcome(StrEnum):
    ABSENT = "absent"
    UNOWNED = "unowned"
    UNCHANGED = "unchanged"
    QUARANTINED = "quarantined"
    COMPLETED = "completed"
    REPLACED = "replaced"
    REJECTED = "rejected"
    STRAY_DELETED = "stray_deleted"


class Settlement:
    """Looks at the store and moves the record; safe to run anywhere, any number of times."""

    def __init__(
        self,
        *,
        records: UploadRecords,
        store: ObjectStore,
        adoption: Adoption,
        policy: Policy,
        address_life: timedelta,
        clock: Clock,
    ) -> None:
        """`address_life`: how long an address that was signed can be written to."""
        self._records = records
        self._store = store
        self._adoption = adoption
        self._policy = policy
        self._address_life = address_life
        self._clock = clock

    async def settle(self, bucket: str, key: str) -> Outcome:
        """Raises StoreUnavailableError, StoreRefusedError or UnavailableError: try again later."""
        for _ in range(_ROUNDS):
            outcome = await self._once(bucket, key)
            if outcome is not None:
                return outcome
        raise UnavailableError("The record kept changing while it was being settled")

    async def _once(self, bucket: str, key: str) -> Outcome | None:
        """One look. None when another worker moved the record meanwhile: look again."""
        record = await self._records.by_key(bucket, key)
        stored = await self._store.head(bucket, key)
        if stored is None:
            return Outcome.ABSENT
        if record is None or await self._comes_back(record, stored):
            return await self._adopt(bucket, key, stored, record)
        if record.status in ENDED:
            return await self._delete_stray(record, stored)
        if record.status in IN_FLIGHT:
            received = await self._move(record, UploadStatus.RECEIVED, stored)
            return None if received is None else await self._judge(received, stored)
        if record.status is UploadStatus.RECEIVED:
            return await self._judge(record, stored)
        return await self._compare(record, stored)

    async def _adopt(
        self, bucket: str, key: str, stored: StoredObject, before: Upload | None
    ) -> Outcome | None:
        generation = 0 if before is None else before.generation + 1
        now = self._clock()
        record = await self._adoption.record_for(bucket, key, stored, now, generation)
        if record is None:
            return Outcome.UNOWNED
        try:
            # Nothing was reserved for it.
            added = await self._records.add(record, limits=self._quota_of(record))
        except QuotaExceededError:
            return await self._refuse(record, stored)
        return await self._judge(record, stored) if added else None

    async def _refuse(self, record: Upload, stored: StoredObject) -> Outcome | None:
        """Recorded as rejected from the start, so that it never counts."""
        refused = replace(record, status=UploadStatus.REJECTED, status_reason=_NO_ROOM, charged=0)
        if not await self._records.add(refused):
            return None
        _log.info("upload.rejected", upload_id=record.id, reason=_NO_ROOM)
        await self._store.delete(record.bucket, record.key, etag=stored.etag)
        return Outcome.REJECTED

    def _quota_of(self, record: Upload) -> Limits:
        return Limits(quota=self._policy.of_record(record.profile).quota)

    async def _judge(self, record: Upload, stored: StoredObject) -> Outcome | None:
        """Received, or replaced just now: completed or rejected."""
        profile = self._policy.of_record(record.profile)
        verdict = verify(record, stored, profile)
        if not verdict.accepted:
            return await self._reject(record, stored, verdict.reason)
        if record.status is UploadStatus.REPLACED:
            # A multipart of ours that is still to be cleared away needs one more look.
            look = None if record.multipart_id is None else self._clock()
            verified = await self._move(record, UploadStatus.REPLACED, stored, next_look_at=look)
            return None if verified is None else Outcome.REPLACED
        if profile.quarantine:
            return await self._accept(record, stored, UploadStatus.QUARANTINED, verdict)
        return await self._accept(record, stored, UploadStatus.COMPLETED, verdict)

    async def _accept(
        self, record: Upload, stored: StoredObject, status: UploadStatus, verdict: Verdict
    ) -> Outcome | None:
        now = self._clock()
        accepted = await self._move(
            record,
            status,
            stored,
            completed_at=now if status is UploadStatus.COMPLETED else None,
            status_reason=verdict.reason,
            next_look_at=self._last_look(record, now),
        )
        if accepted is None:
            return None
        _log.info(f"upload.{status}", upload_id=record.id, size=stored.size, key=record.key)
        completed = status is UploadStatus.COMPLETED
        return Outcome.COMPLETED if completed else Outcome.QUARANTINED

    def _last_look(self, record: Upload, now: datetime) -> datetime | None:
        """A multipart may still be cleared away; a form that was given out may still be sent
        again, and its event be lost.
        """
        if record.multipart_id is not None:
            return now
        presigned = record.transport is Transport.PRESIGNED or record.transport_reason == "switched"
        form = presigned and record.origin is Origin.API
        return now + self._address_life if form else None

    async def _reject(
        self, record: Upload, stored: StoredObject, reason: str | None
    ) -> Outcome | None:
        # next_look_at: should the deletion fail now, the sweep tries it again.
        rejected = await self._move(
            record,
            UploadStatus.REJECTED,
            stored,
            status_reason=reason,
            next_look_at=self._clock(),
            looks=0,
        )
        if rejected is None:
            return None
        _log.info("upload.rejected", upload_id=record.id, reason=reason)
        await self._store.delete(record.bucket, record.key, etag=stored.etag)
        return Outcome.REJECTED

    async def _compare(self, record: Upload, stored: StoredObject) -> Outcome | None:
        """Verified before: the pinned ETag tells whether it is still the same object."""
        if record.status is UploadStatus.QUARANTINED and stored.etag != record.etag:
            # A verdict on what was looked at must not release what stands there now.
            return await self._reject(record, stored, "it was written again while in quarantine")
        if stored.etag == record.etag:
            unverified = record.status is UploadStatus.REPLACED and record.next_look_at is not None
            return await self._judge(record, stored) if unverified else Outcome.UNCHANGED
        try:
            replaced = await self._replace(record, stored)
        except QuotaExceededError:
            return await self._reject(record, stored, f"it was written again, and {_NO_ROOM}")
        if replaced is None:
            return None
        _log.warning("upload.replaced", upload_id=record.id, key=record.key)
        return await self._judge(replaced, stored)

    async def _replace(self, record: Upload, stored: StoredObject) -> Upload | None:
        return await self._move(
            record,
            UploadStatus.REPLACED,
            stored,
            limits=self._quota_of(record),
            status_reason="the object was written again after completion",
            # Until it is verified anew: should this process end before, the sweep goes on.
            next_look_at=self._clock(),
        )

    async def _delete_stray(self, record: Upload, stored: StoredObject) -> Outcome | None:
        """Bytes that came after the end: deleted if they are still what was seen."""
        gone = await self._store.delete(record.bucket, record.key, etag=stored.etag)
        return Outcome.STRAY_DELETED if gone else None

    async def _move(
        self, record: Upload, status: UploadStatus, stored: StoredObject, **changes: Any
    ) -> Upload | None:
        """One transition that pins what the store showed."""
        return await self._records.transition(
            record,
            status,
            self._clock(),
            size=stored.size,
            etag=stored.etag,
            version_id=stored.version_id,
            checksum=stored.checksum,
            **changes,
        )

    async def _comes_back(self, record: Upload, stored: StoredObject) -> bool:
        """A name that a user chose may be used again after its object was deleted or rejected;
        a key of ours, which holds the upload's id, never is. The very object that was rejected
        stays so, unless today's rules would take it.
        """
        if record.origin is not Origin.ADOPTED or record.status not in ENDED:
            return False
        if record.status is not UploadStatus.REJECTED or record.etag != stored.etag:
            return True
        profile = self._policy.of_record(record.profile)
        return verify(record, stored, profile).accepted and await self._fits(record, stored)

    async def _fits(self, record: Upload, stored: StoredObject) -> bool:
        """Or else an object that cannot be deleted would get a new record with every look."""
        quota = self._policy.of_record(record.profile).quota
        if quota is None:
            return True
        usage = await self._records.usage(record.user_id, record.profile)
        return usage.bytes + stored.size <= quota
