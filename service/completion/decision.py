"""What becomes of a record, now that the store has shown its object. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from service.completion.verification import verify
from service.uploads.model import Origin, Transport, Upload, UploadStatus
from service.uploads.policy import Policy
from service.uploads.ports import StoredObject

WRITTEN_AGAIN = "the object was written again after completion"
_REPLACEABLE = frozenset({UploadStatus.COMPLETED, UploadStatus.REPLACED})


@dataclass(frozen=True, slots=True)
class Decision:
    """The state that follows, and what else the same transition changes."""

    status: UploadStatus
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Deciding:
    """`address_life`: how long an address that was signed can be written to. `overdue`: the pause
    before a look at what should have changed by then. `scanned`: a scanner's tag gives verdicts.
    """

    policy: Policy
    address_life: timedelta
    overdue: timedelta
    scanned: bool = False

    def decide(self, record: Upload, stored: StoredObject, now: datetime) -> Decision:
        """Completed, in quarantine, replaced or rejected."""
        profile = self.policy.of_record(record.profile)
        verdict = verify(record, stored, profile)
        if not verdict.accepted:
            return rejected(verdict.reason, now)
        reason = WRITTEN_AGAIN if record.status in _REPLACEABLE else verdict.reason
        if profile.quarantine:
            return self._quarantined(record, reason, now)
        if record.status in _REPLACEABLE:
            # Somebody writes this key again and again: what was seen may be gone by now.
            return self._replaced(reason, now)
        return self._completed(record, reason, now)

    def released(self, record: Upload, now: datetime) -> Decision:
        """From quarantine. One that was completed before has been replaced."""
        if record.completed_at is not None:
            return self._replaced(record.status_reason, now)
        return self._completed(record, record.status_reason, now)

    def later_look(self, record: Upload, now: datetime) -> datetime | None:
        """A form that was given out may still be sent again, and its event be lost."""
        presigned = record.transport is Transport.PRESIGNED or record.transport_reason == "switched"
        form = presigned and record.origin is Origin.API and record.part_count is None
        last = record.updated_at + self.address_life
        return last if form and last > now else None

    def _completed(self, record: Upload, reason: str | None, now: datetime) -> Decision:
        changes = {
            "status_reason": reason,
            "completed_at": now,
            "next_look_at": self._last_look(record, now),
        }
        return Decision(UploadStatus.COMPLETED, changes)

    def _replaced(self, reason: str | None, now: datetime) -> Decision:
        changes = {"status_reason": reason, "next_look_at": now + self.overdue}
        return Decision(UploadStatus.REPLACED, changes)

    def _quarantined(self, record: Upload, reason: str | None, now: datetime) -> Decision:
        look = self._last_look(record, now)
        if self.scanned or record.status in _REPLACEABLE:
            # A tag may come; or the key is written again and again, and what was seen is gone.
            scan = now + self.overdue
            look = scan if look is None else min(look, scan)
        changes = {"status_reason": reason, "next_look_at": look}
        return Decision(UploadStatus.QUARANTINED, changes)

    def _last_look(self, record: Upload, now: datetime) -> datetime | None:
        """A multipart of ours is still to be cleared away; else that of a form."""
        if record.multipart_id is not None:
            return now
        return self.later_look(replace(record, updated_at=now), now)


def rejected(reason: str | None, now: datetime) -> Decision:
    """With a look that is due at once: should the deletion fail now, the sweep tries it again."""
    changes = {"status_reason": reason, "next_look_at": now, "looks": 0}
    return Decision(UploadStatus.REJECTED, changes)
