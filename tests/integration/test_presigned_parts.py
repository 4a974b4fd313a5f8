"""A large file in presigned parts, of which a client sends again only what is missing."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.integration import store
from tests.integration.sender import MIB, Sender, piece, problem, sender_at
from tests.integration.stack import Stack

PART = 8 * MIB  # the setting's default
CONTENT = os.urandom(2 * PART + 1000)


@pytest.fixture
async def sender(stack: Stack) -> AsyncIterator[Sender]:
    async with sender_at(stack) as opened:
        yield opened


async def test_what_is_missing_is_named_sent_and_completed(stack: Stack, sender: Sender) -> None:
    upload = await sender.announce(len(CONTENT), filename="film.mp4", content_type="video/mp4")
    assert (upload["put"], upload["post"]) == (None, None)
    assert upload["multipart"] | {"upload_id": ""} == {
        "upload_id": "",
        "part_size": PART,
        "part_count": 3,
        "checksum_algorithm": None,
    }
    assert await store.multiparts(stack, upload) == [upload["multipart"]["upload_id"]]
    assert await sender.arrived(upload) == {}

    await sender.send(upload, CONTENT, [3, 1])
    assert await sender.arrived(upload) == {1: PART, 3: 1000}
    told = problem(await sender.complete(upload), 409, "upload_incomplete")
    assert (told["missing_parts"], told["retry_mode"]) == ([2], "resign")
    shown = await sender.show(upload)
    assert (shown["status"], shown["multipart"]) == ("uploading", upload["multipart"])

    await sender.send(upload, CONTENT, [2])
    done = await sender.completed(upload)
    assert (done["size"], done["multipart"]) == (len(CONTENT), None)
    assert done["etag"].endswith("-3")
    found = await store.head(stack, upload)
    assert found is not None
    assert found["ContentType"] == "video/mp4"
    assert found["Metadata"] == {"uploadgate-upload-id": upload["id"]}
    assert await store.no_multipart(stack, upload)
    assert (await sender.download(upload)).content == CONTENT
    assert (await sender.completed(upload))["etag"] == done["etag"]


async def test_a_part_sent_again_counts_once(sender: Sender) -> None:
    upload = await sender.announce(len(CONTENT))
    await sender.send(upload, CONTENT, [1, 2, 3])
    await sender.send(upload, CONTENT, [2])
    assert await sender.arrived(upload) == {1: PART, 2: PART, 3: 1000}
    await sender.completed(upload)
    assert (await sender.download(upload)).content == CONTENT


@pytest.mark.parametrize(
    ("numbers", "code"),
    [
        ([0], "invalid_request"),
        ([-1], "invalid_request"),
        ([10_001], "invalid_request"),
        (["1"], "invalid_request"),
        ([1.5], "invalid_request"),
        ([], "invalid_request"),
        (list(range(1, 1002)), "invalid_request"),
        ([1, 2, 1], "invalid_part"),
        ([4], "invalid_part"),
        ([1, 10_000], "invalid_part"),
    ],
)
async def test_a_part_that_the_plan_does_not_have_is_refused(
    sender: Sender, numbers: list[Any], code: str
) -> None:
    upload = await sender.announce(len(CONTENT))
    problem(await sender.sign(upload, numbers), 422, code)
    assert (await sender.show(upload))["status"] == "pending"
    await sender.signed(upload, [3, 1])


async def test_a_file_that_goes_in_one_request_has_no_parts(sender: Sender) -> None:
    upload = await sender.announce(5)
    problem(await sender.sign(upload, [1]), 422, "invalid_part")
    assert await sender.arrived(upload) == {}
    assert (await sender.show(upload))["put"] is not None


@pytest.mark.parametrize("change", [-1, 1, 5 * MIB])
async def test_a_part_of_another_length_is_refused_by_the_store(
    sender: Sender, change: int
) -> None:
    upload = await sender.announce(len(CONTENT))
    [signed] = await sender.signed(upload, [3])
    content = os.urandom(1000 + change)
    refused = await sender.put(signed, content, Content_Length=str(len(content)))
    assert refused.status_code == 403, refused.text
    assert await sender.arrived(upload) == {}
    assert (await sender.put(signed, piece(upload, CONTENT, 3))).status_code == 200


async def test_an_address_is_for_its_own_part_only(sender: Sender) -> None:
    upload = await sender.announce(len(CONTENT))
    [signed] = await sender.signed(upload, [1])
    for old, new in (("partNumber=1", "partNumber=2"), ("X-Amz-Expires=3", "X-Amz-Expires=9")):
        assert old in signed["url"]
        moved = signed | {"url": signed["url"].replace(old, new)}
        assert (await sender.put(moved, piece(upload, CONTENT, 1))).status_code == 403
    assert await sender.arrived(upload) == {}


async def test_a_multipart_that_the_store_has_dropped_is_made_anew(
    stack: Stack, sender: Sender
) -> None:
    upload = await sender.announce(len(CONTENT))
    await sender.send(upload, CONTENT, [1, 2, 3])
    await store.abort(stack, upload)

    told = problem(await sender.complete(upload), 409, "multipart_gone")
    assert told["retry_mode"] == "resign"
    assert await sender.arrived(upload) == {}
    await _sent_anew(sender, upload)


async def test_a_dropped_multipart_is_noticed_when_parts_are_listed(
    stack: Stack, sender: Sender
) -> None:
    upload = await sender.announce(len(CONTENT))
    await sender.send(upload, CONTENT, [1])
    await store.abort(stack, upload)

    assert await sender.arrived(upload) == {}
    told = problem(await sender.complete(upload), 409, "upload_incomplete")
    assert (told["missing_parts"], told["retry_mode"]) == ([1, 2, 3], "resign")
    await _sent_anew(sender, upload)


async def test_of_many_who_make_it_anew_at_once_all_get_the_one(
    stack: Stack, sender: Sender
) -> None:
    upload = await sender.announce(len(CONTENT))
    await store.abort(stack, upload)
    assert await sender.arrived(upload) == {}
    answers = await asyncio.gather(*(sender.sign(upload, [1, 2, 3]) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    urls = [part["url"] for answer in answers for part in answer.json()["parts"]]
    [made] = {parse_qs(urlsplit(url).query)["uploadId"][0] for url in urls}
    assert await store.multiparts(stack, upload) == [made]
    await _sent_anew(sender, upload)


async def test_the_largest_object_of_all_can_be_begun(sender: Sender) -> None:
    size = 10_000 * 5 * 1024 * MIB
    upload = await sender.announce(size)
    assert (upload["multipart"]["part_count"], upload["size"]) == (10_000, size)
    [_, last] = await sender.signed(upload, [1, 10_000])
    assert httpx.Headers(last["headers"])["content-length"] == str(5 * 1024 * MIB)
    told = problem(await sender.complete(upload), 409, "upload_incomplete")
    assert told["missing_parts"] == list(range(1, 1001))
    assert (await sender.ask("DELETE", f"/{upload['id']}")).json()["status"] == "aborted"


async def _sent_anew(sender: Sender, upload: Any) -> None:
    await sender.send(upload, CONTENT, [1, 2, 3])
    anew = (await sender.show(upload))["multipart"]
    assert anew["upload_id"] != upload["multipart"]["upload_id"]
    await sender.completed(upload)
    assert (await sender.download(upload)).content == CONTENT
