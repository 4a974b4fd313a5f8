"""What the page gives at creation comes back, as it was, wherever the upload is shown or told."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.event_reader import EventReader
from tests.integration.receiver import SETTINGS, Administrator
from tests.integration.replica import Replica, replica
from tests.integration.sender import MIB, Sender
from tests.integration.stack import Stack

CONTENT = b"hello, metadata"
IN_PARTS = bytes(9 * MIB)
COMPLETED = "upload.completed"
NONE: dict[str, str] = {}
PLAIN = {"order": "4711", "path": "a/b?c=d&e", "empty": ""}
FOREIGN = {"note": "für später, 漢字 🎉", "html": "<b>\"quoted\" & 'so'</b> \\n", "spaces": "  a  "}
LARGEST = {f"{number:064d}": "漢" * 512 for number in range(20)}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replica]:
    url = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('metadata') / 'records.db'}"
    async with replica(stack, url, **SETTINGS) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def admin(shop: Replica) -> Administrator:
    return Administrator(shop.api, await shop.user(admin=True))


@pytest.fixture
async def sender(shop: Replica) -> AsyncIterator[Sender]:
    async with shop.sender() as opened:
        yield opened


async def _in_one_put(sender: Sender, metadata: dict[str, str]) -> Any:
    upload = await sender.announce(len(CONTENT), metadata=metadata)
    assert (await sender.put(upload["put"], CONTENT)).status_code == 200
    return await sender.completed(upload)


async def _in_parts(sender: Sender, metadata: dict[str, str]) -> Any:
    upload = await sender.announce(len(IN_PARTS), metadata=metadata)
    await sender.send(upload, IN_PARTS, [1, 2])
    return await sender.completed(upload)


async def _through_the_service(sender: Sender, metadata: dict[str, str]) -> Any:
    upload = await sender.announce(len(CONTENT), metadata=metadata, transport="relay")
    answer = await sender.relay(upload, CONTENT)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("send", [_in_one_put, _in_parts, _through_the_service])
@pytest.mark.parametrize("metadata", [NONE, PLAIN, FOREIGN, LARGEST], ids=len)
async def test_it_comes_back_in_every_view(
    shop: Replica, admin: Administrator, sender: Sender, send: Any, metadata: dict[str, str]
) -> None:
    async with (
        admin.receiving() as (receiver, endpoint),
        EventReader.reading(shop.service.url, sender.user) as page,
    ):
        upload = await send(sender, metadata)
        attempt = await receiver.heard(upload, COMPLETED)
        told = await page.hears(upload, COMPLETED)
        message = attempt.verified(endpoint["secret"])
    listed = (await sender.ask("GET", "")).json()["items"]
    shown = await sender.show(upload)
    for view in (upload, shown, *listed, told.upload, message["data"]["upload"]):
        assert view["metadata"] == metadata
    # The page and the application get the very same words.
    assert json.loads(attempt.body) == told.data
