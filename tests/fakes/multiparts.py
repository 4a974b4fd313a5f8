"""Multiparts in memory, on top of the store in memory."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from errors import StoreUnavailableError
from service.uploads.model import Checksum, ChecksumAlgorithm
from service.uploads.plan import SMALLEST_PART
from service.uploads.ports import (
    Completed,
    ListedMultipart,
    MultipartMarker,
    MultipartPage,
    StoredObject,
    StoredPart,
)
from tests.fakes.clock import START
from tests.fakes.store import MemoryStore


@dataclass(slots=True)
class Multipart:
    """`checksum` is what the store counts of the whole, where it has an algorithm."""

    bucket: str
    key: str
    content_type: str
    upload_id: str
    algorithm: ChecksumAlgorithm | None
    parts: dict[int, StoredPart] = field(default_factory=dict)
    checksum: Checksum | None = None
    initiated: datetime = START


class MemoryMultiparts:
    """Implements service.uploads.ports.Multiparts. `calls` counts them by name; `failures` are
    raised first, by name, one a call; `answers` are given to completions first. An answer that
    gets lost (`lost_answers`) is one to a completion that was done. With `hold` creations wait
    until it is set. Parts but the last have `smallest` bytes at least; a page `page_size` entries.
    """

    def __init__(self, store: MemoryStore, *, smallest: int = SMALLEST_PART) -> None:
        self.under_way: dict[str, Multipart] = {}
        self.calls: Counter[str] = Counter()
        self.failures: dict[str, list[Exception]] = {}
        self.answers: list[Completed] = []
        self.lost_answers = 0
        self.hold: asyncio.Event | None = None
        self.made = 0
        self.page_size = 1000
        self._store = store
        self._smallest = smallest

    def begin(
        self, key: str, upload_id: str = "", bucket: str = "uploads", initiated: datetime = START
    ) -> str:
        """A multipart that somebody made; its id."""
        self.made += 1
        multipart_id = f"mp_{self.made}"
        made = Multipart(bucket, key, "text/plain", upload_id, None, initiated=initiated)
        self.under_way[multipart_id] = made
        return multipart_id

    def put(self, multipart_id: str, number: int, size: int, etag: str = "") -> None:
        part = StoredPart(number, size, etag or f"part-{number}")
        self.under_way[multipart_id].parts[number] = part

    async def create(
        self,
        bucket: str,
        key: str,
        *,
        content_type: str,
        upload_id: str,
        algorithm: ChecksumAlgorithm | None,
    ) -> str:
        self._called("create")
        if self.hold is not None:
            await self.hold.wait()
        multipart_id = self.begin(key, upload_id, bucket)
        made = self.under_way[multipart_id]
        made.content_type, made.algorithm = content_type, algorithm
        return multipart_id

    async def parts(self, bucket: str, key: str, multipart_id: str) -> Sequence[StoredPart] | None:
        self._called("parts")
        found = self._found(bucket, key, multipart_id)
        return None if found is None else [found.parts[number] for number in sorted(found.parts)]

    async def complete(
        self,
        bucket: str,
        key: str,
        multipart_id: str,
        parts: Sequence[StoredPart],
        *,
        checksum: Checksum | None,
    ) -> Completed:
        self._called("complete")
        if self.answers:
            return self.answers.pop(0)
        if self._store.holds(key, bucket):
            return Completed.EXISTS
        found = self._found(bucket, key, multipart_id)
        if found is None:
            return Completed.GONE
        if not self._takes(found, parts):
            return Completed.PARTS_REFUSED
        if found.algorithm and checksum != found.checksum:
            return Completed.CHECKSUM_DIFFERS
        del self.under_way[multipart_id]
        self._store.put(key, _joined(multipart_id, found, parts), bucket)
        if self.lost_answers:
            self.lost_answers -= 1
            raise StoreUnavailableError
        return Completed.DONE

    async def abort(self, bucket: str, key: str, multipart_id: str) -> None:
        self._called("abort")
        if self._found(bucket, key, multipart_id) is not None:
            del self.under_way[multipart_id]

    async def of_key(self, bucket: str, key: str) -> Sequence[str]:
        self._called("of_key")
        return [name for name in self.under_way if self._found(bucket, key, name)]

    async def page(self, bucket: str, after: MultipartMarker | None) -> MultipartPage:
        self._called("page")
        begun = (after.key or "", after.multipart_id or "") if after else ("", "")
        rest = sorted(
            (found.key, name, found.initiated)
            for name, found in self.under_way.items()
            if found.bucket == bucket and (found.key, name) > begun
        )
        items = [ListedMultipart(*entry) for entry in rest[: self.page_size]]
        more = len(rest) > len(items)
        last = MultipartMarker(items[-1].key, items[-1].multipart_id) if more else None
        return MultipartPage(items, last)

    def _found(self, bucket: str, key: str, multipart_id: str) -> Multipart | None:
        found = self.under_way.get(multipart_id)
        return found if found and (found.bucket, found.key) == (bucket, key) else None

    def _takes(self, found: Multipart, parts: Sequence[StoredPart]) -> bool:
        numbers = [part.number for part in parts]
        known = all(found.parts.get(part.number) == part for part in parts)
        large = all(part.size >= self._smallest for part in parts[:-1])
        return bool(parts) and numbers == sorted(set(numbers)) and known and large

    def _called(self, name: str) -> None:
        self.calls[name] += 1
        if self.failures.get(name):
            raise self.failures[name].pop(0)


def _joined(multipart_id: str, found: Multipart, parts: Sequence[StoredPart]) -> StoredObject:
    return StoredObject(
        size=sum(part.size for part in parts),
        etag=f"{multipart_id}-{len(parts)}",
        content_type=found.content_type,
        checksum=found.checksum,
        upload_id=found.upload_id,
    )
