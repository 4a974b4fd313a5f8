"""In front of the gates: who is heard, and what is held meanwhile."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from errors import WebhookForgedError, WebhookUnverifiableError
from routers.early_bodies import EarlyBodies
from routers.webhook_front import WebhookFront
from routers.webhooks import WebhookDoor
from tests.fakes.asgi import HANG, LEAVE, Call, body, ok
from tests.fakes.eventually import eventually

PATH = "/v1/webhooks/sns"
KNOWN = {"x-topic": "ours"}


class ByHead:
    """A receiver that admits by a header."""

    def __init__(self) -> None:
        self.admitted = 0

    def admit(self, headers: Mapping[str, str]) -> None:
        if headers.get("x-topic") != "ours":
            raise WebhookForgedError
        self.admitted += 1

    async def receive(self, body: bytes, headers: Mapping[str, str]) -> Any:
        return [body] if headers["x-topic"] == "ours" else []

    async def accept(self, events: Any) -> int:
        return len(events[0])


class Behind:
    """The door itself, where the gate lets a request through."""

    def __init__(self, door: WebhookDoor) -> None:
        self.door = door
        self.inside = 0
        self.go = asyncio.Event()
        self.go.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.inside += 1
        await self.go.wait()
        answer = await self.door.answer(scope, receive)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": answer.body})


class Front:
    def __init__(self, early: EarlyBodies | None) -> None:
        self.receiver = ByHead()
        door = WebhookDoor(PATH, lambda services: services.sns, early)
        self.behind = Behind(door)
        self.app = WebhookFront(self.behind, webhooks=[door])

    async def asked(self, *messages: Any, headers: dict[str, str] | None = None) -> Call:
        call = Call(PATH, messages, headers)
        services = SimpleNamespace(sns=self.receiver, completion=self.receiver)
        call.scope["state"] = {"services": services}
        return await call.to(self.app)


EITHER = pytest.mark.parametrize("early", [True, False])


def front(*, early: bool = True, **more: Any) -> Front:
    return Front(EarlyBodies(**more) if early else None)


@EITHER
async def test_who_is_refused_by_the_head_takes_no_place_and_is_not_read(early: bool) -> None:
    asked = front(early=early)
    with capture_logs() as lines:
        call = await asked.asked(HANG)
    assert (call.status, asked.behind.inside) == (403, 0)
    assert call.headers["content-type"] == "application/problem+json"
    assert [(line["event"], line["code"]) for line in lines] == [
        ("webhook.refused", "webhook_forged")
    ]
    assert call.scope["route"].path == PATH


@EITHER
async def test_the_head_is_judged_once_and_the_body_arrives_whole(early: bool) -> None:
    asked = front(early=early)
    call = await asked.asked(body(b"on", more=True), body(b"e"), headers=KNOWN)
    assert call.sent[1]["body"] == b'{"accepted":3}'
    assert asked.receiver.admitted == 1


async def test_a_body_that_dawdles_takes_no_place_and_is_given_up() -> None:
    asked = front(seconds=0.01)
    with capture_logs() as lines:
        call = await asked.asked(body(b"{", more=True), HANG, headers=KNOWN)
    assert (call.status, asked.behind.inside) == (503, 0)
    assert (b"webhook_unverifiable" in call.sent[1]["body"], call.headers["retry-after"]) == (
        True,
        "1",
    )
    assert {line["event"] for line in lines} == {"webhook.refused"}


async def test_of_too_many_that_dawdle_the_oldest_may_come_again() -> None:
    asked = front(waited_for=1, seconds=600)
    slow = [
        asyncio.create_task(asked.asked(body(b"{", more=True), HANG, headers=KNOWN))
        for _ in range(2)
    ]
    assert (await slow[0]).status == 503
    assert (await asked.asked(body(b"{}"), headers=KNOWN)).status == 200
    assert not slow[1].done()
    slow[1].cancel()
    await asyncio.wait([slow[1]])


async def test_bodies_that_wait_for_a_place_hold_so_many_bytes_at_most() -> None:
    asked = front(held=10)
    asked.behind.go.clear()
    first = asyncio.create_task(asked.asked(body(b"x" * 8), headers=KNOWN))
    await eventually(lambda: asked.behind.inside == 1)
    refused = await asked.asked(body(b"x" * 3), headers=KNOWN)
    assert (refused.status, refused.headers["retry-after"]) == (503, "2")
    asked.behind.go.set()
    assert (await first).status == 200
    assert (await asked.asked(body(b"x" * 10), headers=KNOWN)).status == 200


async def test_a_source_that_leaves_while_it_sends_is_answered_nothing() -> None:
    asked = front()
    call = await asked.asked(body(b"{", more=True), LEAVE, headers=KNOWN)
    assert (call.sent, asked.behind.inside) == ([], 0)


async def test_other_methods_and_paths_go_by() -> None:
    through = WebhookFront(ok, webhooks=[WebhookDoor(PATH, lambda services: services.sns)])
    for call in (Call(PATH, method="GET"), Call("/v1/webhooks"), Call(f"{PATH}/")):
        assert (await call.to(through)).status == 200


async def test_what_cannot_be_verified_now_is_told_by_the_door() -> None:
    class Unverifiable(ByHead):
        async def receive(self, body: bytes, headers: Mapping[str, str]) -> Any:
            raise WebhookUnverifiableError("too old")

    asked = front()
    asked.receiver = Unverifiable()
    with capture_logs() as lines:
        for _ in range(3):
            with pytest.raises(WebhookUnverifiableError):
                await asked.asked(body(b"{}"), headers=KNOWN)
    assert {(line["event"], line["code"]) for line in lines} == {
        ("webhook.refused", "webhook_unverifiable")
    }
