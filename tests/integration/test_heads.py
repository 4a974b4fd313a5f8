"""The service's own HEAD against botocore's, on a real store: the same answer to everything."""

import asyncio
import base64
import contextlib
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from awscrt.checksums import crc64nvme
from botocore.exceptions import ClientError

import aws.clients
from aws.heads import Heads
from aws.s3 import S3Store
from aws.s3_errors import MARK
from aws.signer.presigner import Presigner
from errors import StoreRefusedError, StoreUnavailableError, UploadgateError
from localcloud import LocalCloud, LocalCloudConfig
from service.uploads.model import Checksum
from service.uploads.ports import StoredObject
from service.uploads.signed import UPLOAD_ID_METADATA
from tests.fakes.http_stub import HttpStub, Reply
from tests.integration.store import client

Stores = tuple[S3Store, S3Store]
"""By our own requests, and by botocore's."""

KEYS = [
    "plain.txt",
    "a b/ü+%/c.txt",
    "100%25.txt",
    "us-east-1:0b1c/🎉 漢字.bin",
    "two//slashes",
    "dots/.hidden/and.",
    "q?a=1&b#c;d=e",
    "'(quoted)'!*~_-\"\\|",
    "new\tline",
    "k" * 200,
]
_SSE_C = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "0123456789abcdef0123456789abcdef"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cloud(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalCloud]:
    config = LocalCloudConfig(
        data_dir=tmp_path_factory.mktemp("cloud") / "data", s3_port=0, cognito_port=0
    )
    async with LocalCloud.running(config) as running:
        yield running


def service(cloud: LocalCloud) -> Any:
    """boto3 with the service's own key."""
    return client(
        {
            "region": cloud.region,
            "endpoint": cloud.s3_endpoint,
            "access_key_id": cloud.service_access_key_id,
            "secret_access_key": cloud.service_secret_access_key,
            "session_token": None,
        }
    )


@contextlib.asynccontextmanager
async def opened(cloud: LocalCloud, **changes: Any) -> AsyncIterator[Stores]:
    values: dict[str, Any] = {
        "region": cloud.region,
        "access_key_id": cloud.service_access_key_id,
        "secret_access_key": cloud.service_secret_access_key,
        "s3_endpoint": cloud.s3_endpoint,
    }
    access = aws.clients.AwsAccess(**(values | changes))
    async with aws.clients.opened(access) as clients:
        signer = Presigner(
            credentials=clients.credentials, region=access.region, endpoint=access.s3_endpoint
        )
        async with Heads.opened(
            signer,
            connections=4,
            connect_seconds=30,
            read_seconds=60,
            attempts=2,
            call_seconds=90,
        ) as heads:
            yield (
                S3Store(clients.s3, call_seconds=90, heads=heads),
                S3Store(clients.s3, call_seconds=90),
            )


@pytest.fixture
async def stores(cloud: LocalCloud) -> AsyncIterator[Stores]:
    async with opened(cloud) as made:
        yield made


def crc64(content: bytes) -> str:
    return base64.b64encode(crc64nvme(content).to_bytes(8, "big")).decode()


async def put(cloud: LocalCloud, key: str, body: bytes = b"bytes", **more: Any) -> str:
    """Its key, in a folder of its own."""
    whole = f"heads-{secrets.token_hex(4)}/{key}"
    await asyncio.to_thread(
        service(cloud).put_object, Bucket=cloud.bucket, Key=whole, Body=body, **more
    )
    return whole


async def same(stores: Stores, bucket: str, key: str) -> StoredObject | None:
    """What both say."""
    ours, botocores = [await store.head(bucket, key) for store in stores]
    assert ours == botocores
    return ours


@pytest.mark.parametrize("key", KEYS)
async def test_every_key_is_found(stores: Stores, cloud: LocalCloud, key: str) -> None:
    found = await same(stores, cloud.bucket, await put(cloud, key, b"12345"))
    assert found is not None
    assert (found.size, found.readable) == (5, True)
    assert await same(stores, cloud.bucket, f"away/{key}") is None


@pytest.mark.parametrize(
    "more",
    [
        {"Body": b""},
        {"Body": b"x" * 100_000, "ContentType": "video/mp4"},
        {"ContentType": "text/html; charset=utf-8", "ContentDisposition": 'inline; name="a b"'},
        {"ContentEncoding": "gzip", "CacheControl": "no-store"},
        {"Metadata": {UPLOAD_ID_METADATA: "upl_1", "other": "upl_2"}},
        {"Metadata": {UPLOAD_ID_METADATA: ""}},
        {"ChecksumAlgorithm": "CRC32"},
        {"ChecksumCRC64NVME": crc64(b"bytes")},
        {"ChecksumAlgorithm": "SHA256"},
    ],
)
async def test_every_object_is_read_alike(
    stores: Stores, cloud: LocalCloud, more: dict[str, Any]
) -> None:
    body = more.get("Body", b"bytes")
    rest = {name: value for name, value in more.items() if name != "Body"}
    found = await same(stores, cloud.bucket, await put(cloud, "a", body, **rest))
    assert found is not None
    assert found.size == len(body)
    metadata = more.get("Metadata", {})
    assert (found.upload_id or "") == metadata.get(UPLOAD_ID_METADATA, "")


async def test_a_checksum_of_the_whole_object_is_read(stores: Stores, cloud: LocalCloud) -> None:
    key = await put(cloud, "a", b"hello", ChecksumAlgorithm="CRC32")
    found = await same(stores, cloud.bucket, key)
    assert found is not None
    assert found.checksum == Checksum("CRC32", "NhCmhg==")


@pytest.mark.parametrize("algorithm", [None, "CRC32", "CRC64NVME"])
async def test_a_multipart_is_read_alike(
    stores: Stores, cloud: LocalCloud, algorithm: str | None
) -> None:
    s3, key = service(cloud), f"heads-{secrets.token_hex(4)}/multipart"
    place = {"Bucket": cloud.bucket, "Key": key}
    checked = {} if algorithm is None else {"ChecksumAlgorithm": algorithm}

    def upload() -> None:
        made = place | {"UploadId": s3.create_multipart_upload(**place, **checked)["UploadId"]}
        parts = []
        for number, body in enumerate((b"1" * 5 * 1024 * 1024, b"2"), 1):
            # For this one botocore itself needs awscrt, which tests keep from it.
            own_sum = {"ChecksumCRC64NVME": crc64(body)} if algorithm == "CRC64NVME" else checked
            sent = s3.upload_part(**made, PartNumber=number, Body=body, **own_sum)
            name = f"Checksum{algorithm}"
            own = {name: sent[name]} if name in sent else {}
            parts.append({"PartNumber": number, "ETag": sent["ETag"], **own})
        s3.complete_multipart_upload(**made, MultipartUpload={"Parts": parts})

    await asyncio.to_thread(upload)
    found = await same(stores, cloud.bucket, key)
    assert found is not None
    assert found.etag.endswith("-2")


async def test_an_object_that_only_the_client_can_read_is_there(
    stores: Stores, cloud: LocalCloud
) -> None:
    try:
        more: dict[str, Any] = {**_SSE_C}
        key = await put(cloud, "a", **more)
    except ClientError as error:
        pytest.skip(f"the store has no SSE-C: {error}")
    found = await same(stores, cloud.bucket, key)
    assert found is not None
    assert (found.size, found.readable) == (5, False)


async def test_versions_are_told_apart(stores: Stores, cloud: LocalCloud) -> None:
    s3, bucket = service(cloud), f"versioned-{secrets.token_hex(4)}"

    def prepare() -> str:
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        s3.put_object(Bucket=bucket, Key="a", Body=b"old")
        version: str = s3.put_object(Bucket=bucket, Key="a", Body=b"newer")["VersionId"]
        return version

    version = await asyncio.to_thread(prepare)
    found = await same(stores, bucket, "a")
    assert found is not None
    assert (found.size, found.version_id) == (5, version)
    await asyncio.to_thread(s3.delete_object, Bucket=bucket, Key="a")
    assert await same(stores, bucket, "a") is None
    await stores[0].confirm_absent(bucket, "a")


async def test_a_version_is_there_until_it_is_removed(stores: Stores, cloud: LocalCloud) -> None:
    """As a lifecycle rule does with those that are not the newest."""
    s3, bucket = service(cloud), f"versioned-{secrets.token_hex(4)}"

    def prepare() -> str:
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        version: str = s3.put_object(Bucket=bucket, Key="a", Body=b"the same")["VersionId"]
        s3.put_object(Bucket=bucket, Key="a", Body=b"the same")
        return version

    version = await asyncio.to_thread(prepare)
    for store in stores:
        assert await store.has_version(bucket, "a", version)
    await asyncio.to_thread(s3.delete_object, Bucket=bucket, Key="a", VersionId=version)
    for store in stores:
        assert not await store.has_version(bucket, "a", version)
        assert not await store.has_version(bucket, "a", "of another store")
    assert await same(stores, bucket, "a") is not None


@pytest.mark.parametrize(
    "wrong", [{"secret_access_key": "not-the-secret"}, {"access_key_id": "AKIAUNKNOWN"}]
)
async def test_keys_that_are_wrong_are_refused_alike(
    cloud: LocalCloud, wrong: dict[str, str]
) -> None:
    key = await put(cloud, "a")
    async with opened(cloud, **wrong) as stores:
        for store in stores:
            with pytest.raises(StoreRefusedError):
                await store.head(cloud.bucket, key)


async def test_a_bucket_that_is_not_there_is_the_same_to_both(
    stores: Stores,
) -> None:
    told: list[object] = []
    for store in stores:
        try:
            told.append(await store.head("no-such-bucket", "a"))
        except UploadgateError as error:
            told.append(type(error))
    assert told[0] == told[1]


@pytest.mark.parametrize("key", [KEYS[0], KEYS[1], KEYS[6], "a/b/"])
async def test_what_is_absent_is_so_for_sure(stores: Stores, cloud: LocalCloud, key: str) -> None:
    there = await put(cloud, key)
    for store in stores:
        await store.confirm_absent(cloud.bucket, f"away/{key}")
        # Beside what begins with the same letters.
        await store.confirm_absent(cloud.bucket, there[:-1])
        with pytest.raises(StoreUnavailableError):
            await store.confirm_absent(cloud.bucket, there)


async def test_of_a_bucket_that_is_not_there_nothing_is_absent_for_sure(stores: Stores) -> None:
    """Its answer to a HEAD is that of a bucket without the object."""
    assert await same(stores, "no-such-bucket", "a") is None
    for store in stores:
        with pytest.raises(StoreRefusedError):
            await store.confirm_absent("no-such-bucket", "a")
        with pytest.raises(StoreRefusedError):
            await store.delete("no-such-bucket", "a", etag="one")


async def test_an_absent_object_costs_one_request(cloud: LocalCloud) -> None:
    """The store's 404s bear its mark."""
    async with HttpStub.serving() as nobody, opened(cloud) as stores:
        answered = await asyncio.to_thread(_head_of_nothing, cloud)
        nobody.answer = Reply(404, b"", {MARK: answered[MARK]})
        async with opened(cloud, s3_endpoint=nobody.url) as copies:
            for store in (*stores, *copies):
                assert await store.head(cloud.bucket, "away") is None
        assert [request.method for request in nobody.requests] == ["HEAD", "HEAD"]


def _head_of_nothing(cloud: LocalCloud) -> dict[str, str]:
    with pytest.raises(ClientError) as caught:
        service(cloud).head_object(Bucket=cloud.bucket, Key="away")
    headers: dict[str, str] = caught.value.response["ResponseMetadata"]["HTTPHeaders"]
    return headers
