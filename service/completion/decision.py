"""What becomes of a record, now that the store has shown its object. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from service.completion.verification import Verdict, verify
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
    """`address_life`: how long an address that was signed can be written to. `scan_after`: when
    a scanner's tag is first looked for; None where none gives verdicts.
    """

    policy: Policy
    address_life: timedelta
    scan_after: timedelta | None = None

    def decide(self, record: Upload, stored: StoredObject, now: datetime) -> Decision:
        """Completed, in quarantine, replaced or rejected."""
        profile = self.policy.of_record(record.profile)
        verdict = verify(record, stored, profile)
        if not verdict.accepted:
            return rejected(verdict.reason, now)
        if record.status in _REPLACEABLE:
            look = self._last_look(record, now)
            changes = {"status_reason": WRITTEN_AGAIN, "next_look_at": look}
            return Decision(UploadStatus.REPLACED, changes)
        if profile.quarantine:
            return self._accepted(UploadStatus.QUARANTINED, record, verdict, now)
        return self._accepted(UploadStatus.COMPLETED, record, verdict, now)

    def _accepted(
        self, status: UploadStatus, record: Upload, verdict: Verdict, now: datetime
    ) -> Decision:
        completed = status is UploadStatus.COMPLETED
        changes = {
            "status_reason": verdict.reason,
            "completed_at": now if completed else None,
            "next_look_at": self._next_look(record, now, scanned=not completed),
        }
        return Decision(status, changes)

    def _next_look(self, record: Upload, now: datetime, *, scanned: bool) -> datetime | None:
        last = self._last_look(record, now)
        if not scanned or self.scan_after is None:
            return last
        scan = now + self.scan_after
        return scan if last is None else min(last, scan)

    def _last_look(self, record: Upload, now: datetime) -> datetime | None:
        """A multipart may still be cleared away; a form that was given out may still be sent
        again, and its event be lost.
        """
        if record.multipart_id is not None:
            return now
        presigned = record.transport is Transport.PRESIGNED or record.transport_reason == "switched"
        form = presigned and record.origin is Origin.API
        return now + self.address_life if form else None


def rejected(reason: str | None, now: datetime) -> Decision:
    """With a look that is due at once: should the deletion fail now, the sweep tries it again."""
    changes = {"status_reason": reason, "next_look_at": now, "looks": 0}
    return Decision(UploadStatus.REJECTED, changes)
