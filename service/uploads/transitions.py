"""Which state may follow which. Pure; the database's compare-and-set holds it under concurrency."""

from collections.abc import Mapping
from types import MappingProxyType

from service.uploads.model import UploadStatus as S

_FOUND = frozenset({S.RECEIVED, S.QUARANTINED, S.COMPLETED, S.REJECTED})

NEXT: Mapping[S, frozenset[S]] = MappingProxyType(
    {
        # What arrives is verified with the look that finds it: no state between the two is
        # written. Rejected before it arrives: parts that together are more than was announced.
        S.PENDING: frozenset({S.UPLOADING, *_FOUND, S.ABORTED, S.EXPIRED}),
        S.UPLOADING: frozenset({*_FOUND, S.ABORTED, S.EXPIRED}),
        S.RECEIVED: frozenset({S.QUARANTINED, S.COMPLETED, S.REJECTED, S.ABORTED}),
        # Replaced: released, having been completed with other bytes before.
        S.QUARANTINED: frozenset({S.COMPLETED, S.REPLACED, S.REJECTED, S.DELETED}),
        # Rejected: written again, with more than fits into the quota.
        S.COMPLETED: frozenset({S.QUARANTINED, S.REPLACED, S.REJECTED, S.DELETED}),
        # A replacement may be replaced again: the same state with another ETag.
        S.REPLACED: frozenset({S.QUARANTINED, S.REPLACED, S.REJECTED, S.DELETED}),
        S.REJECTED: frozenset(),
        S.ABORTED: frozenset(),
        S.EXPIRED: frozenset(),
        S.DELETED: frozenset(),
    }
)

# Nothing may remain at the store for these: bytes that come later are deleted.
ENDED = frozenset({S.REJECTED, S.ABORTED, S.EXPIRED, S.DELETED})
# Verified, and at the store.
ARRIVED = frozenset({S.QUARANTINED, S.COMPLETED, S.REPLACED})
# The client may still be sending.
IN_FLIGHT = frozenset({S.PENDING, S.UPLOADING})


def allowed(before: S, after: S) -> bool:
    return after in NEXT[before]
