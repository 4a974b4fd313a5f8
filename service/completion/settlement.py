"""From "something happened at this key" to the record's true state.

Everything that wakes the service ends here: webhooks, queues and the sweep alike. What counts is
what the store answers now, so a doubled, late or false event changes nothing.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import structlog

from errors import QuotaExceededError, UnavailableError
from service.clock import Clock
from service.completion.adoption import Adoption
from service.completion.decision import Deciding, Decision, rejected
from service.completion.outcome import OF_STATUS, News, Outcome
from service.completion.scans import Scans
from service.completion.sources.s3 import sequencer_order
from service.completion.verification import verify
from service.uploads.model import Origin, Upload, UploadStatus
from service.uploads.pins import pin_stands
from service.uploads.ports import ObjectStore, StoredObject, UploadRecords
from service.uploads.quota import NO_LIMITS, Limits
from service.uploads.transitions import ARRIVED, ENDED, IN_FLIGHT

_log = structlog.get_logger("uploadgate.completion")
_ROUNDS = 5
_NO_ROOM = "it does not fit into what is left of the quota"
_SHUT = frozenset({UploadStatus.QUARANTINED, UploadStatus.REJECTED})  # nothing is given back
# A rejection is committed first, and the object deleted then: longer than that can take.
_UNTIL_DELETED = timedelta(minutes=2)


_NO_NEWS = News()
_OF_WHAT_WAS_SHOWN = frozenset({*OF_STATUS.values(), Outcome.STRAY_DELETED})


class Settlement:
    """Looks at the store and moves the record; safe to run anywhere, any number of times."""

    def __init__(
        self,
        *,
        records: UploadRecords,
        store: ObjectStore,
        adoption: Adoption,
        deciding: Deciding,
        scans: Scans | None,
        clock: Clock,
    ) -> None:
        self._records = records
        self._store = store
        self._adoption = adoption
        self._deciding = deciding
        self._scans = scans
        self._clock = clock

    async def settle(self, bucket: str, key: str, news: News = _NO_NEWS) -> Outcome:
        """Raises StoreUnavailableError, StoreRefusedError or UnavailableError: try again later."""
        for _ in range(_ROUNDS):
            outcome = await self._once(bucket, key, news)
            if outcome is not None:
                return outcome
        raise UnavailableError("The record kept changing while it was being settled")

    async def confirm_absent(self, bucket: str, key: str) -> None:
        """Raises StoreUnavailableError or StoreRefusedError, unless nothing stands there for sure:
        what is answered to a HEAD may be a missing bucket's as well.
        """
        await self._store.confirm_absent(bucket, key)

    async def _once(self, bucket: str, key: str, news: News) -> Outcome | None:
        """One look. None when another worker moved the record meanwhile: look again."""
        record = await self._records.by_key(bucket, key)
        stored = await self._store.head(bucket, key)
        if stored is None:
            settled = record is not None and record.status in ENDED | ARRIVED
            return Outcome.GONE if settled else Outcome.ABSENT
        outcome = await self._followed(bucket, key, record, stored, news)
        if news.others and not news.was_shown(stored.etag) and outcome in _OF_WHAT_WAS_SHOWN:
            # Of several writes an earlier one shows: the others are still to be looked for.
            return Outcome.STALE
        return outcome

    async def _followed(
        self, bucket: str, key: str, record: Upload | None, stored: StoredObject, news: News
    ) -> Outcome | None:
        if record is None or await self._comes_back(record, stored):
            return await self._adopt(bucket, key, stored, record, news)
        if record.status in ENDED:
            return await self._delete_stray(record, stored)
        if record.status in IN_FLIGHT | {UploadStatus.RECEIVED}:
            return await self._judge(record, stored, news)
        return await self._compare(record, stored, news)

    # --- objects without a record ----------------------------------------------------------------

    async def _adopt(
        self, bucket: str, key: str, stored: StoredObject, before: Upload | None, news: News
    ) -> Outcome | None:
        generation = 0 if before is None else before.generation + 1
        now = self._clock()
        found = await self._adoption.record_for(bucket, key, stored, now, generation)
        if found is None:
            return Outcome.UNOWNED
        decision = self._deciding.decide(found, stored, now)
        try:
            return await self._added(found, stored, decision, news)
        except QuotaExceededError:
            # Recorded as rejected from the start, so that it never counts.
            return await self._added(found, stored, rejected(_NO_ROOM, now), news)

    async def _added(
        self, found: Upload, stored: StoredObject, decision: Decision, news: News
    ) -> Outcome | None:
        pinned = _pinned(stored, news)
        refused = decision.status is UploadStatus.REJECTED
        record = replace(
            found,
            status=decision.status,
            charged=0 if refused else found.charged,
            **{**pinned, **decision.changes, **self._again(stored, decision, news)},
        )
        # Nothing was reserved for it.
        limits = NO_LIMITS if refused else self._quota_of(record)
        if not await self._records.add(record, limits=limits):
            return None
        return await self._told(record, stored)

    # --- objects with one ------------------------------------------------------------------------

    async def _judge(self, record: Upload, stored: StoredObject, news: News) -> Outcome | None:
        decision = self._deciding.decide(record, stored, self._clock())
        return await self._moved(record, stored, decision, news)

    async def _compare(self, record: Upload, stored: StoredObject, news: News) -> Outcome | None:
        """Verified before: the pinned ETag tells whether it is still the same object."""
        if stored.etag == record.etag:
            if self._waits_for_call(record) or await pin_stands(self._store, record, stored):
                return await self._same(record, stored, news)
            return await self._pin_anew(record, stored, news)
        if record.status is UploadStatus.QUARANTINED:
            # A verdict on what was looked at must not release what stands there now.
            reason = "it was written again while in quarantine"
            return await self._moved(record, stored, rejected(reason, self._clock()), news)
        decision = self._deciding.decide(record, stored, self._clock())
        try:
            return await self._moved(record, stored, decision, news, self._quota_of(record))
        except QuotaExceededError:
            reason = f"it was written again, and {_NO_ROOM}"
            return await self._moved(record, stored, rejected(reason, self._clock()), news)

    def _waits_for_call(self, record: Upload) -> bool:
        """A verdict by call names an ETag at most: it must not be taken for another version."""
        return record.status is UploadStatus.QUARANTINED and self._scans is None

    async def _pin_anew(self, record: Upload, stored: StoredObject, news: News) -> Outcome | None:
        """The same ETag, but the version that was verified is gone. None: look again. An ETag is an
        MD5, so what has had a verdict needs another one.
        """
        now = self._clock()
        decision = self._deciding.decide(record, stored, now)
        if decision.status in _SHUT and decision.status is not record.status:
            return await self._moved(record, stored, decision, news)
        await self._records.amend(
            record, now, version_id=stored.version_id, checksum=stored.checksum
        )
        return None

    async def _same(self, record: Upload, stored: StoredObject, news: News) -> Outcome | None:
        if record.status is UploadStatus.QUARANTINED and self._scans is not None:
            return await self._scanned(record, stored, self._scans)
        if _is_old(news, record):
            return Outcome.SUPERSEDED
        if not news.was_shown(stored.etag):
            return Outcome.STALE
        if not news.were_all_shown(stored.etag):
            await self._look_soon(record)
        return Outcome.UNCHANGED

    async def _look_soon(self, record: Upload) -> None:
        """What was told of before is most likely overwritten. If not, the sweep sees it."""
        soon = self._clock() + self._deciding.overdue
        if record.next_look_at is None or record.next_look_at > soon:
            await self._records.looked(record, soon)

    async def _scanned(self, record: Upload, stored: StoredObject, scans: Scans) -> Outcome | None:
        verdict = await scans.look(record, stored)
        now = self._clock()
        if verdict is None:
            return Outcome.WAITING
        if verdict == "rejected":
            return await self._moved(record, stored, rejected("rejected by the scanner", now))
        return await self._moved(record, stored, self._deciding.released(record, now))

    async def _moved(
        self,
        record: Upload,
        stored: StoredObject,
        decision: Decision,
        news: News = _NO_NEWS,
        limits: Limits = NO_LIMITS,
    ) -> Outcome | None:
        """One transition, which pins what the store showed."""
        moved = await self._records.transition(
            record,
            decision.status,
            self._clock(),
            limits=limits,
            **{**_pinned(stored, news), **decision.changes, **self._again(stored, decision, news)},
        )
        return None if moved is None else await self._told(moved, stored)

    async def _told(self, record: Upload, stored: StoredObject) -> Outcome:
        _log.info(f"upload.{record.status}", upload_id=record.id, reason=record.status_reason)
        if record.status is UploadStatus.REJECTED:
            await self._store.delete(record.bucket, record.key, etag=stored.etag)
        return OF_STATUS[record.status]

    async def _delete_stray(self, record: Upload, stored: StoredObject) -> Outcome | None:
        """Bytes that came after the end: deleted if they are still what was seen."""
        gone = await self._store.delete(record.bucket, record.key, etag=stored.etag)
        return Outcome.STRAY_DELETED if gone else None

    async def _comes_back(self, record: Upload, stored: StoredObject) -> bool:
        """A name that a user chose may be used again after its object was deleted or rejected;
        a key of ours, which holds the upload's id, never is. The very object that was rejected
        stays so, unless today's rules would take it: not where a verdict may have been the reason,
        and not while whoever rejected it may still be about to delete it.
        """
        if record.origin is not Origin.ADOPTED or record.status not in ENDED:
            return False
        if record.status is not UploadStatus.REJECTED or record.etag != stored.etag:
            return True
        profile = self._deciding.policy.of_record(record.profile)
        if profile.quarantine or self._clock() - record.updated_at < _UNTIL_DELETED:
            return False
        return verify(record, stored, profile).accepted and await self._fits(record, stored)

    async def _fits(self, record: Upload, stored: StoredObject) -> bool:
        """Or else an object that cannot be deleted would get a new record with every look."""
        quota = self._quota_of(record).quota
        if quota is None:
            return True
        usage = await self._records.usage(record.user_id, record.profile)
        return usage.bytes + stored.size <= quota

    def _again(self, stored: StoredObject, decision: Decision, news: News) -> dict[str, Any]:
        """The store has shown other bytes than the event told of: it may lag behind, so the sweep
        looks once more.
        """
        if news.were_all_shown(stored.etag) or decision.status is UploadStatus.REJECTED:
            return {}
        soon = self._clock() + self._deciding.overdue
        planned = decision.changes.get("next_look_at")
        return {"next_look_at": soon if planned is None else min(planned, soon)}

    def _quota_of(self, record: Upload) -> Limits:
        return Limits(quota=self._deciding.policy.of_record(record.profile).quota)


def _is_old(news: News, record: Upload) -> bool:
    """Told before the event that has moved this record, and whose bytes that look has seen."""
    if news.sequencer is None or record.sequencer is None:
        return False
    return sequencer_order(news.sequencer, record.sequencer) < 0


def _pinned(stored: StoredObject, news: News) -> dict[str, Any]:
    """What the store showed. The event's place in the order is kept only where the store has shown
    the very bytes that it tells of: one that lags behind must be looked at again.
    """
    pinned = {
        "size": stored.size,
        "etag": stored.etag,
        "version_id": stored.version_id,
        "checksum": stored.checksum,
    }
    if news.sequencer is not None and news.etag == stored.etag:
        pinned["sequencer"] = news.sequencer
    return pinned
