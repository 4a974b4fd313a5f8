"""Addresses and uploads that come to their end."""

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.integration import store
from tests.integration.replica import Replica, replica
from tests.integration.sender import MIB, Sender, piece, problem
from tests.integration.stack import Stack, eventually

PART = 5 * MIB
CONTENT = os.urandom(2 * PART + 1000)
SMALL = b"hello"
PARTS = {"UPLOADGATE_UPLOADS__PART_SIZE": str(PART)}


def _database(factory: pytest.TempPathFactory, name: str) -> str:
    return f"sqlite+aiosqlite:///{factory.mktemp(name) / 'records.db'}"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def brief(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replica]:
    """Whose addresses live for some seconds, in which a busy machine still sends a part."""
    more = {"UPLOADGATE_UPLOADS__URL_SECONDS": "6"}
    async with replica(stack, _database(tmp_path_factory, "brief"), **PARTS, **more) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hasty(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replica]:
    """Who gives uploads up after a few seconds, in which a busy machine still sends a part."""
    more = {"UPLOADGATE_UPLOADS__EXPIRES_SECONDS": "10"}
    async with replica(stack, _database(tmp_path_factory, "hasty"), **PARTS, **more) as running:
        yield running


@pytest.fixture
async def sender(brief: Replica) -> AsyncIterator[Sender]:
    async with brief.sender() as opened:
        yield opened


async def _expires(sender: Sender, url: str) -> None:
    """Nothing arrives by this: the body is of another length than was signed."""

    async def refused() -> bool:
        return "expired" in (await sender.store.put(url, content=b"")).text.lower()

    await eventually(refused, "the address has expired")


async def test_a_parts_address_expires_and_the_next_one_goes_on(
    brief: Replica, sender: Sender
) -> None:
    upload = await sender.announce(len(CONTENT))
    [first, second] = await sender.signed(upload, [1, 2])
    assert (await sender.put(first, piece(upload, CONTENT, 1))).status_code == 200
    await _expires(sender, second["url"])
    refused = await sender.put(second, piece(upload, CONTENT, 2))
    assert refused.status_code == 403
    assert await sender.arrived(upload) == {1: PART}
    shown = await sender.show(upload)
    assert (shown["status"], shown["multipart"]) == ("uploading", upload["multipart"])
    await brief.usage_is(sender.user, len(CONTENT), 1, "default")

    await sender.send(upload, CONTENT, [2])
    await sender.send(upload, CONTENT, [3])
    await sender.completed(upload)
    assert (await brief.counted(sender.user, "default"))[0].bytes == len(CONTENT)


async def test_an_address_for_a_whole_file_expires_and_is_given_anew(sender: Sender) -> None:
    upload = await sender.announce(len(SMALL))
    await _expires(sender, upload["put"]["url"])
    assert (await sender.put(upload["put"], SMALL)).status_code == 403
    refused = await sender.post(upload["post"], SMALL)
    assert refused.status_code in {400, 403}, refused.text

    anew = await sender.show(upload)
    assert anew["put"]["expires_at"] > upload["put"]["expires_at"]
    assert (await sender.put(anew["put"], SMALL)).status_code == 200
    assert (await sender.completed(upload))["size"] == len(SMALL)


async def test_a_download_expires_too(sender: Sender) -> None:
    upload = await sender.announce(len(SMALL))
    await sender.put(upload["put"], SMALL)
    await sender.completed(upload)
    signed = (await sender.ask("GET", f"/{upload['id']}/download")).json()

    async def refused() -> bool:
        return (await sender.store.get(signed["url"])).status_code == 403

    await eventually(refused, "the address has expired")
    assert (await sender.download(upload)).content == SMALL


async def test_an_upload_that_ends_leaves_no_multipart_and_no_charge(
    stack: Stack, hasty: Replica
) -> None:
    async with hasty.sender() as sender:
        upload = await sender.announce(len(CONTENT))
        await sender.send(upload, CONTENT, [1])
        ended = await sender.becomes(upload, "expired")
        assert ended["status_reason"] == "nothing arrived in time"
        await eventually(lambda: store.no_multipart(stack, upload), "the multipart is gone")
        await hasty.usage_is(sender.user, 0, 0, "default")
        for answer in (
            await sender.sign(upload, [2]),
            await sender.complete(upload),
            await sender.relay(upload, CONTENT),
            await sender.switch(upload, "relay"),
            await sender.ask("GET", f"/{upload['id']}/download"),
        ):
            assert problem(answer, 409, "upload_ended")["retry_mode"] == "fatal"


async def test_no_address_outlives_its_upload(hasty: Replica) -> None:
    async with hasty.sender() as sender:
        upload = await sender.announce(len(SMALL))
        assert upload["put"]["expires_at"] <= upload["expires_at"]
        assert upload["post"]["expires_at"] <= upload["expires_at"]
        ended = await sender.becomes(upload, "expired")
        assert (ended["put"], ended["post"]) == (None, None)
        assert (await sender.put(upload["put"], SMALL)).status_code == 403
