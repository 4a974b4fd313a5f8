"""What has arrived in quarantine waits for a verdict on just these bytes."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.integration import store
from tests.integration.replica import Replica, replica
from tests.integration.sender import Sender, problem
from tests.integration.stack import Stack, eventually

CONTENT = b"hello, quarantine"
SIZE = len(CONTENT)
SETTINGS = {
    "UPLOADGATE_UPLOADS__PROFILES": json.dumps({"held": {"quarantine": True}}),
    "UPLOADGATE_COMPLETION__OVERDUE_SECONDS": "1",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replica]:
    url = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('quarantine') / 'records.db'}"
    async with replica(stack, url, **SETTINGS) as running:
        yield running


@pytest.fixture
async def sender(shop: Replica) -> AsyncIterator[Sender]:
    async with shop.sender() as opened:
        yield opened


async def _arrived(sender: Sender) -> Any:
    upload = await sender.announce(SIZE, profile="held")
    # A form could be sent again after the verdict.
    assert upload["post"] is None
    assert (await sender.put(upload["put"], CONTENT)).status_code == 200
    answer = await sender.complete(upload)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def _write_again(stack: Stack, upload: Any) -> None:
    """As somebody can who has credentials."""
    s3 = store.service(stack)
    await asyncio.to_thread(s3.put_object, **store.place(upload), Body=CONTENT.upper())


async def _verdict(shop: Replica, upload: Any, verdict: str, **more: Any) -> Any:
    async with shop.sender(await shop.user(admin=True)) as admin:
        return await admin.ask(
            "POST", f"/{upload['id']}/verdict", json={"verdict": verdict, **more}
        )


async def test_what_is_quarantined_is_given_back_only_after_a_clean_verdict(
    shop: Replica, sender: Sender
) -> None:
    upload = await _arrived(sender)
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
    upload = await _arrived(sender)
    rejected = await _verdict(shop, upload, "rejected", reason="a virus")
    assert (rejected.json()["status"], rejected.json()["status_reason"]) == ("rejected", "a virus")
    assert await store.gone(stack, upload)
    await shop.usage_is(sender.user, 0, 0, "held")
    problem(await sender.ask("GET", f"/{upload['id']}/download"), 409, "upload_ended")


async def test_no_verdict_releases_what_was_written_again_after_it_was_looked_at(
    stack: Stack, shop: Replica, sender: Sender
) -> None:
    upload = await _arrived(sender)
    await _write_again(stack, upload)
    problem(await _verdict(shop, upload, "clean"), 409, "upload_state")
    problem(await sender.ask("GET", f"/{upload['id']}/download"), 409, "upload_state")
    rejected = await _verdict(shop, upload, "rejected", reason="it changed")
    assert rejected.json()["status"] == "rejected"
    await eventually(lambda: store.gone(stack, upload), "the object is gone")


async def test_what_was_written_again_in_quarantine_ends_rejected_and_told(
    stack: Stack, shop: Replica, sender: Sender
) -> None:
    upload = await _arrived(sender)
    await _write_again(stack, upload)

    async def ended() -> bool:
        answer = await sender.ask("DELETE", f"/{upload['id']}")
        return answer.status_code == 200

    await eventually(ended, "it is deleted")
    shown = await sender.show(upload)
    reason = (shown["status"], shown["status_reason"])
    assert reason == ("rejected", "it was written again while in quarantine")
    await eventually(lambda: store.gone(stack, upload), "the object is gone")
    await shop.usage_is(sender.user, 0, 0, "held")
