"""Keys whose life is chosen while everything runs: they work, end when they say, and how."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import pytest_asyncio
from botocore.exceptions import ClientError

from localcloud import InvalidConfigError, LocalCloud
from tests.integration.localcloud.people import Person, person, service_s3

# Long enough for a client to be built with them on a busy machine.
SECONDS = 12
# What SeaweedFS says of expired keys; on AWS it is ExpiredToken.
DEAD = "InvalidAccessKeyId"


@contextlib.contextmanager
def keys_for(cloud: LocalCloud, seconds: int) -> Iterator[None]:
    cloud.issue_keys_for(seconds)
    try:
        yield
    finally:
        cloud.issue_keys_for(3600)


async def end_of(someone: Person) -> None:
    """Of their keys. It cannot be awaited otherwise: the store tells nobody."""
    end = someone.keys["Expiration"].timestamp() + 0.2
    while (left := end - time.time()) > 0:  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(left)


@dataclass
class Short:
    """Carol and her short keys, from before they were asked for until after their end."""

    carol: Person
    asked_at: float
    given_at: float
    part: dict[str, Any]
    presigned: dict[str, str]
    last_success: float
    first_refusal: float
    part_answer: httpx.Response

    @property
    def ends_at(self) -> float:
        return self.carol.keys["Expiration"].timestamp()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def short(cloud: LocalCloud) -> AsyncIterator[Short]:
    asked_at = time.time()
    with keys_for(cloud, SECONDS):
        entered = person(cloud, "carol")
        carol = await entered.__aenter__()
    given_at = time.time()
    where: dict[str, Any] = {"Bucket": cloud.bucket, "Key": carol.key("big")}
    created: Any = await carol.s3.create_multipart_upload(**where)
    part = {**where, "UploadId": created["UploadId"]}
    presigned = {
        name: await carol.s3.generate_presigned_url(name, Params=params, ExpiresIn=3600)
        for name, params in (
            ("put_object", {**where, "Key": carol.key("x")}),
            ("upload_part", {**part, "PartNumber": 1}),
            ("list_parts", part),
        )
    }
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        sending = asyncio.create_task(
            http.put(
                presigned["upload_part"],
                content=body_around_the_end(carol),
                headers={"Content-Length": "2"},
            )
        )
        last_success, first_refusal = await turn(lambda: http.get(presigned["list_parts"]))
        answer = await sending
    yield Short(carol, asked_at, given_at, part, presigned, last_success, first_refusal, answer)
    async with service_s3(cloud) as service:
        await service.abort_multipart_upload(**part)
    await entered.__aexit__(None, None, None)


async def body_around_the_end(someone: Person) -> AsyncIterator[bytes]:
    yield b"a"
    await end_of(someone)
    yield b"b"


async def turn(ask: Callable[[], Awaitable[httpx.Response]]) -> tuple[float, float]:
    """When the last successful answer was asked for, and when the first refusal had come."""
    last = 0.0
    async with asyncio.timeout(120):
        while True:
            asked = time.time()
            if (await ask()).status_code != 200:
                return last, time.time()
            last = asked
            await asyncio.sleep(0.05)


def test_keys_live_as_long_as_was_chosen(short: Short) -> None:
    assert short.asked_at + SECONDS <= short.ends_at < short.given_at + SECONDS + 1


def test_keys_end_when_they_say(short: Short) -> None:
    assert 0 < short.last_success < short.ends_at + 0.01
    assert short.first_refusal >= short.ends_at


async def test_expired_keys_open_nothing(cloud: LocalCloud, short: Short) -> None:
    s3, bucket, key = short.carol.s3, cloud.bucket, short.carol.key("x")
    for attempt in (
        s3.put_object(Bucket=bucket, Key=key, Body=b"x"),
        s3.upload_part(**short.part, PartNumber=2, Body=b"x"),
        s3.list_parts(**short.part),
        s3.abort_multipart_upload(**short.part),
        s3.get_object(Bucket=bucket, Key=key),
    ):
        with pytest.raises(ClientError, match=DEAD):
            await attempt


@pytest.mark.parametrize("operation", ["put_object", "upload_part"])
async def test_a_presigned_url_dies_with_the_keys_that_signed_it(
    short: Short, operation: str
) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        answer = await http.put(short.presigned[operation], content=b"x")
    assert answer.status_code == 403
    assert f"<Code>{DEAD}</Code>" in answer.text


async def test_a_part_that_is_on_its_way_when_the_keys_end_is_kept(
    cloud: LocalCloud, short: Short
) -> None:
    assert short.part_answer.status_code == 200, short.part_answer.text
    async with service_s3(cloud) as service:
        listed = await service.list_parts(**short.part)
    assert [(part["PartNumber"], part["Size"]) for part in listed["Parts"]] == [(1, 2)]


async def test_keys_of_before_and_after_are_long(
    cloud: LocalCloud, alice: Person, short: Short
) -> None:
    await alice.s3.put_object(Bucket=cloud.bucket, Key=alice.key("own"), Body=b"x")
    async with person(cloud, "carol") as again:
        assert again.identity_id == short.carol.identity_id
        assert (again.keys["Expiration"] - datetime.now(UTC)).total_seconds() > 3500


async def test_a_url_past_its_own_time_is_refused_in_other_words(
    cloud: LocalCloud, alice: Person
) -> None:
    signed = await alice.s3.generate_presigned_url(
        "put_object", Params={"Bucket": cloud.bucket, "Key": alice.key("x")}, ExpiresIn=1
    )
    await asyncio.sleep(2.1)
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        answer = await http.put(signed, content=b"x")
    assert answer.status_code == 403
    assert "<Code>AccessDenied</Code><Message>Request has expired</Message>" in answer.text


async def test_keys_that_are_out_work_on_while_cognito_is_stopped(
    cloud: LocalCloud, alice: Person
) -> None:
    await cloud.stop_cognito()
    try:
        await cloud.stop_cognito()
        await alice.s3.put_object(Bucket=cloud.bucket, Key=alice.key("own"), Body=b"x")
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
            with pytest.raises(httpx.ConnectError):
                await http.post(cloud.cognito_endpoint)
    finally:
        await cloud.start_cognito()
    await cloud.start_cognito()
    async with person(cloud, "alice") as again:
        assert again.identity_id == alice.identity_id


@pytest.mark.parametrize("seconds", [0, -1, 3601])
def test_no_keys_outlive_what_the_store_was_started_with(cloud: LocalCloud, seconds: int) -> None:
    with pytest.raises(InvalidConfigError, match="between 1 and 3600 seconds"):
        cloud.issue_keys_for(seconds)
