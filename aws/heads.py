"""Asks the store what stands at a key: requests of our own, as every completion makes one.

By botocore a HEAD takes some eight times the processor time (benchmarks/heads.py).
"""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final, Self

import aiohttp
import structlog
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong
from yarl import URL

from aws.egress import Egress
from aws.s3_errors import ABSENT, MARK, UnmarkedError, refusal, store_errors, transient
from aws.signer.presigner import Presigner
from errors import StoreUnavailableError
from service.uploads.model import Checksum
from service.uploads.ports import StoredObject
from service.uploads.signed import UPLOAD_ID_METADATA

_log = structlog.get_logger("uploadgate.store")
_PAUSE: Final = 0.1  # seconds; the longest before the second attempt is twice that, and so on
_OK: Final = 200
_NO_LONGER_OK: Final = 300
_BAD_REQUEST: Final = 400
_TOO_MANY: Final = "Too many headers"  # aiohttp has no class of its own for it
# Of what is packed for the way no length is told. (aiohttp's own are dearer to leave out.)
_OUR_HEADERS: Final = {"Accept-Encoding": "identity", "User-Agent": "uploadgate"}
_UPLOAD_ID: Final = f"x-amz-meta-{UPLOAD_ID_METADATA}"


class UnreadableError(Exception):
    """The store answers, but not with what stands there: status 400, as without the client's own
    key (SSE-C) and for faults of ours alike; or headers beyond what S3 allows (a self-hosted store
    may take them) and beyond what is read here.
    """


class _AwayError(Exception):
    """Told by the class of what kept the answer from coming."""


class Heads:
    """`opened` is the way to one: it holds the connections and lives as long as the application.

    Errors are raised without aiohttp's as their causes: those name the whole address, which is as
    good as the object's metadata.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        egress: Egress,
        signer: Presigner,
        *,
        attempts: int,
        seconds: float,
    ) -> None:
        self._session = session
        self._egress = egress
        self._signer = signer
        self._attempts = attempts
        self._seconds = seconds

    @classmethod
    @asynccontextmanager
    async def opened(
        cls,
        signer: Presigner,
        *,
        connections: int,
        connect_seconds: float,
        read_seconds: float,
        attempts: int,
        call_seconds: float,
    ) -> AsyncIterator[Self]:
        """`signer` for the store's address as the service reaches it. At most so many requests at
        once. `read_seconds` is how long no byte may come, `call_seconds` how long one call may
        take with all `attempts`, and with its turn.
        """
        egress = await Egress.found()
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, ssl=egress.tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=connect_seconds, sock_read=read_seconds
            ),
            auto_decompress=False,
        ) as session:
            yield cls(session, egress, signer, attempts=attempts, seconds=call_seconds)

    async def head(self, bucket: str, key: str) -> StoredObject | None:
        """As service.uploads.ports.ObjectStore says, but raises UnreadableError where it is not
        the object's own head that tells what stands there, and UnmarkedError where it may be
        somebody else's answer.
        """
        async with store_errors(self._seconds):
            try:
                status, headers = await self._answered(bucket, key)
            except _AwayError as away:
                _log.warning("store.unavailable", cause=str(away))
                raise StoreUnavailableError from None
            found = _stored(headers) if _OK <= status < _NO_LONGER_OK else None
        if found is not None or str(status) in ABSENT:
            if MARK not in headers:
                raise UnmarkedError(found)
            return found
        if status == _BAD_REQUEST:
            raise UnreadableError
        raise refusal("HeadObject", str(status), status)

    async def _answered(self, bucket: str, key: str) -> tuple[int, Mapping[str, str]]:
        """Status and headers; those of the last attempt where all fail in passing."""
        for attempt in range(1, self._attempts):
            with suppress(_AwayError):
                status, headers = await self._attempt(bucket, key)
                if not transient(str(status), status):
                    return status, headers
            await asyncio.sleep(random.uniform(0, _PAUSE * 2**attempt))  # noqa: S311 - no secret
        return await self._attempt(bucket, key)

    async def _attempt(self, bucket: str, key: str) -> tuple[int, Mapping[str, str]]:
        signed = await self._signer.head(bucket, key)
        url = URL(signed.url, encoded=True)
        try:
            async with self._session.head(
                url,
                headers={**signed.headers, **_OUR_HEADERS},
                allow_redirects=False,
                proxy=self._egress.proxy(url),
            ) as answer:
                return answer.status, answer.headers
        except aiohttp.ClientResponseError as error:
            failed: Exception = _AwayError(type(error).__name__)
            if beyond_reading(error):
                failed = UnreadableError()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            failed = _AwayError(type(error).__name__)
        raise failed


def beyond_reading(error: aiohttp.ClientResponseError) -> bool:
    """An answer whose headers are too long or too many, and so the object's own; any other that
    cannot be read is no HTTP, and says nothing of the object.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, LineTooLong):
            return True
        if isinstance(cause, BadHttpMessage) and cause.message.startswith(_TOO_MANY):
            return True
        cause = cause.__cause__
    return False


def _stored(headers: Mapping[str, str]) -> StoredObject:
    """What the headers of a HEAD say; names in any case. Raises KeyError or ValueError for those
    of no object.
    """
    return StoredObject(
        size=int(headers["Content-Length"]),
        etag=headers["ETag"].strip('"'),
        content_type=headers.get("Content-Type") or "application/octet-stream",
        version_id=_version(headers.get("x-amz-version-id")),
        checksum=_full_object_checksum(headers),
        # Anybody who can write can say anything here: it is compared, never believed.
        upload_id=headers.get(_UPLOAD_ID),
    )


def _version(version: str | None) -> str | None:
    return None if version == "null" else version


def _full_object_checksum(headers: Mapping[str, str]) -> Checksum | None:
    """A composite checksum (of part checksums, `…-N`) says nothing about the whole."""
    if headers.get("x-amz-checksum-type") == "COMPOSITE":
        return None
    if value := headers.get("x-amz-checksum-crc64nvme"):
        return Checksum("CRC64NVME", value)
    value = headers.get("x-amz-checksum-crc32")
    if value and "-" not in value:
        return Checksum("CRC32", value)
    return None
