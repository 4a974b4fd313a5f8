"""Why an upload is where it is, at the running service."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.integration.sender import MIB, Sender, problem, sender_at
from tests.integration.stack import Stack, eventually

CONTENT = b"a story of its own"


@pytest.fixture
async def sender(stack: Stack) -> AsyncIterator[Sender]:
    async with sender_at(stack) as opened:
        yield opened


async def timeline(sender: Sender, upload: Any) -> Any:
    answer = await sender.ask("GET", f"/{upload['id']}/timeline")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_store_event_and_the_transition_that_came_of_it_are_told(
    sender: Sender,
) -> None:
    upload = await sender.announce(len(CONTENT))
    before = await timeline(sender, upload)
    assert (before["waiting_for"], before["status"]) == ("client", "pending")
    assert [item["kind"] for item in before["items"]] == ["created"]

    answer = await sender.put(upload["put"], CONTENT)
    await sender.becomes(upload, "completed")

    async def settled() -> Any:
        found = await timeline(sender, upload)
        events = [item for item in found["items"] if item["kind"] == "store_event"]
        return found if events and all(event["outcome"] for event in events) else None

    after = await eventually(settled, "the event is settled")
    assert (after["waiting_for"], after["truncated"]) == (None, False)
    assert after["explanation"].startswith("It was completed at ")
    told = {item["kind"]: item for item in after["items"]}
    assert set(told) == {"created", "store_event", "transition"}
    assert (told["transition"]["from"], told["transition"]["to"]) == ("pending", "completed")
    event = told["store_event"]
    assert (event["source"], event["failed"], event["next_attempt_at"]) == (
        "seaweedfs",
        False,
        None,
    )
    assert event["etag"] == answer.headers["etag"].strip('"')
    assert event["raw"]["key"].endswith(upload["key"])


async def test_what_is_sent_in_parts_waits_for_its_client(sender: Sender) -> None:
    content = bytes(9 * MIB)
    upload = await sender.announce(len(content))
    await sender.send(upload, content, [1])
    found = await timeline(sender, upload)
    assert found["waiting_for"] == "client"
    assert "2 parts" in found["explanation"]


async def test_another_users_timeline_does_not_exist(stack: Stack, sender: Sender) -> None:
    upload = await sender.announce(len(CONTENT))
    async with sender_at(stack) as other:
        answer = await other.ask("GET", f"/{upload['id']}/timeline")
    problem(answer, 404, "upload_not_found")
