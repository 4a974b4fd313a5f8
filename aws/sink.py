"""Sends bytes on to the store, into requests that were signed before."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self

import aiohttp
import structlog
from yarl import URL

from aws.egress import Egress
from aws.measured_body import MeasuredBody
from aws.s3_errors import GONE, LONGEST_ERROR, code_in, refusal
from errors import (
    InvalidRequestError,
    MultipartGoneError,
    StoreUnavailableError,
    UploadgateError,
    UploadStateError,
)
from service.uploads.signed import SignedRequest

_log = structlog.get_logger("uploadgate.store")
_OK = 200
_REDIRECTION = 300
_THERE_ALREADY = 412
_OTHER_BYTES = frozenset({"BadDigest", "XAmzContentChecksumMismatch"})  # the last is MinIO's


class StoreSink:
    """Implements service.uploads.ports.Sink. `opened` is the way to one: it holds the connections
    and lives as long as the application.

    No request is ever repeated, as its bytes have passed by. Errors are raised without their
    causes: aiohttp's name the whole address, which is as good as the bytes.
    """

    def __init__(
        self, session: aiohttp.ClientSession, egress: Egress, *, idle_seconds: float
    ) -> None:
        self._session = session
        self._egress = egress
        self._idle_seconds = idle_seconds

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, *, connections: int, connect_seconds: float, idle_seconds: float
    ) -> AsyncIterator[Self]:
        """At most so many requests at once; more of them wait for their turn within
        `connect_seconds`. `idle_seconds` is how long the store may take no byte, and how long it
        may then take to answer; how long the bytes may be in coming is their sender's affair.
        """
        egress = await Egress.found()
        async with aiohttp.ClientSession(
            # A connection that the store has closed meanwhile would cost the whole request.
            connector=aiohttp.TCPConnector(limit=connections, force_close=True, ssl=egress.tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=connect_seconds),
            skip_auto_headers=("Content-Type", "User-Agent"),
        ) as session:
            yield cls(session, egress, idle_seconds=idle_seconds)

    async def send(self, target: SignedRequest, *, size: int, chunks: AsyncIterator[bytes]) -> None:
        """As the port says. Raises InvalidRequestError for chunks that are not of this size in
        all or not of the checksum that was signed, and MultipartGoneError for a part of a
        multipart that is no more.
        """
        failure: UploadgateError | None
        async with MeasuredBody(chunks, size) as body:
            try:
                async with asyncio.timeout(None) as watch:
                    body.watched_by(watch, self._idle_seconds)
                    failure = await self._answered(target, size, body)
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                failure = _away(type(error).__name__)
        if body.failure is not None:
            raise body.failure
        if failure is not None:
            raise failure

    async def _answered(
        self, target: SignedRequest, size: int, body: MeasuredBody
    ) -> UploadgateError | None:
        """None for what is stored."""
        # With its length given aiohttp does not send it in chunks, which signatures forbid.
        signed = {n: v for n, v in target.headers.items() if n.lower() != "content-length"}
        url = URL(target.url, encoded=True)
        async with self._session.put(
            url,
            headers=signed | {"Content-Length": str(size)},
            data=body,
            allow_redirects=False,
            proxy=self._egress.proxy(url),
        ) as answer:
            body.answered()
            if _OK <= answer.status < _REDIRECTION:
                return None if body.whole else _away("answered too early")
            if answer.status == _THERE_ALREADY:
                return UploadStateError("The store has an object there already")
            return _refused(code_in(await answer.content.read(LONGEST_ERROR)), answer.status)


def _away(cause: str) -> UploadgateError:
    _log.warning("store.unavailable", cause=cause)
    return StoreUnavailableError()


def _refused(code: str, status: int) -> UploadgateError:
    if code == GONE:
        return MultipartGoneError()
    if code in _OTHER_BYTES:
        return InvalidRequestError("The bytes do not have the checksum that was announced")
    return refusal("SignedPut", code, status)
