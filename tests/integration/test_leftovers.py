"""Nothing half-sent stays at the store, whoever began it."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from boto3.s3.transfer import TransferConfig

from tests.integration import store
from tests.integration.sender import MIB, Sender, problem, sender_at
from tests.integration.stack import Stack, eventually

CONTENT = os.urandom(17 * MIB)


@pytest.fixture
async def sender(stack: Stack) -> AsyncIterator[Sender]:
    async with sender_at(stack) as opened:
        yield opened


async def test_a_stock_managers_own_multipart_completes_and_ours_is_aborted(
    stack: Stack, sender: Sender, tmp_path: Path
) -> None:
    path = tmp_path / "video.bin"
    path.write_bytes(CONTENT)
    upload = await sender.announce(len(CONTENT), transport="credentials")
    assert await store.multiparts(stack, upload) == [upload["multipart"]["upload_id"]]
    keys = await store.credentials(stack, sender.user)
    parts = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
    await asyncio.to_thread(
        store.client(keys).upload_file, str(path), upload["bucket"], upload["key"], Config=parts
    )
    done = await sender.becomes(upload, "completed")
    assert done["etag"].endswith("-4")
    await eventually(lambda: store.no_multipart(stack, upload), "the unused multipart is gone")
    assert (await sender.show(upload))["etag"] == done["etag"]


@pytest.mark.parametrize("transport", ["presigned", "credentials", "relay"])
async def test_an_upload_that_is_deleted_in_flight_leaves_no_multipart(
    stack: Stack, sender: Sender, transport: str
) -> None:
    upload = await sender.announce(len(CONTENT), transport=transport)
    [signed] = await sender.signed(upload, [1])
    assert (await sender.put(signed, CONTENT[: 8 * MIB])).status_code == 200
    answer = await sender.ask("DELETE", f"/{upload['id']}")
    assert answer.json()["status"] == "aborted"
    assert await store.no_multipart(stack, upload)
    assert (await sender.put(signed, CONTENT[: 8 * MIB])).status_code == 404
    assert (await sender.ask("DELETE", f"/{upload['id']}")).json()["status"] == "aborted"


async def test_a_multipart_that_the_user_begins_after_the_end_is_aborted(
    stack: Stack, sender: Sender
) -> None:
    """Their credentials live on for an hour."""
    upload = await sender.announce(len(CONTENT), transport="credentials")
    keys = await store.credentials(stack, sender.user)
    await sender.ask("DELETE", f"/{upload['id']}")
    await asyncio.to_thread(store.client(keys).create_multipart_upload, **store.place(upload))
    await eventually(lambda: store.no_multipart(stack, upload), "the late multipart is gone")


async def test_what_is_deleted_cannot_be_sent_to(sender: Sender) -> None:
    upload = await sender.announce(len(CONTENT))
    await sender.ask("DELETE", f"/{upload['id']}")
    for answer in (
        await sender.sign(upload, [1]),
        await sender.complete(upload),
        await sender.relay(upload, CONTENT),
        await sender.switch(upload, "relay"),
        await sender.ask("GET", f"/{upload['id']}/download"),
    ):
        assert problem(answer, 409, "upload_ended")["retry_mode"] == "fatal"
    assert await sender.arrived(upload) == {}
