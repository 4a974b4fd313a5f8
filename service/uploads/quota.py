"""What an upload counts against its user's quota. Pure.

Reserved at creation, settled to the true size on completion, released when nothing of it remains
at the store. A record's `charged` is what it counts now; the sum over a user's records of one
profile is that user's usage, exact because both change in one transaction.
"""

from dataclasses import dataclass

from service.uploads.model import Upload, UploadStatus
from service.uploads.transitions import ARRIVED, ENDED, IN_FLIGHT


@dataclass(frozen=True, slots=True)
class Limits:
    """None: no limit. `quota` in bytes, over all of a user's uploads of one profile; `in_flight`
    is how many of them may be under way at once.
    """

    quota: int | None = None
    in_flight: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """What a user's uploads of one profile count together."""

    bytes: int = 0
    in_flight: int = 0


NO_LIMITS = Limits()


def charge(seen: Upload, status: UploadStatus, size: int | None) -> int:
    """What `seen` will count once it is in `status`, having arrived with `size` bytes."""
    if status in ENDED:
        return 0
    if status in ARRIVED and size is not None:
        return size
    return seen.charged


def in_flight(status: UploadStatus) -> int:
    """1 while a client may still be sending."""
    return int(status in IN_FLIGHT)
