"""Each identity its own folder: what Alice's keys can do in hers, and cannot in Bob's."""

import asyncio
import http.client
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from localcloud import LocalCloud
from tests.integration.localcloud.people import Person, service_s3

PART = b"p" * (5 << 20)
Attempt = Callable[[Person, Person, str, str], Awaitable[Any]]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def bobs_upload(cloud: LocalCloud, bob: Person) -> str:
    """The id of a multipart of Bob's; beside it lies an object of his."""
    await bob.s3.put_object(Bucket=cloud.bucket, Key=bob.key("mine"), Body=b"bob's")
    made = await bob.s3.create_multipart_upload(Bucket=cloud.bucket, Key=bob.key("big"))
    await bob.s3.upload_part(
        Bucket=cloud.bucket, Key=bob.key("big"), UploadId=made["UploadId"], PartNumber=1, Body=PART
    )
    return made["UploadId"]


async def test_ones_own_folder_takes_objects_and_multiparts(
    cloud: LocalCloud, alice: Person
) -> None:
    bucket, key = cloud.bucket, alice.key("big")
    await alice.s3.put_object(Bucket=bucket, Key=alice.key("own"), Body=b"alice's")
    made = await alice.s3.create_multipart_upload(Bucket=bucket, Key=key)
    upload = {"Bucket": bucket, "Key": key, "UploadId": made["UploadId"]}
    etag = (await alice.s3.upload_part(**upload, PartNumber=1, Body=PART))["ETag"]  # type: ignore[arg-type]
    listed = await alice.s3.list_parts(**upload)  # type: ignore[arg-type]
    assert [part["ETag"] for part in listed["Parts"]] == [etag]
    await alice.s3.complete_multipart_upload(
        **upload,  # type: ignore[arg-type]
        MultipartUpload={"Parts": [{"ETag": etag, "PartNumber": 1}]},
    )
    async with service_s3(cloud) as s3:
        assert (await s3.head_object(Bucket=bucket, Key=key))["ContentLength"] == len(PART)


async def test_ones_own_multipart_can_be_aborted(cloud: LocalCloud, alice: Person) -> None:
    where = {"Bucket": cloud.bucket, "Key": alice.key("given-up")}
    made = await alice.s3.create_multipart_upload(**where)  # type: ignore[arg-type]
    await alice.s3.abort_multipart_upload(**where, UploadId=made["UploadId"])  # type: ignore[arg-type]


ATTEMPTS: dict[str, Attempt] = {
    "put": lambda a, b, bucket, _: a.s3.put_object(Bucket=bucket, Key=b.key("mine"), Body=b"x"),
    "put a new key": lambda a, b, bucket, _: a.s3.put_object(
        Bucket=bucket, Key=b.key("new"), Body=b"x"
    ),
    "create": lambda a, b, bucket, _: a.s3.create_multipart_upload(Bucket=bucket, Key=b.key("big")),
    "part": lambda a, b, bucket, upload: a.s3.upload_part(
        Bucket=bucket, Key=b.key("big"), UploadId=upload, PartNumber=2, Body=b"x"
    ),
    "complete": lambda a, b, bucket, upload: a.s3.complete_multipart_upload(
        Bucket=bucket,
        Key=b.key("big"),
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": "x"}]},
    ),
    "abort": lambda a, b, bucket, upload: a.s3.abort_multipart_upload(
        Bucket=bucket, Key=b.key("big"), UploadId=upload
    ),
    "list parts": lambda a, b, bucket, upload: a.s3.list_parts(
        Bucket=bucket, Key=b.key("big"), UploadId=upload
    ),
    "list": lambda a, b, bucket, _: a.s3.list_objects_v2(Bucket=bucket, Prefix=b.key("")),
    "list all": lambda a, _b, bucket, _: a.s3.list_objects_v2(Bucket=bucket),
    "list multiparts": lambda a, _b, bucket, _: a.s3.list_multipart_uploads(Bucket=bucket),
    "get": lambda a, b, bucket, _: a.s3.get_object(Bucket=bucket, Key=b.key("mine")),
    "head": lambda a, b, bucket, _: a.s3.head_object(Bucket=bucket, Key=b.key("mine")),
    "delete": lambda a, b, bucket, _: a.s3.delete_object(Bucket=bucket, Key=b.key("mine")),
    "delete many": lambda a, b, bucket, _: _all_deleted(a, b, bucket),
    "copy from": lambda a, b, bucket, _: a.s3.copy_object(
        Bucket=bucket, Key=a.key("stolen"), CopySource={"Bucket": bucket, "Key": b.key("mine")}
    ),
    "copy to": lambda a, b, bucket, _: a.s3.copy_object(
        Bucket=bucket, Key=b.key("gift"), CopySource={"Bucket": bucket, "Key": a.key("own")}
    ),
    "part copy from": lambda a, b, bucket, _: _part_copied(a, b, bucket),
    "the root": lambda a, _b, bucket, _: a.s3.put_object(Bucket=bucket, Key="root", Body=b"x"),
    "a longer name": lambda a, _b, bucket, _: a.s3.put_object(
        Bucket=bucket, Key=f"{a.identity_id}0/x", Body=b"x"
    ),
    "policy": lambda a, _b, bucket, _: a.s3.put_bucket_policy(Bucket=bucket, Policy="{}"),
    "cors": lambda a, _b, bucket, _: a.s3.delete_bucket_cors(Bucket=bucket),
    "new bucket": lambda a, _b, _bucket, _: a.s3.create_bucket(Bucket="another-bucket"),
    "delete bucket": lambda a, _b, bucket, _: a.s3.delete_bucket(Bucket=bucket),
}
OWN_READS: dict[str, Attempt] = {
    "get": lambda a, _b, bucket, _: a.s3.get_object(Bucket=bucket, Key=a.key("own")),
    "list": lambda a, _b, bucket, _: a.s3.list_objects_v2(Bucket=bucket, Prefix=a.key("")),
    "delete": lambda a, _b, bucket, _: a.s3.delete_object(Bucket=bucket, Key=a.key("own")),
}


@pytest.mark.parametrize("attempt", ATTEMPTS.values(), ids=ATTEMPTS)
async def test_anothers_folder_takes_nothing(
    cloud: LocalCloud, alice: Person, bob: Person, bobs_upload: str, attempt: Attempt
) -> None:
    await alice.s3.put_object(Bucket=cloud.bucket, Key=alice.key("own"), Body=b"alice's")
    await refused(attempt(alice, bob, cloud.bucket, bobs_upload))
    async with service_s3(cloud) as s3:
        listed = await s3.list_objects_v2(Bucket=cloud.bucket)
        keys = {entry["Key"] for entry in listed["Contents"]}
        assert {key for key in keys if not key.startswith(alice.key(""))} == {bob.key("mine")}
        assert alice.key("stolen") not in keys
        body = (await s3.get_object(Bucket=cloud.bucket, Key=bob.key("mine")))["Body"]
        assert await body.read() == b"bob's"
        parts = await s3.list_parts(Bucket=cloud.bucket, Key=bob.key("big"), UploadId=bobs_upload)
        assert [part["PartNumber"] for part in parts["Parts"]] == [1]


@pytest.mark.parametrize("attempt", OWN_READS.values(), ids=OWN_READS)
async def test_the_default_role_only_writes(
    cloud: LocalCloud, alice: Person, bob: Person, attempt: Attempt
) -> None:
    await alice.s3.put_object(Bucket=cloud.bucket, Key=alice.key("own"), Body=b"alice's")
    await refused(attempt(alice, bob, cloud.bucket, ""))


@pytest.mark.parametrize(
    "climb",
    ["../{}", "..%2F{}", "%2e%2e/{}", "%2e%2e%2f{}", "x/../../{}", "./../{}", "..//{}", "..%5c{}"],
)
@pytest.mark.parametrize("query", ["", "?uploads="])
async def test_no_path_climbs_out(
    cloud: LocalCloud, alice: Person, bob: Person, climb: str, query: str
) -> None:
    """Sent and signed as it stands: clients would tidy such a path up."""
    target = climb.format(f"{bob.identity_id}/climbed")
    path = f"/{cloud.bucket}/{alice.identity_id}/{target}{query}"
    method = "POST" if query else "PUT"
    status = await asyncio.to_thread(send_raw, cloud, alice, method, path)
    async with service_s3(cloud) as s3:
        listed = await s3.list_objects_v2(Bucket=cloud.bucket)
        keys = {entry["Key"] for entry in listed.get("Contents", [])}
    assert not {key for key in keys if "climbed" in key and not key.startswith(alice.key(""))}
    assert status in {400, 403} or "%5c" in climb


def send_raw(cloud: LocalCloud, by: Person, method: str, path: str) -> int:
    keys = by.keys
    signer = S3SigV4Auth(
        Credentials(keys["AccessKeyId"], keys["SecretKey"], keys["SessionToken"]),
        "s3",
        cloud.region,
    )
    request = AWSRequest(method=method, url=f"{cloud.s3_endpoint}{path}", data=b"x")
    signer.add_auth(request)
    connection = http.client.HTTPConnection("127.0.0.1", cloud.ports.s3, timeout=60)
    try:
        connection.request(method, path, body=b"x", headers=dict(request.headers.items()))
        return connection.getresponse().status
    finally:
        connection.close()


async def refused(attempt: Awaitable[Any]) -> None:
    with pytest.raises(ClientError) as caught:
        await attempt
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


async def _all_deleted(alice: Person, bob: Person, bucket: str) -> None:
    """Raise what the store says of the one key, as its answer is 200 on the whole."""
    answer = await alice.s3.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": bob.key("mine")}]}
    )
    assert not answer.get("Deleted")
    (error,) = answer["Errors"]
    assert error["Code"] == "AccessDenied"
    raise ClientError({"ResponseMetadata": {"HTTPStatusCode": 403}}, "DeleteObjects")  # type: ignore[typeddict-item]


async def _part_copied(alice: Person, bob: Person, bucket: str) -> None:
    where = {"Bucket": bucket, "Key": alice.key("patchwork")}
    made = await alice.s3.create_multipart_upload(**where)  # type: ignore[arg-type]
    try:
        await alice.s3.upload_part_copy(
            **where,  # type: ignore[arg-type]
            UploadId=made["UploadId"],
            PartNumber=1,
            CopySource={"Bucket": bucket, "Key": bob.key("mine")},
        )
    finally:
        await alice.s3.abort_multipart_upload(**where, UploadId=made["UploadId"])  # type: ignore[arg-type]
