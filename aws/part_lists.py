"""What a store's list of parts says. Pure."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, get_args

from service.uploads.model import Checksum, ChecksumAlgorithm
from service.uploads.ports import StoredPart

_LONG_AGO = datetime.min.replace(tzinfo=UTC)
Dated = tuple[datetime, StoredPart]
"""A part, and when the store got it."""


def dated_part(entry: Any) -> Dated:
    """From an entry of ListParts. Raises KeyError or ValueError for what is none."""
    part = StoredPart(
        number=int(entry["PartNumber"]),
        size=int(entry["Size"]),
        etag=str(entry["ETag"]).strip('"'),
        checksum=_checksum(entry),
    )
    return entry.get("LastModified", _LONG_AGO), part


def _checksum(entry: Any) -> Checksum | None:
    for algorithm in get_args(ChecksumAlgorithm):
        if value := entry.get(f"Checksum{algorithm}"):
            return Checksum(algorithm, str(value))
    return None


def newest(listed: Iterable[Dated]) -> Sequence[StoredPart]:
    """By number, each once. S3 replaces a part that is sent again; SeaweedFS 4.48 lists both,
    dated in whole seconds, and would complete with either. Where two of the same second differ
    nobody can say which is meant, so that part counts as missing and is sent once more.
    """
    found: dict[int, list[Dated]] = {}
    for dated in listed:
        found.setdefault(dated[1].number, []).append(dated)
    last = (_last(found[number]) for number in sorted(found))
    return tuple(part for part in last if part is not None)


def _last(sent: Sequence[Dated]) -> StoredPart | None:
    when = max(at for at, _ in sent)
    of_that_time = [part for at, part in sent if at == when]
    return of_that_time[0] if len({part.etag for part in of_that_time}) == 1 else None
