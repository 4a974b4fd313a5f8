"""Keys whose life is chosen while everything runs: they work, end when they say, and how."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from localcloud import InvalidConfigError, LocalCloud
from tests.integration.localcloud.people import Person, person, service_s3

SECONDS = 3


@contextlib.contextmanager
def keys_for(cloud: LocalCloud, seconds: int) -> Iterator[None]:
    cloud.issue_keys_for(seconds)
    try:
        yield
    finally:
        cloud.issue_keys_for(3600)


async def expired(someone: Person) -> None:
    """Their keys. What an expiry does cannot be awaited: the store tells nobody."""
    left = someone.keys["Expiration"].timestamp() - time.time()
    await asyncio.sleep(max(left, 0) + 0.2)


async def test_keys_live_as_long_as_they_say_and_others_are_untouched(
    cloud: LocalCloud, alice: Person
) -> None:
    with keys_for(cloud, SECONDS):
        asked = datetime.now(UTC)
        async with person(cloud, "carol") as carol:
            assert SECONDS <= (carol.keys["Expiration"] - asked).total_seconds() < SECONDS + 2
            where: Any = {"Bucket": cloud.bucket, "Key": carol.key("x"), "Body": b"x"}
            died = await refused_at(carol, where)
            ends = carol.keys["Expiration"].timestamp()
            assert died.at >= ends
            assert died.began <= ends + 2
            assert died.code in {"InvalidAccessKeyId", "ExpiredToken"}
    await alice.s3.put_object(Bucket=cloud.bucket, Key=alice.key("own"), Body=b"x")
    async with person(cloud, "carol") as carol:
        assert (carol.keys["Expiration"] - datetime.now(UTC)).total_seconds() > 3590


class Death:
    began: float
    at: float
    code: str


async def refused_at(someone: Person, where: Any) -> Death:
    death = Death()
    async with asyncio.timeout(20):
        while True:
            death.began = time.time()
            try:
                await someone.s3.put_object(**where)
            except ClientError as error:
                death.at, death.code = time.time(), error.response["Error"]["Code"]
                return death
            await asyncio.sleep(0.05)


async def test_a_presigned_url_dies_with_the_keys_that_signed_it(cloud: LocalCloud) -> None:
    with keys_for(cloud, SECONDS):
        async with person(cloud, "dora") as dora, httpx.AsyncClient(trust_env=False) as http:
            signed = await dora.s3.generate_presigned_url(
                "put_object", Params={"Bucket": cloud.bucket, "Key": dora.key("x")}, ExpiresIn=3600
            )
            assert (await http.put(signed, content=b"x")).status_code == 200
            await expired(dora)
            answer = await http.put(signed, content=b"x")
    assert answer.status_code in {400, 403}
    assert "<Code>InvalidAccessKeyId</Code>" in answer.text


async def test_a_url_past_its_own_time_answers_otherwise(cloud: LocalCloud, alice: Person) -> None:
    signed = await alice.s3.generate_presigned_url(
        "put_object", Params={"Bucket": cloud.bucket, "Key": alice.key("x")}, ExpiresIn=1
    )
    await asyncio.sleep(2.1)
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.put(signed, content=b"x")
    assert answer.status_code == 403
    assert "<Code>AccessDenied</Code><Message>Request has expired</Message>" in answer.text


async def test_a_part_that_is_on_its_way_when_the_keys_expire_is_kept(cloud: LocalCloud) -> None:
    with keys_for(cloud, SECONDS):
        async with person(cloud, "emma") as emma, httpx.AsyncClient(trust_env=False) as http:
            where: Any = {"Bucket": cloud.bucket, "Key": emma.key("big")}
            where["UploadId"] = (await emma.s3.create_multipart_upload(**where))["UploadId"]
            signed = await emma.s3.generate_presigned_url(
                "upload_part", Params={**where, "PartNumber": 1}, ExpiresIn=3600
            )

            async def body() -> AsyncIterator[bytes]:
                yield b"a"
                await expired(emma)
                yield b"b"

            answer = await http.put(signed, content=body(), headers={"Content-Length": "2"})
            assert answer.status_code == 200, answer.text
            with pytest.raises(ClientError, match="InvalidAccessKeyId"):
                await emma.s3.list_parts(**where)
    async with service_s3(cloud) as service:
        assert [part["Size"] for part in (await service.list_parts(**where))["Parts"]] == [2]
        await service.abort_multipart_upload(**where)


async def test_keys_that_are_out_work_on_while_cognito_is_stopped(
    cloud: LocalCloud, alice: Person
) -> None:
    await cloud.stop_cognito()
    try:
        await alice.s3.put_object(Bucket=cloud.bucket, Key=alice.key("own"), Body=b"x")
        async with httpx.AsyncClient(trust_env=False) as http:
            with pytest.raises(httpx.ConnectError):
                await http.post(cloud.cognito_endpoint)
        await cloud.stop_cognito()
    finally:
        await cloud.start_cognito()
    await cloud.start_cognito()
    async with person(cloud, "alice") as again:
        assert again.identity_id == alice.identity_id


@pytest.mark.parametrize("seconds", [0, -1, 3601])
def test_no_keys_outlive_what_the_store_was_started_with(cloud: LocalCloud, seconds: int) -> None:
    with pytest.raises(InvalidConfigError, match="between 1 and 3600 seconds"):
        cloud.issue_keys_for(seconds)
