"""What a profile allows, and what it does with what has arrived."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.integration import store
from tests.integration.replica import Replica, replica
from tests.integration.sender import Sender, problem
from tests.integration.stack import Stack, eventually

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
    "held": {"quarantine": True},
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


async def _arrived(sender: Sender, profile: str) -> Any:
    """By a form, which a client could send again. With `post` as it was."""
    upload = await sender.announce(SIZE, profile=profile)
    assert (await sender.post(upload["post"], CONTENT)).status_code == 201
    answer = await sender.complete(upload)
    assert answer.status_code == 200, answer.text
    return answer.json() | {"post": upload["post"]}


AVATAR = {"profile": "avatar", "filename": "me.PNG", "content_type": "image/png"}


async def test_what_the_profile_takes_goes_where_it_says(sender: Sender) -> None:
    upload = await sender.announce(SIZE, **AVATAR)
    assert upload["profile"] == "avatar"
    assert re.search(rf"/avatars/20\d\d/{upload['id']}\.PNG$", upload["key"])
    assert (await sender.put(upload["put"], CONTENT)).status_code == 200
    await sender.completed(upload)
    await sender.announce(0, **AVATAR, **{})


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


async def _verdict(shop: Replica, upload: Any, verdict: str, **more: Any) -> Any:
    async with shop.sender(await shop.user(admin=True)) as admin:
        return await admin.ask(
            "POST", f"/{upload['id']}/verdict", json={"verdict": verdict, **more}
        )


async def test_what_is_quarantined_is_given_back_only_after_a_clean_verdict(
    shop: Replica, sender: Sender
) -> None:
    upload = await _arrived(sender, "held")
    assert (upload["status"], upload["completed_at"]) == ("quarantined", None)
    problem(await sender.ask("GET", f"/{upload['id']}/download"), 409, "upload_state")
    own = await sender.ask("POST", f"/{upload['id']}/verdict", json={"verdict": "clean"})
    assert problem(own, 403, "missing_scope")["retry_mode"] == "fatal"

    for _ in range(2):
        assert (await _verdict(shop, upload, "clean")).json()["status"] == "completed"
    assert (await sender.show(upload))["completed_at"] is not None
    assert (await sender.download(upload)).content == CONTENT
    problem(await _verdict(shop, upload, "rejected"), 409, "upload_state")


async def test_a_rejecting_verdict_deletes_the_object_and_says_why(
    stack: Stack, shop: Replica, sender: Sender
) -> None:
    upload = await _arrived(sender, "held")
    rejected = await _verdict(shop, upload, "rejected", reason="a virus")
    assert (rejected.json()["status"], rejected.json()["status_reason"]) == ("rejected", "a virus")
    assert await store.gone(stack, upload)
    await shop.usage_is(sender.user, 0, 0, "held")
    problem(await sender.ask("GET", f"/{upload['id']}/download"), 409, "upload_ended")


async def test_no_verdict_releases_what_was_written_again_after_it_was_looked_at(
    stack: Stack, shop: Replica, sender: Sender
) -> None:
    upload = await _arrived(sender, "held")
    assert (await sender.post(upload["post"], CONTENT.upper())).status_code == 201
    problem(await _verdict(shop, upload, "clean"), 409, "upload_state")
    problem(await sender.ask("GET", f"/{upload['id']}/download"), 409, "upload_state")
    rejected = await _verdict(shop, upload, "rejected", reason="it changed")
    assert rejected.json()["status"] == "rejected"
    await eventually(lambda: store.gone(stack, upload), "the object is gone")


async def test_what_was_written_again_in_quarantine_can_still_be_deleted(
    stack: Stack, shop: Replica, sender: Sender
) -> None:
    upload = await _arrived(sender, "held")
    assert (await sender.post(upload["post"], CONTENT.upper())).status_code == 201

    async def ended() -> bool:
        answer = await sender.ask("DELETE", f"/{upload['id']}")
        return answer.status_code == 200

    await eventually(ended, "it is deleted", 10)
    await eventually(lambda: store.gone(stack, upload), "the object is gone")
    await shop.usage_is(sender.user, 0, 0, "held")
