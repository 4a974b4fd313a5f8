"""Asks the store for the parts of a multipart: requests of our own, read as they come.

Not by botocore, whose parser keeps the event loop for 0.7 s over 10,000 parts, which any client
with such a multipart could have it do again and again.

No page size is asked for: AWS answers its largest (1,000) then, and SeaweedFS 4.48 all 10,000.
Asked for pages of 1,000 it sorts part 10,000 before part 1,000 and loses what follows.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, Self

import aiohttp
import structlog
from yarl import URL

from aws.egress import Egress
from aws.part_list_xml import PartListReader
from aws.part_lists import NewestParts
from aws.s3_errors import GONE, LONGEST_ERROR, code_in, refusal, store_errors, transient
from aws.signer.presigner import Presigner
from errors import StoreUnavailableError, UploadgateError
from service.uploads.ports import StoredPart

_log = structlog.get_logger("uploadgate.store")
# Ten hold all that S3 can have of one multipart; a store that always names one more is broken.
MOST_PAGES: Final = 20
# Of one page: four times what 10,000 parts with a checksum each take.
LONGEST_PAGE: Final = 12 * 1024 * 1024
# About 200 parts, so that others have their turn every millisecond or two.
_PIECE: Final = 32 * 1024
_LIFE: Final = 900  # seconds, as S3 bears with a clock that is wrong by so much
_PAUSE: Final = 0.1  # seconds; the longest before the second attempt is twice that, and so on
_OK: Final = 200
_Multipart = tuple[str, str, str]
"""Bucket, key, and the store's id."""


class _FailedError(Exception):
    """An answer that is no list, or (status 0) what kept it from coming."""

    def __init__(self, code: str, status: int = 0) -> None:
        super().__init__()
        self.code = code
        self.status = status

    @property
    def passing(self) -> bool:
        return self.status == 0 or transient(self.code, self.status)

    def meant(self) -> UploadgateError:
        if self.status:
            return refusal("ListParts", self.code, self.status)
        _log.warning("store.unavailable", cause=self.code)
        return StoreUnavailableError()


class PartLister:
    """`opened` is the way to one: it holds the connections and lives as long as the application.

    Errors are raised without aiohttp's as their causes: those name the whole address, which is as
    good as the list.
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
        once. `read_seconds` is how long no byte may come, `call_seconds` how long one page may
        take with all `attempts`, and with its turn.
        """
        egress = await Egress.found()
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=connections, ssl=egress.tls),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=connect_seconds, sock_read=read_seconds
            ),
            # What is packed could be a thousand times as long as what is counted.
            auto_decompress=False,
            headers={"Accept-Encoding": "identity"},
            skip_auto_headers=("User-Agent",),
        ) as session:
            yield cls(session, egress, signer, attempts=attempts, seconds=call_seconds)

    async def parts(self, bucket: str, key: str, multipart_id: str) -> Sequence[StoredPart] | None:
        """As service.uploads.ports.Multiparts says."""
        found = NewestParts()
        try:
            await self._all_pages((bucket, key, multipart_id), found)
        except _FailedError as failed:
            if failed.code == GONE:
                return None
            raise failed.meant() from None
        return found.by_number()

    async def _all_pages(self, multipart: _Multipart, found: NewestParts) -> None:
        after = 0
        for _ in range(MOST_PAGES):
            async with store_errors(self._seconds):
                go_on = await self._page(multipart, after, found)
                if go_on is None:
                    return
                if go_on <= after:
                    raise ValueError("the list does not go on")
                after = go_on
        raise StoreUnavailableError("The store's list does not end")

    async def _page(self, multipart: _Multipart, after: int, found: NewestParts) -> int | None:
        """The number to go on after, None at the end. What breaks off is read again: the same
        part twice is the same part.
        """
        attempt = 1
        while True:
            try:
                return await self._attempt(multipart, after, found)
            except _FailedError as failed:
                if attempt >= self._attempts or not failed.passing:
                    raise
            await asyncio.sleep(random.uniform(0, _PAUSE * 2**attempt))  # noqa: S311 - no secret
            attempt += 1

    async def _attempt(self, multipart: _Multipart, after: int, found: NewestParts) -> int | None:
        signed = await self._signer.list_parts(*multipart, after=after, seconds=_LIFE)
        url = URL(signed.url, encoded=True)
        try:
            async with self._session.get(
                url, allow_redirects=False, proxy=self._egress.proxy(url)
            ) as answer:
                if answer.status == _OK:
                    return await _read(answer.content, found)
                raise _FailedError(code_in(await _beginning(answer.content)), answer.status)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            cause = type(error).__name__
        raise _FailedError(cause)


async def _read(content: aiohttp.StreamReader, found: NewestParts) -> int | None:
    """Raises ValueError or KeyError for what is no list, or an endless one."""
    reader, left = PartListReader(found.add), LONGEST_PAGE
    async for piece in content.iter_chunked(_PIECE):
        left -= len(piece)
        if left < 0:
            raise ValueError("too long a list")
        reader.feed(piece)
        # What has arrived already is given without a wait.
        await asyncio.sleep(0)
    return reader.close()


async def _beginning(content: aiohttp.StreamReader) -> bytes:
    body = b""
    async for piece in content.iter_chunked(LONGEST_ERROR):
        body += piece
        if len(body) >= LONGEST_ERROR:
            break
    return body
