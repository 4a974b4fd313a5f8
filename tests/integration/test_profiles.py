"""What a profile takes, and how much of it."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.replica import Replica, replica
from tests.integration.sender import MIB, Sender, problem
from tests.integration.stack import Stack

CONTENT = b"hello, profile"
SIZE = len(CONTENT)
PROFILES: dict[str, Any] = {
    "avatar": {
        "max_size": SIZE,
        "content_types": ["image/png", "text/*"],
        "extensions": ["png", "txt"],
        "key_template": "avatars/{year}/{upload_id}{extension}",
    },
    "few": {"max_in_flight": 2},
    "small": {"quota": 2 * SIZE},
    "relayed": {"transports": ["relay"]},
    "direct": {"transports": ["presigned"]},
}
SETTINGS = {
    "UPLOADGATE_UPLOADS__PROFILES": json.dumps(PROFILES),
    "UPLOADGATE_COMPLETION__OVERDUE_SECONDS": "1",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replica]:
    url = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('profiles') / 'records.db'}"
    async with replica(stack, url, **SETTINGS) as running:
        yield running


@pytest.fixture
async def sender(shop: Replica) -> AsyncIterator[Sender]:
    async with shop.sender() as opened:
        yield opened


AVATAR = {"profile": "avatar", "filename": "me.PNG", "content_type": "image/png"}


async def test_what_the_profile_takes_goes_where_it_says(sender: Sender) -> None:
    upload = await sender.announce(SIZE, **AVATAR)
    assert upload["profile"] == "avatar"
    assert re.search(rf"/avatars/20\d\d/{upload['id']}\.PNG$", upload["key"])
    assert (await sender.put(upload["put"], CONTENT)).status_code == 200
    await sender.completed(upload)
    await sender.announce(0, **AVATAR)


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        ({"size": SIZE + 1}, "upload_too_large", str(SIZE)),
        ({"content_type": "image/gif"}, "content_type_refused", "image/png"),
        ({"content_type": "application/png"}, "content_type_refused", "image/png"),
        ({"filename": "me.gif"}, "content_type_refused", ".png"),
        ({"filename": "png"}, "content_type_refused", ".png"),
        ({"filename": "me.png.exe"}, "content_type_refused", ".png"),
        ({"profile": "none"}, "unknown_profile", ""),
    ],
)
async def test_what_the_profile_does_not_take_is_refused_and_counts_nothing(
    shop: Replica, sender: Sender, change: dict[str, Any], code: str, told: str
) -> None:
    body = {"size": SIZE, **AVATAR, **change}
    found = problem(await sender.create(**body), 422, code)
    assert (found["retry_mode"], told in found["detail"]) == ("fatal", True)
    await shop.usage_is(sender.user, 0, 0, "avatar")


async def test_one_upload_in_flight_too_many_must_wait_for_another_to_end(sender: Sender) -> None:
    first, _ = [await sender.announce(SIZE, profile="few") for _ in range(2)]
    answer = await sender.create(SIZE, profile="few")
    assert problem(answer, 429, "too_many_uploads")["retry_mode"] == "wait"
    assert int(answer.headers["retry-after"]) > 0
    assert (await sender.put(first["put"], CONTENT)).status_code == 200
    await sender.completed(first)
    third = await sender.announce(SIZE, profile="few")
    problem(await sender.create(SIZE, profile="few"), 429, "too_many_uploads")
    await sender.ask("DELETE", f"/{third['id']}")
    await sender.announce(SIZE, profile="few")


async def test_a_quota_is_a_users_own_and_comes_back_with_what_is_deleted(
    shop: Replica, sender: Sender
) -> None:
    first = await sender.announce(SIZE, profile="small")
    await sender.put(first["put"], CONTENT)
    await sender.completed(first)
    second = await sender.announce(SIZE, profile="small")
    told = problem(await sender.create(1, profile="small"), 403, "quota_exceeded")
    assert told["retry_mode"] == "fatal"
    await sender.announce(0, profile="small")
    async with shop.sender() as other:
        await other.announce(SIZE, profile="small")
    for upload in (first, second):
        await sender.ask("DELETE", f"/{upload['id']}")
        await sender.announce(SIZE, profile="small")
    problem(await sender.create(1, profile="small"), 403, "quota_exceeded")


async def test_only_the_transports_of_the_profile_are_had(sender: Sender) -> None:
    for transport in ("presigned", "credentials"):
        told = problem(
            await sender.create(SIZE, profile="relayed", transport=transport), 403, "policy"
        )
        assert told["retry_mode"] == "switch_transport"
    upload = await sender.announce(SIZE, profile="relayed", transport="auto")
    assert (upload["transport"], upload["transport_reason"]) == ("relay", "policy")
    for transport in ("presigned", "credentials"):
        problem(await sender.switch(upload, transport), 403, "policy")
    assert (await sender.relay(upload, CONTENT)).json()["status"] == "completed"

    large = await sender.announce(9 * MIB, profile="relayed", transport="relay")
    problem(await sender.sign(large, [1]), 403, "policy")
    direct = await sender.announce(SIZE, profile="direct")
    problem(await sender.relay(direct, CONTENT), 403, "policy")
