"""Signed requests that can be read, and that nobody can use."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from urllib.parse import urlencode

from service.uploads.model import Checksum
from service.uploads.signed import PartTerms, SignedForm, SignedRequest
from tests.fakes.clock import Clock

STORE = "https://store.example"


class ReadableSigner:
    """Implements service.uploads.signed.Signer. What is signed stands in the address; `signed`
    lists the kinds. `life` is what is left of the credentials; `failures` are raised first.
    """

    def __init__(self, clock: Clock) -> None:
        self.signed: list[str] = []
        self.failures: list[Exception] = []
        self.life = timedelta(days=7)
        self._clock = clock

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
            "content-length": str(size),
            "content-type": content_type,
            "if-none-match": "*",
            "x-amz-meta-uploadgate-upload-id": upload_id,
        }
        if checksum is not None:
            headers[f"x-amz-checksum-{checksum.algorithm.lower()}"] = checksum.value
        return self._request("put", f"{bucket}/{key}", seconds, {"size": str(size)}, headers)

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
        fields = {
            "key": key,
            "content-length-range": f"{smallest}-{largest}",
            "content-type": content_type,
            "x-amz-meta-uploadgate-upload-id": upload_id,
        }
        return SignedForm(f"{STORE}/{bucket}", fields, self._until("post", seconds))

    async def parts(
        self,
        bucket: str,
        key: str,
        multipart_id: str,
        parts: Sequence[PartTerms],
        *,
        seconds: int,
    ) -> Sequence[SignedRequest]:
        return [self._part(f"{bucket}/{key}", multipart_id, part, seconds) for part in parts]

    def _part(self, path: str, multipart_id: str, part: PartTerms, seconds: int) -> SignedRequest:
        query = {"uploadId": multipart_id, "partNumber": str(part.number)}
        headers = {} if part.size is None else {"content-length": str(part.size)}
        return self._request("part", path, seconds, query, headers)

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
        query = {"disposition": content_disposition, "type": content_type}
        version = {} if version_id is None else {"versionId": version_id}
        return self._request("get", f"{bucket}/{key}", seconds, query | version, {})

    def _request(
        self, kind: str, path: str, seconds: int, query: dict[str, str], headers: dict[str, str]
    ) -> SignedRequest:
        return SignedRequest(
            f"{STORE}/{path}?{urlencode(query)}", headers, self._until(kind, seconds)
        )

    def _until(self, kind: str, seconds: int) -> datetime:
        if self.failures:
            raise self.failures.pop(0)
        self.signed.append(kind)
        return self._clock() + min(timedelta(seconds=seconds), self.life)
