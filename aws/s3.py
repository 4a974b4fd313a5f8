"""The object store, by S3's API."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import aiohttp
import structlog
from botocore.exceptions import ClientError, HTTPClientError

from aws.heads import Heads, UnreadableError, beyond_reading
from aws.s3_errors import (
    ABSENT,
    CHANGED,
    NO_SUCH_KEY,
    UnmarkedError,
    code_of,
    is_marked,
    status_of,
    store_errors,
)
from errors import StoreUnavailableError
from service.uploads.model import Checksum
from service.uploads.ports import StoredObject
from service.uploads.signed import UPLOAD_ID_METADATA

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

_log = structlog.get_logger("uploadgate.store")
_BAD_REQUEST = 400
# Gone, in both ways, and some stores' word for an object that has none.
_WITHOUT_TAGS = ABSENT | {"NoSuchVersion", "NoSuchTagSet"}


class S3Store:
    """Implements service.uploads.ports.ObjectStore."""

    def __init__(
        self, client: "S3Client", *, call_seconds: float, heads: Heads | None = None
    ) -> None:
        """Without `heads` botocore asks, at several times the processor time."""
        self._client = client
        self._heads = heads
        self._call_seconds = call_seconds

    async def head(self, bucket: str, key: str) -> StoredObject | None:
        try:
            return await self._head(bucket, key)
        except UnmarkedError as doubtful:
            return await self._agreed(bucket, key, doubtful.found)

    async def _head(self, bucket: str, key: str) -> StoredObject | None:
        if self._heads is None:
            return await self._head_by_botocore(bucket, key)
        try:
            return await self._heads.head(bucket, key)
        except UnreadableError:
            return await self._unreadable(self._heads, bucket, key)

    async def _unreadable(self, heads: Heads, bucket: str, key: str) -> StoredObject | None:
        """What cannot be read is rejected and deleted, so it must be so before and after the
        listing: a moment's fault of the store's, or of a proxy before it, must not look like it.
        """
        async with store_errors(self._call_seconds):
            listed = await self._listed(bucket, key)
        if listed is None:
            return None
        try:
            return await heads.head(bucket, key)
        except UnreadableError:
            return listed

    async def _head_by_botocore(self, bucket: str, key: str) -> StoredObject | None:
        async with store_errors(self._call_seconds):
            try:
                answer: Any = await self._client.head_object(
                    Bucket=bucket, Key=key, ChecksumMode="ENABLED"
                )
            except ClientError as error:
                if code_of(error) in ABSENT:
                    if not is_marked(error.response):
                        raise UnmarkedError from None
                    return None
                if status_of(error) == _BAD_REQUEST:
                    return await self._listed(bucket, key)
                raise
            except HTTPClientError as error:
                cause = error.kwargs.get("error")
                if isinstance(cause, aiohttp.ClientResponseError) and beyond_reading(cause):
                    # Headers beyond what S3 allows (a self-hosted store may take them) and
                    # beyond what the transport reads.
                    return await self._listed(bucket, key)
                raise
            found = _stored(answer)
        if not is_marked(answer):
            raise UnmarkedError(found)
        return found

    async def _listed(self, bucket: str, key: str) -> StoredObject | None:
        """A HEAD answers 400 without the client's own key (SSE-C), and for faults of ours alike.
        A listing, which needs no such key, tells the two apart: it fails for the latter. And for
        a bucket that is not there, which to a HEAD looks like an object that is not.
        """
        try:
            answer: Any = await self._client.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
        except ClientError as error:
            if code_of(error) in ABSENT:  # no list is answered so by a store
                raise StoreUnavailableError from error
            raise
        for found in answer.get("Contents", []):
            if found["Key"] == key:
                return StoredObject(
                    size=int(found["Size"]),
                    etag=str(found["ETag"]).strip('"'),
                    content_type="application/octet-stream",
                    readable=False,
                )
        answer["Name"]  # what is no list says nothing
        return None

    async def confirm_absent(self, bucket: str, key: str) -> None:
        await self._agreed(bucket, key, None)

    async def _agreed(
        self, bucket: str, key: str, found: StoredObject | None
    ) -> StoredObject | None:
        """What a HEAD has told, if the store's own list of that key says the same."""
        async with store_errors(self._call_seconds):
            listed = await self._listed(bucket, key)
        if _bytes_of(listed) != _bytes_of(found):
            _log.warning("store.unavailable", cause="a HEAD and the list tell of different objects")
            raise StoreUnavailableError
        return found

    async def has_version(self, bucket: str, key: str, version_id: str) -> bool:
        async with store_errors(self._call_seconds):
            try:
                await self._client.head_object(Bucket=bucket, Key=key, VersionId=version_id)
            except ClientError as error:
                if code_of(error) not in ABSENT and status_of(error) != _BAD_REQUEST:
                    raise
                if not is_marked(error.response):
                    raise StoreUnavailableError from error
                return False  # also for the id of a version that another store has made
            return True

    async def delete(self, bucket: str, key: str, *, etag: str | None) -> bool:
        condition: Any = {} if etag is None else {"IfMatch": f'"{etag}"'}
        async with store_errors(self._call_seconds):
            try:
                await self._client.delete_object(Bucket=bucket, Key=key, **condition)
            except ClientError as error:
                if code_of(error) in CHANGED:
                    return await self.head(bucket, key) is None
                if code_of(error) not in ABSENT:
                    raise
                if code_of(error) != NO_SUCH_KEY and not is_marked(error.response):
                    await self.confirm_absent(bucket, key)
            return True

    async def tags(self, bucket: str, key: str, *, version_id: str | None) -> Mapping[str, str]:
        version: Any = {} if version_id is None else {"VersionId": version_id}
        async with store_errors(self._call_seconds):
            try:
                answer = await self._client.get_object_tagging(Bucket=bucket, Key=key, **version)
            except ClientError as error:
                if code_of(error) in _WITHOUT_TAGS:
                    return {}
                raise
            return {str(tag["Key"]): str(tag["Value"]) for tag in answer["TagSet"]}

    async def ping(self, bucket: str) -> None:
        """Raises StoreUnavailableError or StoreRefusedError."""
        async with store_errors(self._call_seconds):
            await self._client.head_bucket(Bucket=bucket)


def _bytes_of(stored: StoredObject | None) -> tuple[str, int] | None:
    return None if stored is None else (stored.etag, stored.size)


def _stored(answer: Any) -> StoredObject:
    return StoredObject(
        size=int(answer["ContentLength"]),
        etag=str(answer["ETag"]).strip('"'),
        content_type=str(answer.get("ContentType") or "application/octet-stream"),
        version_id=_version(answer),
        checksum=_full_object_checksum(answer),
        upload_id=_upload_id(answer),
    )


def _version(answer: Any) -> str | None:
    version = answer.get("VersionId")
    return None if version in (None, "null") else str(version)


def _upload_id(answer: Any) -> str | None:
    """Anybody who can write can say anything here: it is compared, never believed."""
    found = (answer.get("Metadata") or {}).get(UPLOAD_ID_METADATA)
    return None if found is None else str(found)


def _full_object_checksum(answer: Any) -> Checksum | None:
    """A composite checksum (of part checksums, `…-N`) says nothing about the whole."""
    if answer.get("ChecksumType") == "COMPOSITE":
        return None
    if value := answer.get("ChecksumCRC64NVME"):
        return Checksum("CRC64NVME", str(value))
    value = answer.get("ChecksumCRC32")
    if value and "-" not in str(value):
        return Checksum("CRC32", str(value))
    return None
