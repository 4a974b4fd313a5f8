"""Signs what clients send to one bucket.

A signer of our own, because it is on the hot path (docs/decisions/0009): nothing here waits but
for keys that are about to end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from aws.signer.address import BucketAddress
from aws.signer.credentials import CredentialSource
from aws.signer.post_policy import signed_fields
from aws.signer.sigv4 import QuerySigner, SigningDay, SigningDays, stamp_of
from errors import StoreUnavailableError
from service.clock import Clock, utc_now
from service.uploads.model import Checksum
from service.uploads.signed import UPLOAD_ID_METADATA, PartTerms, SignedForm, SignedRequest

LONGEST_LIFE: Final = 7 * 24 * 3600  # S3's limit, in seconds
_UPLOAD_ID: Final = f"x-amz-meta-{UPLOAD_ID_METADATA}"
_CREATED: Final = "201"  # the status that makes S3 answer a form with the object's address and ETag


class Presigner:
    """Implements service.uploads.signed.Signer."""

    def __init__(
        self,
        *,
        credentials: CredentialSource,
        region: str,
        bucket: str,
        endpoint: str | None,
        clock: Clock = utc_now,
    ) -> None:
        """`endpoint` as clients reach it, None on AWS. Raises ValueError where there can be no
        address.
        """
        self._credentials = credentials
        self._bucket = bucket
        self._address = BucketAddress.of(bucket, region, endpoint)
        self._clock = clock
        self._days = SigningDays(region)

    def location(self, key: str) -> str:
        """The object's own address, unsigned."""
        return f"{self._address.origin}{self._address.path(key)}"

    async def put(
        self,
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
        return await self._one("PUT", key, {}, headers, seconds)

    async def post(
        self,
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
            bucket=self._bucket,
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
        return SignedForm(self._address.form_url, fields, term.expires_at)

    async def parts(
        self, key: str, multipart_id: str, parts: Sequence[PartTerms], *, seconds: int
    ) -> Sequence[SignedRequest]:
        term = await self._begin(seconds)
        signer = self._signer(term)
        path = self._address.path(key)
        signed = []
        for part in parts:
            length = {} if part.size is None else {"Content-Length": str(part.size)}
            headers = {**length, **_checksum(part.checksum)}
            query = {"uploadId": multipart_id, "partNumber": str(part.number)}
            url = f"{self._address.origin}{path}?{signer.query('PUT', path, query, headers)}"
            signed.append(SignedRequest(url, headers, term.expires_at))
        return signed

    async def get(
        self,
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
        return await self._one("GET", key, query, {}, seconds)

    async def _one(
        self,
        method: str,
        key: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        seconds: int,
    ) -> SignedRequest:
        term = await self._begin(seconds)
        path = self._address.path(key)
        signed_query = self._signer(term).query(method, path, query, headers)
        url = f"{self._address.origin}{path}?{signed_query}"
        return SignedRequest(url, headers, term.expires_at)

    def _signer(self, term: "_Term") -> QuerySigner:
        host = self._address.host
        return QuerySigner(term.day, term.stamp, host=host, seconds=term.seconds)

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


def _checksum(checksum: Checksum | None) -> Mapping[str, str]:
    if checksum is None:
        return {}
    return {f"x-amz-checksum-{checksum.algorithm.lower()}": checksum.value}
