"""An object store in memory."""

from collections.abc import Mapping
from typing import Any

from errors import StoreUnavailableError
from service.uploads.ports import StoredObject


def stored(**changes: Any) -> StoredObject:
    """Five bytes of text."""
    values: dict[str, Any] = {"size": 5, "etag": "one", "content_type": "text/plain"}
    return StoredObject(**{**values, **changes})


class MemoryStore:
    """Implements service.uploads.ports.ObjectStore. `failures` are raised first, one a call, and
    `list_failures` by `confirm_absent`. `before_delete` is put in place of the object just before a
    deletion is tried, `after_tags` just after its tags were read. An object that is written loses
    its tags.
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], StoredObject] = {}
        self.failures: list[Exception] = []
        self.delete_failures: list[Exception] = []
        self.before_delete: StoredObject | None = None
        self.tagged: dict[tuple[str, str, str | None], Mapping[str, str]] = {}
        self.tag_failures: list[Exception] = []
        self.after_tags: StoredObject | None = None
        self.heads = 0
        self.listings = 0
        self.list_failures: list[Exception] = []
        self.versions: set[tuple[str, str, str]] = set()
        self.versions_asked = 0
        self.deletions: list[tuple[str, str | None]] = []

    def put(self, key: str, found: StoredObject, bucket: str = "uploads") -> None:
        self.objects[bucket, key] = found
        self.tagged.pop((bucket, key, None), None)

    def tag(
        self, key: str, tags: Mapping[str, str], version: str | None = None, bucket: str = "uploads"
    ) -> None:
        """A version, or what stands there now."""
        self.tagged[bucket, key, version] = tags

    def holds(self, key: str, bucket: str = "uploads") -> bool:
        return (bucket, key) in self.objects

    async def head(self, bucket: str, key: str) -> StoredObject | None:
        self.heads += 1
        if self.failures:
            raise self.failures.pop(0)
        return self.objects.get((bucket, key))

    async def confirm_absent(self, bucket: str, key: str) -> None:
        self.listings += 1
        if self.list_failures:
            raise self.list_failures.pop(0)
        if (bucket, key) in self.objects:
            raise StoreUnavailableError

    async def has_version(self, bucket: str, key: str, version_id: str) -> bool:
        """Of those that are not the newest, what `versions` holds."""
        self.versions_asked += 1
        return (bucket, key, version_id) in self.versions

    async def delete(self, bucket: str, key: str, *, etag: str | None) -> bool:
        self.deletions.append((key, etag))
        if self.delete_failures:
            raise self.delete_failures.pop(0)
        if self.before_delete is not None:
            self.objects[bucket, key], self.before_delete = self.before_delete, None
        there = self.objects.get((bucket, key))
        if there is not None and etag not in (None, there.etag):
            return False
        self.objects.pop((bucket, key), None)
        return True

    async def tags(self, bucket: str, key: str, *, version_id: str | None) -> Mapping[str, str]:
        if self.tag_failures:
            raise self.tag_failures.pop(0)
        found = self.tagged.get((bucket, key, version_id), {})
        if self.after_tags is not None:
            self.objects[bucket, key], self.after_tags = self.after_tags, None
        return found
