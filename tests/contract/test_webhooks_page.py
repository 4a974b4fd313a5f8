"""docs/webhooks.md: what it shows is what is sent, and the receiver in it receives."""

import json
import re
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from routers.event_schemas import UploadEvent
from service.delivery.events import OFFERED_TYPES
from service.delivery.signing import new_secret, signed_headers
from tools.generate import ROOT

PAGE = (ROOT / "docs" / "webhooks.md").read_text(encoding="utf-8")
NO_CONTENT, UNAUTHORIZED = 204, 401


def block(language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert len(found) == 1
    return str(found[0])


def test_its_message_has_the_shape_of_one() -> None:
    UploadEvent.model_validate_json(block("json"))


def test_its_table_names_every_event() -> None:
    assert set(re.findall(r"^\| `([a-z]+\.[a-z]+)` \|", PAGE, re.MULTILINE)) == set(OFFERED_TYPES)


@pytest.fixture
def received() -> list[Any]:
    return []


@pytest.fixture
def secret() -> str:
    return new_secret()


@pytest.fixture
def receiver(secret: str, received: list[Any]) -> Any:
    """The application of the page, with what it leaves to its reader."""
    seen: set[str] = set()

    def first_time(event_id: str) -> bool:
        new = event_id not in seen
        seen.add(event_id)
        return new

    names: dict[str, Any] = {
        "SECRET": secret,
        "first_time": first_time,
        "remember": received.append,
    }
    exec(compile(block("python"), "docs/webhooks.md", "exec"), names)  # noqa: S102 - our own page
    return names["app"]


async def test_its_receiver_takes_each_message_once(
    receiver: Any, secret: str, received: list[Any]
) -> None:
    body = block("json").encode()
    headers = signed_headers("evt_1", int(time.time()), body, [secret])
    assert [await _sent(receiver, body, headers) for _ in range(2)] == [NO_CONTENT, NO_CONTENT]
    assert received == [json.loads(body)]


FORGERIES: list[Callable[[bytes, dict[str, str]], tuple[bytes, dict[str, str]]]] = [
    lambda body, headers: (body.replace(b"completed", b"rejected"), headers),
    lambda body, headers: (body, {**headers, "webhook-id": "evt_2"}),
    lambda body, headers: (body, {**headers, "webhook-timestamp": "1"}),
    lambda body, _: (body, {}),
]


@pytest.mark.parametrize("forged", FORGERIES)
async def test_its_receiver_takes_nothing_that_is_forged(
    receiver: Any, secret: str, received: list[Any], forged: Any
) -> None:
    body = block("json").encode()
    headers = signed_headers("evt_1", int(time.time()), body, [secret])
    assert await _sent(receiver, *forged(body, headers)) == UNAUTHORIZED
    assert received == []


async def _sent(app: Any, body: bytes, headers: dict[str, str]) -> int:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
        return (await client.post("/hooks/uploads", content=body, headers=headers)).status_code
