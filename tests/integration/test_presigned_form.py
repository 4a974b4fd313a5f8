"""A small file by a presigned POST form, as pages send it. A form can be sent again."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.integration import store
from tests.integration.sender import Sender, sender_at
from tests.integration.stack import Stack, eventually

CONTENT = b"hello, form"
OTHER = b"HELLO, FORM"


@pytest.fixture
async def sender(stack: Stack) -> AsyncIterator[Sender]:
    async with sender_at(stack) as opened:
        yield opened


async def _announced(sender: Sender) -> Any:
    upload = await sender.announce(len(CONTENT), content_type="text/plain")
    assert upload["post"] is not None
    return upload


async def _completed(sender: Sender) -> Any:
    """By the form. `post` is still the form, as a page keeps it."""
    upload = await _announced(sender)
    answer = await sender.post(upload["post"], CONTENT)
    assert answer.status_code == 201, answer.text
    return await sender.becomes(upload, "completed") | {"post": upload["post"]}


async def test_a_form_with_the_announced_bytes_completes_by_the_stores_webhook(
    stack: Stack, sender: Sender
) -> None:
    done = await _completed(sender)
    assert (done["size"], done["status_reason"]) == (len(CONTENT), None)
    found = await store.head(stack, done)
    assert found is not None
    assert found["ContentType"] == "text/plain"
    assert (await sender.download(done)).content == CONTENT


@pytest.mark.parametrize(
    ("content", "changed"),
    [
        (CONTENT + b"!", {}),
        (CONTENT[:-1], {}),
        (b"", {}),
        (CONTENT, {"Content_Type": "text/html"}),
        (CONTENT, {"key": "users/another/a.bin"}),
        (CONTENT, {"x_amz_meta_uploadgate_upload_id": "upl_another"}),
        (CONTENT, {"x_amz_meta_more": "1"}),
    ],
    ids=["over", "under", "empty", "another type", "another key", "another upload", "more"],
)
async def test_a_form_with_anything_else_is_refused_by_the_store(
    stack: Stack, sender: Sender, content: bytes, changed: dict[str, str]
) -> None:
    upload = await _announced(sender)
    refused = await sender.post(upload["post"], content, **changed)
    assert refused.status_code in {400, 403}, refused.text
    assert await store.gone(stack, upload)
    assert (await sender.show(upload))["status"] == "pending"
    assert (await sender.post(upload["post"], CONTENT)).status_code == 201
    await sender.becomes(upload, "completed")


async def test_a_form_sent_again_with_other_bytes_is_told_as_replaced(sender: Sender) -> None:
    done = await _completed(sender)
    assert (await sender.post(done["post"], OTHER)).status_code == 201
    replaced = await sender.becomes(done, "replaced")
    assert replaced["status_reason"] == "the object was written again after completion"
    assert replaced["etag"] != done["etag"]
    assert (await sender.download(done)).content == OTHER


async def test_a_form_sent_again_with_the_same_bytes_changes_nothing(
    stack: Stack, sender: Sender
) -> None:
    done = await _completed(sender)
    assert (await sender.post(done["post"], CONTENT)).status_code == 201
    # The next event of this key comes after that of the repetition.
    other = await _completed(sender)
    assert other["status"] == "completed"
    shown = await sender.show(done)
    assert (shown["status"], shown["etag"]) == ("completed", done["etag"])


async def test_a_form_sent_again_after_the_end_leaves_nothing(stack: Stack, sender: Sender) -> None:
    done = await _completed(sender)
    await sender.ask("DELETE", f"/{done['id']}")
    assert (await sender.post(done["post"], OTHER)).status_code == 201
    await eventually(lambda: store.gone(stack, done), "the late object is gone")
    assert (await sender.show(done))["status"] == "deleted"
