"""How the page hears: server-sent events from the running service."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from cli.serve import GRACE_SECONDS
from tests.integration.event_reader import PATH, EventReader
from tests.integration.replica import Replica, replica
from tests.integration.sender import MIB, Sender, problem
from tests.integration.stack import Stack

CONTENT = b"hello, page"
ABORTED = "upload.aborted"
# More than a stream reads at once.
MANY = 40
SETTINGS = {
    "UPLOADGATE_UPLOADS__PROFILES": json.dumps({"held": {"quarantine": True}}),
    "UPLOADGATE_EVENTS__MAX_STREAMS_PER_USER": "2",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replica]:
    url = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('streams') / 'records.db'}"
    async with replica(stack, url, **SETTINGS) as running:
        yield running


@pytest.fixture
async def sender(shop: Replica) -> AsyncIterator[Sender]:
    async with shop.sender() as opened:
        yield opened


async def _aborted(sender: Sender) -> Any:
    """One event."""
    upload = await sender.announce(len(CONTENT))
    assert (await sender.ask("DELETE", f"/{upload['id']}")).status_code == 200
    return upload


async def test_a_page_hears_each_step_of_an_upload_as_it_happens(
    shop: Replica, sender: Sender
) -> None:
    content = bytes(9 * MIB)
    metadata = {"album": "summer"}
    async with EventReader.reading(shop.service.url, sender.user) as page:
        assert page.ready is not None
        assert (page.ready.number, page.ready.data["sequence"]) == (0, 0)
        upload = await sender.announce(len(content), profile="held", metadata=metadata)
        await sender.send(upload, content, [1, 2])
        await page.hears(upload, "upload.uploading")
        held = (await sender.complete(upload)).json()
        told = await page.hears(upload, "upload.quarantined")
        assert told.upload["etag"] == held["etag"]
        async with shop.sender(await shop.user(admin=True)) as admin:
            path, body = f"/{upload['id']}/verdict", {"verdict": "clean"}
            assert (await admin.ask("POST", path, json=body)).status_code == 200
        told = await page.hears(upload, "upload.completed")
        assert (told.upload["metadata"], told.data["data"]["previous_status"]) == (
            metadata,
            "quarantined",
        )
        assert (await sender.ask("DELETE", f"/{upload['id']}")).status_code == 200
        await page.hears(upload, "upload.deleted")
        assert page.numbers() == [1, 2, 3, 4]
        assert [one.data["data"]["sequence"] for one in page.told] == page.numbers()


async def test_exactly_what_was_missed_is_told_on_coming_back(
    shop: Replica, sender: Sender
) -> None:
    async with EventReader.reading(shop.service.url, sender.user) as page:
        for _ in range(2):
            await page.hears(await _aborted(sender), ABORTED)
        seen = page.last_id
    missed = [await _aborted(sender) for _ in range(MANY)]
    async with EventReader.reading(shop.service.url, sender.user, after=seen) as page:
        await page.hears(missed[-1], ABORTED)
        await page.hears(last := await _aborted(sender), ABORTED)
        assert [one.upload["id"] for one in page.told] == [one["id"] for one in [*missed, last]]
        assert page.numbers() == list(range(3, MANY + 4))

    async with EventReader.reading(shop.service.url, sender.user, after=page.last_id) as page:
        await page.hears(news := await _aborted(sender), ABORTED)
        assert [one.upload["id"] for one in page.told] == [news["id"]]


async def test_who_names_no_last_event_hears_only_what_is_new(
    shop: Replica, sender: Sender
) -> None:
    await _aborted(sender)
    async with EventReader.reading(shop.service.url, sender.user) as page:
        assert page.ready is not None
        assert page.ready.data["sequence"] == 1
        await page.hears(await _aborted(sender), ABORTED)
        assert page.numbers() == [2]


async def test_an_id_of_another_time_is_told_to_begin_anew(shop: Replica, sender: Sender) -> None:
    await _aborted(sender)
    async with EventReader.reading(shop.service.url, sender.user, after="4711") as page:
        await page.hears(await _aborted(sender), ABORTED)
        assert [(one.event, one.id) for one in page.told] == [("reset", "1"), (ABORTED, "2")]


async def test_nobody_hears_of_anothers_uploads(shop: Replica, sender: Sender) -> None:
    async with (
        shop.sender() as other,
        EventReader.reading(shop.service.url, sender.user, after="0") as page,
        EventReader.reading(shop.service.url, other.user, after="0") as others,
    ):
        theirs = [await _aborted(other) for _ in range(3)]
        await others.hears(theirs[-1], ABORTED)
        await page.hears(own := await _aborted(sender), ABORTED)
        assert [one.upload["id"] for one in page.told] == [own["id"]]
        assert [one.upload["id"] for one in others.told] == [one["id"] for one in theirs]


async def test_both_pages_of_a_user_hear_and_a_third_one_is_refused(
    shop: Replica, sender: Sender
) -> None:
    url, user = shop.service.url, sender.user
    async with EventReader.reading(url, user) as one, EventReader.reading(url, user) as other:
        refused = await shop.api.get(PATH, headers=user.headers)
        problem(refused, 429, "too_many_streams")
        upload = await _aborted(sender)
        await one.hears(upload, ABORTED)
        await other.hears(upload, ABORTED)


async def test_nothing_is_told_without_a_token(shop: Replica) -> None:
    assert (await shop.api.get(PATH)).status_code == 401
    assert (await shop.api.get(PATH, headers={"Authorization": "Bearer no"})).status_code == 401


async def test_a_stream_ends_with_its_token_and_with_its_replica(
    stack: Stack, tmp_path: Path
) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'records.db'}"
    brief = {"UPLOADGATE_AUTH__ACCESS_TOKEN_SECONDS": "9", "UPLOADGATE_AUTH__LEEWAY_SECONDS": "0"}
    async with replica(stack, url, **brief) as shop, shop.sender() as sender:
        address = shop.service.url
        async with EventReader.reading(address, sender.user) as page:
            seen = await page.hears(await _aborted(sender), ABORTED)
            assert await page.ended() == {"reason": "token_expired"}
        answer = await shop.api.get(PATH, headers=sender.user.headers)
        problem(answer, 401, "token_expired")

        login = {"username": sender.user.name, "password": sender.user.password}
        again = await shop.api.post("/v1/auth/login", json=login)
        sender.user.token = again.json()["access_token"]
        missed = await _aborted(sender)
        async with EventReader.reading(address, sender.user, after=seen.id) as page:
            assert (await page.hears(missed, ABORTED)).number == seen.number + 1
            process = shop.service.process
            assert process is not None
            process.terminate()
            assert await page.ended() == {"reason": "server_going"}
            # It would wait that long for a stream that it has not ended.
            async with asyncio.timeout(GRACE_SECONDS * 0.75):
                assert await process.wait() == 0
