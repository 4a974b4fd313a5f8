"""Multiparts at the object store, by S3's API. Their parts are listed without botocore, which would
stop the event loop over long lists.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from aws.multipart_pages import PAGE_SIZE, advanced, decoded, markers, page_of
from aws.part_lister import PartLister
from aws.s3_errors import CHANGED, CONFLICTING, GONE, code_of, status_of, store_errors
from errors import StoreUnavailableError
from service.uploads.model import Checksum, ChecksumAlgorithm
from service.uploads.ports import Completed, MultipartMarker, MultipartPage, StoredPart
from service.uploads.signed import UPLOAD_ID_METADATA

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

# Of thousands each; a store that always names one more is broken.
MOST_PAGES = 20
# What botocore makes of an answer of 200 that is no XML, after as many attempts as are set.
_UNREADABLE = "500"
_REFUSALS: Mapping[str, Completed] = {
    GONE: Completed.GONE,
    **dict.fromkeys(CHANGED, Completed.EXISTS),
    **dict.fromkeys(CONFLICTING, Completed.CONFLICT),
    # The last is MinIO's.
    **dict.fromkeys(
        ("BadDigest", "InvalidDigest", "XAmzContentChecksumMismatch"), Completed.CHECKSUM_DIFFERS
    ),
    # InvalidRequest is the answer to a sum of sizes (x-amz-mp-object-size) that differs.
    **dict.fromkeys(
        ("InvalidPart", "InvalidPartOrder", "EntityTooSmall", "InvalidRequest"),
        Completed.PARTS_REFUSED,
    ),
}


class S3Multiparts:
    """Implements service.uploads.ports.Multiparts. `completing` is a client that waits longer
    for an answer: on AWS completion "could take several minutes". Seconds are of one request
    with its repetitions (of one page, in lists); `lister` has its own.
    """

    def __init__(
        self,
        client: "S3Client",
        completing: "S3Client",
        lister: PartLister,
        *,
        call_seconds: float,
        complete_seconds: float,
    ) -> None:
        self._client = client
        self._completing = completing
        self._lister = lister
        self._call_seconds = call_seconds
        self._complete_seconds = complete_seconds

    async def create(
        self,
        bucket: str,
        key: str,
        *,
        content_type: str,
        upload_id: str,
        algorithm: ChecksumAlgorithm | None,
    ) -> str:
        checked: Any = (
            {"ChecksumAlgorithm": algorithm, "ChecksumType": "FULL_OBJECT"} if algorithm else {}
        )
        async with store_errors(self._call_seconds):
            answer = await self._client.create_multipart_upload(
                Bucket=bucket,
                Key=key,
                ContentType=content_type,
                Metadata={UPLOAD_ID_METADATA: upload_id},
                **checked,
            )
            return str(answer["UploadId"])

    async def parts(self, bucket: str, key: str, multipart_id: str) -> Sequence[StoredPart] | None:
        return await self._lister.parts(bucket, key, multipart_id)

    async def complete(
        self,
        bucket: str,
        key: str,
        multipart_id: str,
        parts: Sequence[StoredPart],
        *,
        checksum: Checksum | None,
    ) -> Completed:
        if not parts:  # no multipart is without, and stores differ in how they say so
            return Completed.PARTS_REFUSED
        async with store_errors(self._complete_seconds):
            try:
                answer = await self._completing.complete_multipart_upload(
                    Bucket=bucket,
                    Key=key,
                    UploadId=multipart_id,
                    MultipartUpload={"Parts": [_named(part) for part in parts]},
                    IfNoneMatch="*",
                    MpuObjectSize=sum(part.size for part in parts),
                    **_whole(checksum),
                )
            except ClientError as error:
                # An error inside an answer of 200 comes here too: botocore makes a 500 of it.
                if (outcome := _outcome(error)) is None:
                    raise
                return outcome
            answer["ETag"]  # an empty answer of 200 says nothing
            return Completed.DONE

    async def abort(self, bucket: str, key: str, multipart_id: str) -> None:
        async with store_errors(self._call_seconds):
            try:
                await self._client.abort_multipart_upload(
                    Bucket=bucket, Key=key, UploadId=multipart_id
                )
            except ClientError as error:
                if code_of(error) != GONE:
                    raise

    async def of_key(self, bucket: str, key: str) -> Sequence[str]:
        """No page size is asked for, as in the lists of parts."""
        found: list[str] = []
        after: dict[str, Any] = {}
        for _ in range(MOST_PAGES):
            async with store_errors(self._call_seconds):
                page = await self._listed(Bucket=bucket, Prefix=key, **after)
                found += [str(e["UploadId"]) for e in page.get("Uploads", []) if e["Key"] == key]
                if not page.get("IsTruncated"):
                    return tuple(found)
                after = advanced(after, page)
        raise StoreUnavailableError("The store's list does not end")

    async def page(self, bucket: str, after: MultipartMarker | None) -> MultipartPage:
        begun = markers(after)
        async with store_errors(self._call_seconds):
            return page_of(begun, await self._listed(Bucket=bucket, MaxUploads=PAGE_SIZE, **begun))

    async def _listed(self, **request: Any) -> Mapping[str, Any]:
        """Keys are asked for as they are: SeaweedFS 4.48 says that it encodes them, and does not.
        But AWS answers what no XML can hold where a key does so, and one user's key must not hide
        the others from view.
        """
        try:
            return await self._client.list_multipart_uploads(**request)
        except ClientError as error:
            if code_of(error) != _UNREADABLE:
                raise
        request["EncodingType"] = "url"
        return decoded(await self._client.list_multipart_uploads(**request))


def _named(part: StoredPart) -> Any:
    return {"PartNumber": part.number, "ETag": f'"{part.etag}"'} | _value(part.checksum)


def _value(checksum: Checksum | None) -> dict[str, Any]:
    return {f"Checksum{checksum.algorithm}": checksum.value} if checksum else {}


def _whole(checksum: Checksum | None) -> dict[str, Any]:
    return _value(checksum) | {"ChecksumType": "FULL_OBJECT"} if checksum else {}


def _outcome(error: ClientError) -> Completed | None:
    return _REFUSALS.get(code_of(error)) or _REFUSALS.get(str(status_of(error)))
