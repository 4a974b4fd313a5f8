"""Verdicts of a scanner that tags the objects it has looked at (GuardDuty's malware protection).

Whoever can set tags gives verdicts, so that uploaders must not: on AWS a tag in a PUT, in a
multipart's beginning or by itself needs `s3:PutObjectTagging`, which neither the users' role nor a
signed address has. Other stores differ: tests/integration/test_self_tagging.py. When a tag was set
says nothing: a scanner may well be quicker than the first look at the object.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from service.uploads.model import Upload, UploadStatus
from service.uploads.ports import ObjectStore, StoredObject
from service.uploads.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class ScanRule:
    """Which values of which tag release, and which reject. What is in neither is no verdict: a
    scanner that failed, or did not know the format.
    """

    tag: str
    clean: frozenset[str]
    rejected: frozenset[str]

    def verdict(self, tags: Mapping[str, str]) -> Verdict | None:
        """A value in both rejects."""
        value = tags.get(self.tag)
        if value in self.rejected:
            return "rejected"
        return "clean" if value in self.clean else None


class Scans:
    def __init__(self, *, store: ObjectStore, rule: ScanRule) -> None:
        self._store = store
        self._rule = rule

    async def look(self, record: Upload, stored: StoredObject) -> Verdict | None:
        """On the very bytes that the record has pinned and `stored` has shown, None while there is
        none. Raises StoreUnavailableError or StoreRefusedError: look again later.
        """
        if record.status is not UploadStatus.QUARANTINED or stored.etag != record.etag:
            return None
        tags = await self._store.tags(record.bucket, record.key, version_id=record.version_id)
        verdict = self._rule.verdict(tags)
        if verdict is None:
            return None
        # Between the first look and the tags others' bytes may have come, with others' tags.
        again = await self._store.head(record.bucket, record.key)
        return verdict if again is not None and again.etag == record.etag else None
