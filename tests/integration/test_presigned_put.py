"""A small file in one presigned PUT, straight to the store."""

import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.integration import store
from tests.integration.sender import MIB, Sender, problem, sender_at
from tests.integration.stack import Stack, eventually

THRESHOLD = 8 * MIB  # the setting's default
CONTENT = "Grüße\n".encode()


@pytest.fixture
async def sender(stack: Stack) -> AsyncIterator[Sender]:
    async with sender_at(stack) as opened:
        yield opened


async def _small(sender: Sender, **more: Any) -> Any:
    return await sender.announce(
        len(CONTENT), filename="Grüße.txt", content_type="text/plain", **more
    )


async def test_the_right_bytes_complete_by_the_stores_webhook_alone(
    stack: Stack, sender: Sender
) -> None:
    upload = await _small(sender)
    assert (upload["transport"], upload["transport_reason"]) == ("presigned", "requested")
    assert upload["multipart"] is None
    answer = await sender.put(upload["put"], CONTENT)
    assert answer.status_code == 200, answer.text

    done = await sender.becomes(upload, "completed")
    assert (done["size"], done["etag"]) == (len(CONTENT), answer.headers["etag"].strip('"'))
    assert (done["put"], done["post"], done["status_reason"]) == (None, None, None)
    found = await store.head(stack, upload)
    assert found is not None
    assert found["ContentType"] == "text/plain"
    assert found["Metadata"] == {"uploadgate-upload-id": upload["id"]}
    assert (await sender.download(upload)).content == CONTENT


@pytest.mark.parametrize(
    ("content", "changed"),
    [
        (CONTENT + b"!", {"Content_Length": str(len(CONTENT) + 1)}),
        (CONTENT[:-1], {"Content_Length": str(len(CONTENT) - 1)}),
        (b"", {"Content_Length": "0"}),
        (CONTENT, {"Content_Type": "text/html"}),
        (CONTENT, {"If_None_Match": '"another"'}),
        (CONTENT, {"x_amz_meta_uploadgate_upload_id": "upl_another"}),
    ],
    ids=["longer", "shorter", "empty", "another type", "overwriting", "another upload"],
)
async def test_whatever_was_not_announced_is_refused_by_the_store(
    stack: Stack, sender: Sender, content: bytes, changed: dict[str, str]
) -> None:
    upload = await _small(sender)
    refused = await sender.put(upload["put"], content, **changed)
    assert refused.status_code == 403, refused.text
    assert await store.gone(stack, upload)
    assert (await sender.show(upload))["status"] == "pending"
    assert (await sender.put(upload["put"], CONTENT)).status_code == 200
    await sender.becomes(upload, "completed")


async def test_an_address_is_for_its_own_key_and_method_only(stack: Stack, sender: Sender) -> None:
    upload, other = await _small(sender), await _small(sender)
    put = upload["put"]
    elsewhere = put | {"url": put["url"].replace(upload["id"], other["id"])}
    assert (await sender.put(elsewhere, CONTENT)).status_code == 403
    for method in ("GET", "DELETE", "POST"):
        assert (await sender.store.request(method, put["url"])).status_code in {403, 405}
    assert await store.gone(stack, other)


async def test_a_second_put_is_refused_and_changes_nothing(sender: Sender) -> None:
    upload = await _small(sender)
    assert (await sender.put(upload["put"], CONTENT)).status_code == 200
    done = await sender.becomes(upload, "completed")
    again = await sender.put(upload["put"], CONTENT.upper())
    assert again.status_code == 412
    assert (await sender.download(upload)).content == CONTENT
    assert (await sender.show(upload))["etag"] == done["etag"]


async def test_what_is_put_to_a_deleted_upload_does_not_stay(stack: Stack, sender: Sender) -> None:
    """Its address lives on at the store for up to an hour."""
    upload = await _small(sender)
    assert (await sender.put(upload["put"], CONTENT)).status_code == 200
    await sender.becomes(upload, "completed")
    await sender.ask("DELETE", f"/{upload['id']}")
    assert (await sender.put(upload["put"], CONTENT)).status_code == 200
    await eventually(lambda: store.gone(stack, upload), "the late object is gone")
    assert (await sender.show(upload))["status"] == "deleted"


async def test_an_empty_file_is_a_file(sender: Sender) -> None:
    upload = await sender.announce(0)
    assert (await sender.put(upload["put"], b"")).status_code == 200
    done = await sender.becomes(upload, "completed")
    assert done["size"] == 0
    assert (await sender.download(upload)).content == b""


async def test_at_the_threshold_it_is_one_put_and_a_byte_more_goes_in_parts(
    sender: Sender,
) -> None:
    content = os.urandom(THRESHOLD + 1)
    whole = await sender.announce(THRESHOLD)
    assert whole["multipart"] is None
    assert (await sender.put(whole["put"], content[:-1])).status_code == 200
    assert (await sender.completed(whole))["size"] == THRESHOLD

    parts = await sender.announce(THRESHOLD + 1)
    assert (parts["put"], parts["post"]) == (None, None)
    assert (parts["multipart"]["part_count"], parts["multipart"]["part_size"]) == (2, 8 * MIB)
    await sender.send(parts, content, [1, 2])
    assert await sender.arrived(parts) == {1: 8 * MIB, 2: 1}
    assert (await sender.completed(parts))["size"] == THRESHOLD + 1
    assert (await sender.download(parts)).content == content


@pytest.mark.parametrize(
    "content_type",
    ["text/plain;  charset=utf-8", 'a/b; c="d  e;,="', "a/b ;\tc=d", "X/Y+z; a=%20&b="],
)
@pytest.mark.parametrize("how", ["put", "post"])
async def test_a_type_with_odd_parameters_is_signed_as_it_is_sent(
    sender: Sender, content_type: str, how: str
) -> None:
    upload = await sender.announce(len(CONTENT), content_type=content_type)
    sent = await getattr(sender, how)(upload[how], CONTENT)
    assert sent.status_code in {200, 201}, sent.text
    assert (await sender.completed(upload))["content_type"] == content_type


async def test_completing_before_anything_has_arrived_says_so(sender: Sender) -> None:
    upload = await _small(sender)
    told = problem(await sender.complete(upload), 409, "upload_incomplete")
    assert (told["retry_mode"], "missing_parts" in told) == ("resign", False)
    assert (await sender.put(upload["put"], CONTENT)).status_code == 200
    assert (await sender.completed(upload))["size"] == len(CONTENT)


@pytest.mark.parametrize("size", [-1, 1.5, "3", None, True, 10_000 * 5 * 1024 * MIB + 1])
async def test_a_size_that_no_object_can_have_is_refused(sender: Sender, size: Any) -> None:
    problem(await sender.create(size), 422, "invalid_request")
