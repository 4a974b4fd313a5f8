"""The object store, by S3's API."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import structlog
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)

from errors import StoreRefusedError, StoreUnavailableError, UploadgateError
from service.uploads.model import Checksum
from service.uploads.ports import StoredObject

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

_log = structlog.get_logger("uploadgate.store")
_SERVER_FAULT = 500
_BAD_REQUEST = 400
# What botocore's parser raises for bodies that are not the API's.
_NO_ANSWER_OF_S3 = (ValueError, KeyError, TypeError, AttributeError, RuntimeError)
_ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})
_CHANGED = frozenset({"412", "PreconditionFailed"})
_BUSY = frozenset({"SlowDown", "RequestTimeout", "503", "429", "OperationAborted", "409"})


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _mapped(error: ClientError) -> UploadgateError:
    code = _code(error)
    status = _status(error)
    _log.warning("store.refused", operation=error.operation_name, aws_code=code[:64], status=status)
    transient = code in _BUSY or status >= _SERVER_FAULT
    return StoreUnavailableError() if transient else StoreRefusedError()


@asynccontextmanager
async def _mapping_errors(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except ClientError as error:
        raise _mapped(error) from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise StoreRefusedError("The service has no credentials for the store") from error
    except (BotoCoreError, TimeoutError, OSError, *_NO_ANSWER_OF_S3) as error:
        _log.warning("store.unavailable", cause=type(error).__name__)
        raise StoreUnavailableError from error


class S3Store:
    """Implements service.uploads.ports.ObjectStore."""

    def __init__(self, client: "S3Client", *, call_seconds: float) -> None:
        self._client = client
        self._call_seconds = call_seconds

    async def head(self, bucket: str, key: str) -> StoredObject | None:
        async with _mapping_errors(self._call_seconds):
            try:
                answer: Any = await self._client.head_object(
                    Bucket=bucket, Key=key, ChecksumMode="ENABLED"
                )
            except ClientError as error:
                if _code(error) in _ABSENT:
                    return None
                if _status(error) == _BAD_REQUEST:
                    return await self._listed(bucket, key)
                raise
            except HTTPClientError as error:
                if isinstance(error.kwargs.get("error"), aiohttp.ClientResponseError):
                    # Headers beyond what S3 allows (a self-hosted store may take them) and
                    # beyond what the transport reads.
                    return await self._listed(bucket, key)
                raise
            return StoredObject(
                size=int(answer["ContentLength"]),
                etag=str(answer["ETag"]).strip('"'),
                content_type=str(answer.get("ContentType") or "application/octet-stream"),
                version_id=_version(answer),
                checksum=_full_object_checksum(answer),
            )

    async def _listed(self, bucket: str, key: str) -> StoredObject | None:
        """A HEAD answers 400 without the client's own key (SSE-C), and for faults of ours alike.
        A listing, which needs no such key, tells the two apart: it fails for the latter.
        """
        answer: Any = await self._client.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
        for found in answer.get("Contents", []):
            if found["Key"] == key:
                return StoredObject(
                    size=int(found["Size"]),
                    etag=str(found["ETag"]).strip('"'),
                    content_type="application/octet-stream",
                    readable=False,
                )
        return None

    async def delete(self, bucket: str, key: str, *, etag: str | None) -> bool:
        condition: Any = {} if etag is None else {"IfMatch": f'"{etag}"'}
        async with _mapping_errors(self._call_seconds):
            try:
                await self._client.delete_object(Bucket=bucket, Key=key, **condition)
            except ClientError as error:
                if _code(error) in _CHANGED:
                    return await self.head(bucket, key) is None
                if _code(error) not in _ABSENT:
                    raise
            return True

    async def ping(self, bucket: str) -> None:
        """Raises StoreUnavailableError or StoreRefusedError."""
        async with _mapping_errors(self._call_seconds):
            await self._client.head_bucket(Bucket=bucket)


def _version(answer: Any) -> str | None:
    version = answer.get("VersionId")
    return None if version in (None, "null") else str(version)


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
