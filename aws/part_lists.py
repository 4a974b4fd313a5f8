"""What a store's list of parts says. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import get_args

from service.uploads.model import Checksum, ChecksumAlgorithm
from service.uploads.plan import MOST_PARTS
from service.uploads.ports import StoredPart

_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_CHECKSUMS: Sequence[tuple[str, ChecksumAlgorithm]] = [
    (f"Checksum{algorithm}", algorithm) for algorithm in get_args(ChecksumAlgorithm)
]


class NewestParts:
    """Those of a list that may come in pages, and in any order.

    S3 replaces a part that is sent again; SeaweedFS 4.48 lists both, dated in whole seconds, and
    would complete with either. Where two of the same second differ nobody can say which is meant,
    so that part counts as missing and is sent once more.
    """

    def __init__(self) -> None:
        self._found: dict[int, tuple[datetime, StoredPart | None]] = {}

    def add(self, fields: Mapping[str, str]) -> None:
        """Of one Part of ListParts. Raises KeyError or ValueError for what is none, so no more is
        ever held than a multipart can have.
        """
        at, part = _sent_at(fields.get("LastModified")), _part(fields)
        known = self._found.get(part.number)
        if known is None or known[0] < at:
            self._found[part.number] = (at, part)
        elif known[0] == at and known[1] is not None and known[1].etag != part.etag:
            self._found[part.number] = (at, None)

    def by_number(self) -> Sequence[StoredPart]:
        return tuple(part for _, (_, part) in sorted(self._found.items()) if part is not None)


def _part(fields: Mapping[str, str]) -> StoredPart:
    number, size = int(fields["PartNumber"]), int(fields["Size"])
    if not 1 <= number <= MOST_PARTS or size < 0:
        raise ValueError("no part of a multipart")
    return StoredPart(number, size, fields["ETag"].strip().strip('"'), _checksum(fields))


def _sent_at(text: str | None) -> datetime:
    if text is None:
        return _LONG_AGO
    at = datetime.fromisoformat(text.strip())
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _checksum(fields: Mapping[str, str]) -> Checksum | None:
    for name, algorithm in _CHECKSUMS:
        if value := fields.get(name):
            return Checksum(algorithm, value)
    return None
