"""What a look at the store is told before it, and what it says after."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from service.uploads.model import UploadStatus


class Outcome(StrEnum):
    ABSENT = "absent"  # not there (yet)
    GONE = "gone"  # it was there once, or nothing is to come any more
    UNOWNED = "unowned"
    UNCHANGED = "unchanged"
    SUPERSEDED = "superseded"  # an older event than the one that moved the record
    STALE = "stale"  # other bytes are there than the event told of
    WAITING = "waiting"  # for a scanner's verdict
    QUARANTINED = "quarantined"
    COMPLETED = "completed"
    REPLACED = "replaced"
    REJECTED = "rejected"
    STRAY_DELETED = "stray_deleted"


# What an event told of was not there (yet), or other bytes were.
NOT_THERE = frozenset({Outcome.ABSENT, Outcome.GONE})
NOT_SHOWN = NOT_THERE | {Outcome.STALE}
OF_STATUS: Mapping[UploadStatus, Outcome] = {
    UploadStatus.QUARANTINED: Outcome.QUARANTINED,
    UploadStatus.COMPLETED: Outcome.COMPLETED,
    UploadStatus.REPLACED: Outcome.REPLACED,
    UploadStatus.REJECTED: Outcome.REJECTED,
}


@dataclass(frozen=True, slots=True)
class News:
    """What events say of themselves: the place of the newest in the order of its key, and which
    bytes. `others`: which further ones were told of, where no order is known.
    """

    sequencer: str | None = None
    etag: str | None = None
    others: frozenset[str] = frozenset()

    def was_shown(self, etag: str) -> bool:
        """The newest of what was told of."""
        return self.etag in (None, etag)

    def were_all_shown(self, etag: str) -> bool:
        return self.was_shown(etag) and self.others <= {etag}
