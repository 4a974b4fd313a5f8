"""Multiparts and the sink at the embedded store: what the service makes, users' keys fill."""

import base64
import contextlib
import functools
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from botocore.exceptions import ClientError

from aws.clients import AwsAccess, AwsClients, opened
from aws.multiparts import S3Multiparts
from aws.part_lister import PartLister
from aws.s3 import S3Store
from aws.signer.presigner import Presigner
from aws.sink import StoreSink
from errors import (
    InvalidRequestError,
    MultipartGoneError,
    StoreRefusedError,
    UploadgateError,
    UploadStateError,
)
from localcloud import LocalCloud, LocalCloudConfig
from service.uploads.model import Checksum, ChecksumAlgorithm
from service.uploads.ports import Completed, StoredPart
from service.uploads.signed import SignedRequest
from tests.integration.localcloud.people import Person, person

MIB = 1024 * 1024
FIRST, LAST = b"first" * MIB, b"last"
ALGORITHMS: tuple[ChecksumAlgorithm, ...] = ("CRC32", "CRC64NVME")


@dataclass(frozen=True)
class House:
    """The service's adapters, Alice's and Bob's own clients, and the store they share."""

    bucket: str
    s3: Any
    multiparts: S3Multiparts
    store: S3Store
    sink: StoreSink
    alice: Person
    bob: Person

    async def made(self, key: str, algorithm: ChecksumAlgorithm | None = None) -> str:
        return await self.multiparts.create(
            self.bucket, key, content_type="text/plain", upload_id="upl_1", algorithm=algorithm
        )

    async def sent(self, key: str, multipart_id: str, *bodies: bytes) -> None:
        """By Alice's own keys."""
        for number, body in enumerate(bodies, start=1):
            await self.alice.s3.upload_part(
                Bucket=self.bucket, Key=key, UploadId=multipart_id, PartNumber=number, Body=body
            )

    async def parts(self, key: str, multipart_id: str) -> tuple[StoredPart, ...]:
        found = await self.multiparts.parts(self.bucket, key, multipart_id)
        assert found is not None
        return tuple(found)

    async def completed(
        self,
        key: str,
        multipart_id: str,
        parts: tuple[StoredPart, ...] | None = None,
        checksum: Checksum | None = None,
    ) -> Completed:
        named = await self.parts(key, multipart_id) if parts is None else parts
        return await self.multiparts.complete(
            self.bucket, key, multipart_id, named, checksum=checksum
        )

    async def signed(self, operation: str, key: str, **more: Any) -> SignedRequest:
        url = await self.s3.generate_presigned_url(
            operation, Params={"Bucket": self.bucket, "Key": key, **more}, ExpiresIn=60
        )
        headers = {"If-None-Match": more["IfNoneMatch"]} if "IfNoneMatch" in more else {}
        return SignedRequest(url, headers, datetime.now(UTC))


def access(cloud: LocalCloud) -> AwsAccess:
    return AwsAccess(
        region=cloud.region,
        access_key_id=cloud.service_access_key_id,
        secret_access_key=cloud.service_secret_access_key,
        s3_endpoint=cloud.s3_endpoint,
    )


def lister(
    clients: AwsClients, cloud: LocalCloud
) -> contextlib.AbstractAsyncContextManager[PartLister]:
    signer = Presigner(
        credentials=clients.credentials, region=cloud.region, endpoint=cloud.s3_endpoint
    )
    return PartLister.opened(
        signer, connections=4, connect_seconds=30, read_seconds=60, attempts=3, call_seconds=90
    )


def adapters(clients: AwsClients, lists: PartLister) -> tuple[S3Multiparts, S3Store]:
    multiparts = S3Multiparts(
        clients.s3, clients.s3_completing, lists, call_seconds=90, complete_seconds=90
    )
    return multiparts, S3Store(clients.s3, call_seconds=90)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    config = LocalCloudConfig(
        data_dir=tmp_path_factory.mktemp("cloud") / "data", s3_port=0, cognito_port=0
    )
    async with (
        LocalCloud.running(config) as cloud,
        opened(access(cloud)) as clients,
        lister(clients, cloud) as lists,
        StoreSink.opened(connections=4, connect_seconds=30, idle_seconds=60) as sink,
        person(cloud, "alice") as alice,
        person(cloud, "bob") as bob,
    ):
        yield House(cloud.bucket, clients.s3, *adapters(clients, lists), sink, alice, bob)


# --- checksums of the whole ----------------------------------------------------------------------


@functools.cache
def checksum(algorithm: ChecksumAlgorithm, body: bytes) -> Checksum:
    number = zlib.crc32(body) if algorithm == "CRC32" else crc64nvme(body)
    width = 4 if algorithm == "CRC32" else 8
    return Checksum(algorithm, base64.b64encode(number.to_bytes(width, "big")).decode())


def crc64nvme(body: bytes) -> int:
    """By the definition of CRC-64/NVME: reflected, all ones before and after."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x9A6C9329AC4BC9B5 if byte & 1 else 0)  # noqa: PLW2901
        table.append(byte)
    value = 0xFFFF_FFFF_FFFF_FFFF
    for byte in body:
        value = table[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFF_FFFF_FFFF_FFFF


def test_the_checksum_of_this_file_is_the_real_one() -> None:
    assert crc64nvme(b"123456789") == 0xAE8B14860A799888  # the published check value


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("told", [True, False], ids=["part checksums", "no part checksums"])
async def test_the_checksum_of_the_whole_is_verified_at_completion(
    house: House, algorithm: ChecksumAlgorithm, told: bool
) -> None:
    key = house.alice.key(f"{algorithm}-{told}")
    made = await house.made(key, algorithm)
    sender: Any = house.alice.s3 if told else house.s3
    for number, body in enumerate((FIRST, LAST), start=1):
        own = {f"Checksum{algorithm}": checksum(algorithm, body).value} if told else {}
        await sender.upload_part(
            Bucket=house.bucket, Key=key, UploadId=made, PartNumber=number, Body=body, **own
        )

    wrong = checksum(algorithm, b"another file")
    assert await house.completed(key, made, checksum=wrong) is Completed.CHECKSUM_DIFFERS
    assert await house.store.head(house.bucket, key) is None
    assert len(await house.parts(key, made)) == 2

    right = checksum(algorithm, FIRST + LAST)
    assert await house.completed(key, made, checksum=right) is Completed.DONE
    found = await house.store.head(house.bucket, key)
    assert found is not None
    assert (found.size, found.checksum) == (len(FIRST) + len(LAST), right)
    assert (found.upload_id, found.content_type) == ("upl_1", "text/plain")


# --- completing ----------------------------------------------------------------------------------


async def test_after_a_lost_answer_the_object_says_whose_it_is(house: House) -> None:
    key = house.alice.key("twice")
    made = await house.made(key)
    await house.sent(key, made, b"once")
    parts = await house.parts(key, made)
    assert await house.completed(key, made) is Completed.DONE
    assert await house.completed(key, made, parts) is Completed.EXISTS
    found = await house.store.head(house.bucket, key)
    assert found is not None
    assert found.upload_id == "upl_1"
    assert await house.multiparts.parts(house.bucket, key, made) is None
    assert await house.multiparts.of_key(house.bucket, key) == ()
    await house.multiparts.abort(house.bucket, key, made)
    assert await house.store.head(house.bucket, key) == found


async def test_an_object_that_is_there_is_not_overwritten(house: House) -> None:
    key = house.alice.key("there")
    await house.s3.put_object(Bucket=house.bucket, Key=key, Body=b"there")
    made = await house.made(key)
    await house.sent(key, made, b"anew")
    assert await house.completed(key, made) is Completed.EXISTS
    found = await house.store.head(house.bucket, key)
    assert found is not None
    assert (found.size, found.upload_id) == (5, None)


async def test_parts_that_do_not_fit_are_refused_and_stay(house: House) -> None:
    key = house.alice.key("unfit")
    made = await house.made(key)
    await house.sent(key, made, b"too small", b"last")
    small = await house.parts(key, made)
    assert await house.completed(key, made) is Completed.PARTS_REFUSED
    for parts in (
        (StoredPart(1, 9, "0" * 32),),
        (StoredPart(7, 9, small[0].etag),),
        small[::-1],
        (),
    ):
        assert await house.completed(key, made, parts) is Completed.PARTS_REFUSED
    assert await house.parts(key, made) == small


async def test_there_is_no_unknown_multipart(house: House) -> None:
    key = house.alice.key("unknown")
    made = await house.made(key)
    await house.multiparts.abort(house.bucket, key, made)
    for unknown in (made, "0" * 40, "nonsense"):
        assert await house.multiparts.parts(house.bucket, key, unknown) is None
        answer = await house.completed(key, unknown, (StoredPart(1, 4, "0" * 32),))
        assert answer is Completed.GONE
        await house.multiparts.abort(house.bucket, key, unknown)
    with pytest.raises(StoreRefusedError):
        await house.multiparts.parts("no-such-bucket", key, made)


# --- lists ---------------------------------------------------------------------------------------


async def test_a_part_sent_again_counts_once_and_never_as_it_was(house: House) -> None:
    """The store keeps both and dates them in seconds: see aws.part_lists."""
    key = house.alice.key("again")
    made = await house.made(key)
    await house.sent(key, made, FIRST, LAST)
    before = await house.parts(key, made)
    await house.sent(key, made, FIRST, LAST)
    assert await house.parts(key, made) == before
    await house.sent(key, made, FIRST[::-1])
    after = await house.parts(key, made)
    assert before[0] not in after
    assert before[1] in after
    assert len(after) <= 2


async def test_part_10000_hides_no_other(house: House) -> None:
    key = house.alice.key("numbers")
    made = await house.made(key)
    numbers = [*range(1, 1_101), 9_999, 10_000]
    for number in numbers:
        await house.s3.upload_part(
            Bucket=house.bucket, Key=key, UploadId=made, PartNumber=number, Body=b"x"
        )
    assert [part.number for part in await house.parts(key, made)] == numbers


async def test_of_a_key_are_all_of_it_and_none_of_its_neighbours(house: House) -> None:
    key = house.alice.key("of")
    mine = {await house.made(key) for _ in range(3)}
    for neighbour in (key + "f", key + "/x", house.bob.key("of")):
        await house.made(neighbour)
    assert set(await house.multiparts.of_key(house.bucket, key)) == mine
    for multipart_id in mine:
        await house.multiparts.abort(house.bucket, key, multipart_id)
    assert await house.multiparts.of_key(house.bucket, key) == ()


# --- whose keys may do what ----------------------------------------------------------------------


async def test_a_users_own_keys_fill_and_list_and_abort_what_the_service_made(
    house: House,
) -> None:
    key = house.alice.key("made-for-alice")
    made = await house.made(key)
    where: Any = {"Bucket": house.bucket, "Key": key, "UploadId": made}
    await house.sent(key, made, FIRST, LAST)
    listed = await house.alice.s3.list_parts(**where)
    assert [part["PartNumber"] for part in listed["Parts"]] == [1, 2]
    for attempt in (
        house.bob.s3.list_parts(**where),
        house.bob.s3.upload_part(**where, PartNumber=1, Body=b"bob's"),
        house.bob.s3.abort_multipart_upload(**where),
    ):
        assert await code_of(attempt) == "AccessDenied"
    await house.alice.s3.abort_multipart_upload(**where)
    assert await house.multiparts.parts(house.bucket, key, made) is None


async def test_what_the_service_aborts_takes_no_more_parts(house: House) -> None:
    key = house.alice.key("aborted")
    made = await house.made(key)
    await house.multiparts.abort(house.bucket, key, made)
    part = house.alice.s3.upload_part(
        Bucket=house.bucket, Key=key, UploadId=made, PartNumber=1, Body=b"late"
    )
    assert await code_of(part) == "NoSuchUpload"


async def code_of(attempt: Any) -> str:
    with pytest.raises(ClientError) as caught:
        await attempt
    return str(caught.value.response["Error"]["Code"])


# --- the sink ------------------------------------------------------------------------------------


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def test_bytes_pass_through_into_an_object_once(house: House) -> None:
    key = house.alice.key("passed on")
    target = await house.signed("put_object", key, ContentLength=11, IfNoneMatch="*")
    await house.sink.send(target, size=11, chunks=stream(b"hello ", b"world"))
    body = (await house.s3.get_object(Bucket=house.bucket, Key=key))["Body"]
    assert await body.read() == b"hello world"
    with pytest.raises(UploadStateError):
        await house.sink.send(target, size=11, chunks=stream(b"hello ", b"world"))


async def test_bytes_pass_through_into_a_part(house: House) -> None:
    key = house.alice.key("part passed on")
    made = await house.made(key)
    part = {"UploadId": made, "PartNumber": 1, "ContentLength": len(FIRST)}
    target = await house.signed("upload_part", key, **part)
    await house.sink.send(target, size=len(FIRST), chunks=stream(*[b"first" * 1024] * 1024))
    assert [found.size for found in await house.parts(key, made)] == [len(FIRST)]
    await house.multiparts.abort(house.bucket, key, made)
    with pytest.raises(MultipartGoneError):
        await house.sink.send(target, size=len(FIRST), chunks=stream(FIRST))


@pytest.mark.parametrize("kind", ["breaks off", "too short", "too long"])
async def test_nothing_is_stored_of_what_breaks_off(house: House, kind: str) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield FIRST
        if kind == "breaks off":
            raise ConnectionError("the client left")
        if kind == "too long":
            yield b"more" * MIB

    key = house.alice.key(f"broken-{kind}")
    made = await house.made(key)
    size = len(FIRST) + 10
    error = ConnectionError if kind == "breaks off" else InvalidRequestError
    put = await house.signed("put_object", key, ContentLength=size)
    part = await house.signed("upload_part", key, UploadId=made, PartNumber=1, ContentLength=size)
    for target in (put, part):
        with pytest.raises(error):
            await house.sink.send(target, size=size, chunks=broken())
    assert await house.parts(key, made) == ()
    assert await house.store.head(house.bucket, key) is None


@pytest.mark.parametrize("size", [10, 12])
async def test_the_store_refuses_another_length_than_was_signed(house: House, size: int) -> None:
    key = house.alice.key(f"length-{size}")
    target = await house.signed("put_object", key, ContentLength=11)
    error: type[UploadgateError] = StoreRefusedError
    with pytest.raises(error) as caught:
        await house.sink.send(target, size=size, chunks=stream(b"x" * size))
    assert "X-Amz" not in str(caught.value)
    assert await house.store.head(house.bucket, key) is None
