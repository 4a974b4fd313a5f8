"""What a page of a configured origin may send to the store, and read of its answers."""

from typing import Any

import httpx
import pytest

from localcloud import LocalCloud
from tests.integration.localcloud.conftest import ORIGIN
from tests.integration.localcloud.people import Person, service_s3

FROM_PAGE = {"Origin": ORIGIN}
SENT_BY_PAGES = (
    "content-type",
    "if-none-match",
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc64nvme",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-meta-uploadgate-upload-id",
    "x-amz-content-sha256",
    "x-amz-security-token",
    "x-amz-date",
    "authorization",
)


def listed(answer: httpx.Response, header: str) -> set[str]:
    return {name.strip().lower() for name in answer.headers.get(header, "").split(",")}


async def preflight(
    cloud: LocalCloud, method: str, headers: tuple[str, ...], path: str = "some/key"
) -> httpx.Response:
    asked = {
        **FROM_PAGE,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": ",".join(sorted(headers)),
    }
    async with httpx.AsyncClient(base_url=cloud.s3_endpoint, trust_env=False, timeout=60) as http:
        return await http.options(f"/{cloud.bucket}/{path}", headers=asked)


@pytest.mark.parametrize("method", ["PUT", "POST", "GET", "HEAD", "DELETE"])
@pytest.mark.parametrize("path", ["", "some/key", "some/key?partNumber=1&uploadId=x"])
async def test_a_page_may_send_everything_that_uploads_need(
    cloud: LocalCloud, method: str, path: str
) -> None:
    answer = await preflight(cloud, method, SENT_BY_PAGES, path)
    assert answer.status_code in {200, 204}, answer.text
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert method.lower() in listed(answer, "access-control-allow-methods")
    allowed = listed(answer, "access-control-allow-headers")
    assert "*" in allowed or set(SENT_BY_PAGES) <= allowed
    # A wildcard does not cover this one (Fetch standard).
    assert "authorization" in allowed
    assert int(answer.headers["access-control-max-age"]) == 600


async def test_a_method_that_uploads_do_not_need_is_not_allowed(cloud: LocalCloud) -> None:
    answer = await preflight(cloud, "PATCH", ())
    assert "access-control-allow-methods" not in answer.headers


async def test_a_page_reads_etag_and_checksum_of_a_presigned_put(
    cloud: LocalCloud, alice: Person
) -> None:
    given: Any = {
        "Bucket": cloud.bucket,
        "Key": alice.key("page"),
        "ContentType": "text/plain",
        "ChecksumCRC32": "5ZamDQ==",  # of b"page's"
        "Metadata": {"uploadgate-upload-id": "u1"},
    }
    signed = await alice.s3.generate_presigned_url("put_object", Params=given)
    headers = {
        **FROM_PAGE,
        "Content-Type": "text/plain",
        "x-amz-checksum-crc32": given["ChecksumCRC32"],
        "x-amz-meta-uploadgate-upload-id": "u1",
    }
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        answer = await http.put(signed, content=b"page's", headers=headers)
    assert answer.status_code == 200, answer.text
    assert {"etag", "x-amz-checksum-crc32"} <= readable(answer)
    async with service_s3(cloud) as service:
        head = await service.head_object(
            Bucket=cloud.bucket, Key=given["Key"], ChecksumMode="ENABLED"
        )
    assert head["ChecksumCRC32"] == given["ChecksumCRC32"]
    assert head["Metadata"] == given["Metadata"]


async def test_a_page_reads_the_etag_of_a_presigned_part(cloud: LocalCloud, alice: Person) -> None:
    where: Any = {"Bucket": cloud.bucket, "Key": alice.key("parts")}
    where["UploadId"] = (await alice.s3.create_multipart_upload(**where))["UploadId"]
    signed = await alice.s3.generate_presigned_url("upload_part", Params={**where, "PartNumber": 1})
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        answer = await http.put(signed, content=b"x", headers=FROM_PAGE)
    assert answer.status_code == 200, answer.text
    assert "etag" in readable(answer)
    await alice.s3.abort_multipart_upload(**where)


async def test_a_page_reads_the_answer_to_a_form(cloud: LocalCloud, alice: Person) -> None:
    # By the service: the store takes no form that temporary keys have signed.
    async with service_s3(cloud) as service:
        form = await service.generate_presigned_post(
            cloud.bucket, alice.key("form"), Conditions=[["content-length-range", 0, 10]]
        )
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        for body, expected in ((b"small", 204), (b"far too large", 400)):
            answer = await http.post(
                form["url"], data=form["fields"], files={"file": body}, headers=FROM_PAGE
            )
            assert answer.status_code == expected, answer.text
            assert answer.headers["access-control-allow-origin"] == ORIGIN
            if expected == 204:
                assert "etag" in readable(answer)


async def test_a_page_reads_why_it_is_refused(cloud: LocalCloud, alice: Person) -> None:
    signed = await alice.s3.generate_presigned_url(
        "put_object", Params={"Bucket": cloud.bucket, "Key": alice.key("x")}
    )
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        answer = await http.put(f"{signed}0", content=b"x", headers=FROM_PAGE)
    assert answer.status_code == 403
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "SignatureDoesNotMatch" in answer.text


def readable(answer: httpx.Response) -> set[str]:
    """The headers that a browser shows to a page, of those that were sent."""
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    return listed(answer, "access-control-expose-headers") & {*answer.headers}
