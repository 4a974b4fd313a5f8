"""docs/webhooks.md: what it shows is what is sent, and the receiver in it receives."""

import json
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from routers.event_examples import STREAMS
from routers.event_schemas import UploadEvent
from service.delivery.events import OFFERED_TYPES
from service.delivery.signing import new_secret, signed_headers
from service.delivery.trial import TRIAL_TYPE
from tools.generate import ROOT

PAGE = (ROOT / "docs" / "webhooks.md").read_text(encoding="utf-8")
NO_CONTENT, UNAUTHORIZED, FAILED = 204, 401, 500


def block(language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert len(found) == 1
    return str(found[0])


def test_its_message_has_the_shape_of_one() -> None:
    UploadEvent.model_validate_json(block("json"))


def test_its_table_names_every_event() -> None:
    named = set(re.findall(r"^\| `([a-z]+\.[a-z]+)` \|", PAGE, re.MULTILINE))
    assert named == {*OFFERED_TYPES, TRIAL_TYPE}


def test_its_stream_is_the_one_of_the_document() -> None:
    frames = STREAMS["new"]["value"].replace(": \n", ":\n").rstrip()
    shown = re.sub(r'"sequence":7,.*', '"sequence":7,…}}', frames)
    assert f"```\n{shown}\n```" in PAGE


class Kept:
    """What the application of the page keeps: events, and the ids of those that it has taken.
    `broken` is what stands in the way of its work, once.
    """

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.events: list[Any] = []
        self.broken: Exception | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["Kept"]:
        before = self.ids.copy(), self.events.copy()
        try:
            yield self
        except Exception:
            self.ids, self.events = before
            raise

    async def first_time(self, _: "Kept", event_id: str) -> bool:
        new = event_id not in self.ids
        self.ids.add(event_id)
        return new

    async def take(self, _: "Kept", event: Any) -> None:
        broken, self.broken = self.broken, None
        if broken is not None:
            raise broken
        self.events.append(event)


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def secret() -> str:
    return new_secret()


@pytest.fixture
def receiver(secret: str, kept: Kept) -> Any:
    """The application of the page, with what it leaves to its reader."""
    names: dict[str, Any] = {
        "SECRET": secret,
        "database": kept,
        "first_time": kept.first_time,
        "take": kept.take,
    }
    exec(compile(block("python"), "docs/webhooks.md", "exec"), names)  # noqa: S102 - our own page
    return names["app"]


async def test_its_receiver_takes_each_message_once(receiver: Any, secret: str, kept: Kept) -> None:
    body = block("json").encode()
    headers = signed_headers("evt_1", int(time.time()), body, [secret])
    assert [await _sent(receiver, body, headers) for _ in range(2)] == [NO_CONTENT, NO_CONTENT]
    assert kept.events == [json.loads(body)]


async def test_its_receiver_loses_nothing_when_its_work_fails(
    receiver: Any, secret: str, kept: Kept
) -> None:
    body = block("json").encode()
    headers = signed_headers("evt_1", int(time.time()), body, [secret])
    kept.broken = OSError("the database is away")
    answers = [await _sent(receiver, body, headers) for _ in range(3)]
    assert answers == [FAILED, NO_CONTENT, NO_CONTENT]
    assert kept.events == [json.loads(body)]


FORGERIES: list[Callable[[bytes, dict[str, str]], tuple[bytes, dict[str, str]]]] = [
    lambda body, headers: (body.replace(b"completed", b"rejected"), headers),
    lambda body, headers: (body, {**headers, "webhook-id": "evt_2"}),
    lambda body, headers: (body, {**headers, "webhook-timestamp": "1"}),
    lambda body, _: (body, {}),
]


@pytest.mark.parametrize("forged", FORGERIES)
async def test_its_receiver_takes_nothing_that_is_forged(
    receiver: Any, secret: str, kept: Kept, forged: Any
) -> None:
    body = block("json").encode()
    headers = signed_headers("evt_1", int(time.time()), body, [secret])
    assert await _sent(receiver, *forged(body, headers)) == UNAUTHORIZED
    assert (kept.events, kept.ids) == ([], set())


async def _sent(app: Any, body: bytes, headers: dict[str, str]) -> int:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        return (await client.post("/hooks/uploads", content=body, headers=headers)).status_code
