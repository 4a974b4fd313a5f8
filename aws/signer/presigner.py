"""Signs what clients send to the store.

A signer of our own, because it is on the hot path (docs/decisions/0009): nothing here waits but
for keys that are about to end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from aws.signer.address import BucketAddresses
from aws.signer.credentials import CredentialSource
from aws.signer.header_sigv4 import authorized
from aws.signer.part_urls import PartUrls
from aws.signer.post_policy import signed_fields
from aws.signer.sigv4 import QuerySigner, SigningDay, SigningDays, stamp_of
from errors import StoreUnavailableError
from service.clock import Clock, utc_now
from service.uploads.model import Checksum
from service.uploads.signed import UPLOAD_ID_METADATA, PartTerms, SignedForm, SignedRequest

LONGEST_LIFE: Final = 7 * 24 * 3600  # S3's limit, in seconds
_NONE: Final[Mapping[str, str]] = {}
_UPLOAD_ID: Final = f"x-amz-meta-{UPLOAD_ID_METADATA}"
_WITH_CHECKSUM: Final = {"x-amz-checksum-mode": "ENABLED"}
_AT_ONCE: Final = 900  # seconds for which S3 takes what is signed in headers
_CREATED: Final = "201"  # the status that makes S3 answer a form with the object's address and ETag


class Presigner:
    """Implements service.uploads.signed.Signer."""

    def __init__(
        self,
        *,
        credentials: CredentialSource,
        region: str,
        endpoint: str | None,
        clock: Clock = utc_now,
    ) -> None:
        """`endpoint` as those reach it who will send, None on AWS. Raises ValueError where there
        can be no address.
        """
        self._credentials = credentials
        self._addresses = BucketAddresses(region, endpoint)
        self._clock = clock
        self._days = SigningDays(region)

    def location(self, bucket: str, key: str) -> str:
        """The object's own address, unsigned."""
        address = self._addresses.of(bucket)
        return f"{address.origin}{address.path(key)}"

    async def put(
        self,
        bucket: str,
        key: str,
        *,
        size: int,
        content_type: str,
        checksum: Checksum | None,
        upload_id: str,
        seconds: int,
    ) -> SignedRequest:
        headers = {
            "Content-Length": str(size),
            "Content-Type": content_type,
            "If-None-Match": "*",
            _UPLOAD_ID: upload_id,
            **_checksum(checksum),
        }
        return await self._one("PUT", bucket, key, headers=headers, seconds=seconds)

    async def post(
        self,
        bucket: str,
        key: str,
        *,
        largest: int,
        content_type: str,
        upload_id: str,
        seconds: int,
        smallest: int = 0,
    ) -> SignedForm:
        term = await self._begin(seconds)
        fields = signed_fields(
            term.day,
            term.stamp,
            bucket=bucket,
            fields={
                "key": key,
                "Content-Type": content_type,
                "success_action_status": _CREATED,
                _UPLOAD_ID: upload_id,
            },
            smallest=smallest,
            largest=largest,
            expires_at=term.expires_at,
        )
        return SignedForm(self._addresses.of(bucket).form_url, fields, term.expires_at)

    async def parts(
        self,
        bucket: str,
        key: str,
        multipart_id: str,
        parts: Sequence[PartTerms],
        *,
        seconds: int,
    ) -> Sequence[SignedRequest]:
        term = await self._begin(seconds)
        urls = PartUrls(
            term.day,
            term.stamp,
            address=self._addresses.of(bucket),
            key=key,
            multipart_id=multipart_id,
            seconds=term.seconds,
        )
        signed = []
        for part in parts:
            length = {} if part.size is None else {"Content-Length": str(part.size)}
            headers = length if part.checksum is None else {**length, **_checksum(part.checksum)}
            url = urls.url(part.number, headers)
            signed.append(SignedRequest(url, headers, term.expires_at))
        return signed

    async def get(
        self,
        bucket: str,
        key: str,
        *,
        version_id: str | None,
        content_disposition: str,
        content_type: str,
        seconds: int,
    ) -> SignedRequest:
        query = {
            "response-content-disposition": content_disposition,
            "response-content-type": content_type,
        }
        if version_id is not None:
            query["versionId"] = version_id
        return await self._one("GET", bucket, key, query=query, seconds=seconds)

    async def head(self, bucket: str, key: str) -> SignedRequest:
        """For the service itself, to be sent now: signed in its headers. With the checksum, which
        S3 tells only when it is asked for.
        """
        term = await self._begin(_AT_ONCE)
        address = self._addresses.of(bucket)
        path = address.path(key)
        headers = authorized(
            term.day,
            term.stamp,
            host=address.host,
            method="HEAD",
            path=path,
            headers=_WITH_CHECKSUM,
        )
        return SignedRequest(f"{address.origin}{path}", headers, term.expires_at)

    async def list_parts(
        self, bucket: str, key: str, multipart_id: str, *, after: int, seconds: int
    ) -> SignedRequest:
        """A GET of the list of parts, beyond number `after`: for the service itself, as what
        clients may know of a list it tells them.
        """
        query = {"uploadId": multipart_id}
        if after:
            query["part-number-marker"] = str(after)
        return await self._one("GET", bucket, key, query=query, seconds=seconds)

    async def _one(
        self,
        method: str,
        bucket: str,
        key: str,
        *,
        query: Mapping[str, str] = _NONE,
        headers: Mapping[str, str] = _NONE,
        seconds: int,
    ) -> SignedRequest:
        term = await self._begin(seconds)
        address = self._addresses.of(bucket)
        path = address.path(key)
        signed_query = term.signer(address.host).query(method, path, query, headers)
        url = f"{address.origin}{path}?{signed_query}"
        return SignedRequest(url, headers, term.expires_at)

    async def _begin(self, seconds: int) -> "_Term":
        credentials = await self._credentials()
        now = self._clock().replace(microsecond=0)  # what X-Amz-Date can say
        life = min(max(seconds, 1), LONGEST_LIFE)
        if credentials.expires_at is not None:
            life = min(life, (credentials.expires_at - now) // timedelta(seconds=1))
        if life < 1:
            raise StoreUnavailableError("The service's credentials for the store have ended")
        stamp = stamp_of(now)
        day = self._days.of(credentials, stamp[:8])
        return _Term(day, stamp, life, now + timedelta(seconds=life))


@dataclass(frozen=True, slots=True)
class _Term:
    """Who signs, when, for how many seconds, and so until when."""

    day: SigningDay
    stamp: str
    seconds: int
    expires_at: datetime

    def signer(self, host: str) -> QuerySigner:
        return QuerySigner(self.day, self.stamp, host=host, seconds=self.seconds)


def _checksum(checksum: Checksum | None) -> Mapping[str, str]:
    if checksum is None:
        return {}
    return {f"x-amz-checksum-{checksum.algorithm.lower()}": checksum.value}
