"""What is in quarantine is neither told as completed nor given back, until a verdict."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from tests.integration import store
from tests.integration.event_reader import EventReader
from tests.integration.receiver import SETTINGS, Administrator
from tests.integration.replica import Replica, replica
from tests.integration.sender import Sender, problem
from tests.integration.stack import Stack

CONTENT = b"hello, quarantine"
SIZE = len(CONTENT)
COMPLETED = "upload.completed"
HELD = "upload.quarantined"
SCANS = {
    "UPLOADGATE_UPLOADS__PROFILES": json.dumps({"held": {"quarantine": True}}),
    "UPLOADGATE_COMPLETION__SCAN_TAG": "Scan",
    "UPLOADGATE_COMPLETION__SCAN_CLEAN": '["CLEAN"]',
    "UPLOADGATE_COMPLETION__SCAN_REJECTED": '["VIRUS"]',
}
Judge = Callable[[Stack, Administrator, Any, bool], Awaitable[None]]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replica]:
    url = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('held') / 'records.db'}"
    async with replica(stack, url, **SETTINGS, **SCANS) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def admin(shop: Replica) -> Administrator:
    return Administrator(shop.api, await shop.user(admin=True))


@pytest.fixture
async def sender(shop: Replica) -> AsyncIterator[Sender]:
    async with shop.sender() as opened:
        yield opened


async def _arrived(sender: Sender, profile: str) -> Any:
    upload = await sender.announce(SIZE, profile=profile)
    assert (await sender.put(upload["put"], CONTENT)).status_code == 200
    answer = await sender.complete(upload)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def _by_the_administrator(_: Stack, admin: Administrator, upload: Any, clean: bool) -> None:
    verdict = "clean" if clean else "rejected"
    body = {"verdict": verdict, "reason": "as judged"}
    path = f"/v1/uploads/{upload['id']}/verdict"
    answer = await admin.api.post(path, json=body, headers=admin.user.headers)
    assert answer.status_code == 200, answer.text


async def _by_a_scanner(stack: Stack, _: Administrator, upload: Any, clean: bool) -> None:
    tags = {"TagSet": [{"Key": "Scan", "Value": "CLEAN" if clean else "VIRUS"}]}
    tag = store.service(stack).put_object_tagging
    await asyncio.to_thread(tag, **store.place(upload), Tagging=tags)


@pytest.mark.parametrize("judge", [_by_the_administrator, _by_a_scanner])
async def test_nothing_is_told_or_given_back_before_a_clean_verdict(
    stack: Stack, shop: Replica, admin: Administrator, sender: Sender, judge: Judge
) -> None:
    async with (
        admin.receiving() as (receiver, endpoint),
        admin.receiving(event_types=[HELD]) as (scanner, _),
        EventReader.reading(shop.service.url, sender.user) as page,
    ):
        upload = await _arrived(sender, "held")
        assert upload["status"] == "quarantined"
        assert (await scanner.heard(upload, HELD)).upload["key"] == upload["key"]
        await page.hears(upload, HELD)
        # What is told later has been: there is nothing on its way.
        await receiver.heard(await _arrived(sender, "default"), COMPLETED)
        assert receiver.types(upload) == []
        problem(await sender.ask("GET", f"/{upload['id']}/download"), 409, "upload_state")

        await judge(stack, admin, upload, True)
        attempt = await receiver.heard(upload, COMPLETED)
        message = attempt.verified(endpoint["secret"])
        assert message["data"]["previous_status"] == "quarantined"
        assert message["data"]["upload"]["etag"] == upload["etag"]
        await page.hears(upload, COMPLETED)
        assert (await sender.download(upload)).content == CONTENT
        assert receiver.types(upload) == [COMPLETED]
        assert scanner.types(upload) == [HELD]


@pytest.mark.parametrize("judge", [_by_the_administrator, _by_a_scanner])
async def test_what_is_rejected_is_told_so_and_never_as_completed(
    stack: Stack, shop: Replica, admin: Administrator, sender: Sender, judge: Judge
) -> None:
    async with (
        admin.receiving() as (receiver, endpoint),
        EventReader.reading(shop.service.url, sender.user) as page,
    ):
        upload = await _arrived(sender, "held")
        await judge(stack, admin, upload, False)
        attempt = await receiver.heard(upload, "upload.rejected")
        attempt.verified(endpoint["secret"])
        assert attempt.upload["status_reason"]
        told = await page.hears(upload, "upload.rejected")
        assert told.data == attempt.message
        problem(await sender.ask("GET", f"/{upload['id']}/download"), 409, "upload_ended")
        await receiver.heard(await _arrived(sender, "default"), COMPLETED)
        assert receiver.types(upload) == ["upload.rejected"]
        kinds = [one.event for one in page.told if one.upload["id"] == upload["id"]]
        assert kinds == [HELD, "upload.rejected"]
