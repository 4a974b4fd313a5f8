"""The short way to the webhooks: it reads, believes and counts as the long way does."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import Request
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from structlog.testing import capture_logs

from errors import (
    OverloadedError,
    RequestTimeoutError,
    WebhookDisabledError,
    WebhookForgedError,
    WebhookUnverifiableError,
)
from routers.doors import JSON, Answer
from routers.refusals import Refusals
from routers.webhooks import WebhookDoor, doors, router
from service.completion.events import ObjectEvent
from tests.fakes.asgi import LEAVE, Call, body
from tests.fakes.inbox import event

PATH = "/v1/webhooks/sns"


class Told:
    """A receiver of one event, and the room that takes it."""

    def __init__(self) -> None:
        self.admitted: list[Mapping[str, str]] = []
        self.bodies: list[bytes] = []
        self.accepted: list[ObjectEvent] = []

    def admit(self, headers: Mapping[str, str]) -> None:
        self.admitted.append(headers)

    async def receive(self, body: bytes, headers: Mapping[str, str]) -> list[ObjectEvent]:
        self.bodies.append(body)
        return [event("a")]

    async def accept(self, events: Sequence[ObjectEvent]) -> int:
        self.accepted += events
        return 7


@pytest.fixture
def told() -> Told:
    return Told()


def asked(told: Told | None, *messages: Any, **more: Any) -> Call:
    call = Call(PATH, messages, **more)
    call.scope["state"] = {"services": SimpleNamespace(sns=told, completion=told)}
    return call


async def answered(call: Call) -> Answer:
    door = WebhookDoor(PATH, lambda services: services.sns)
    return await door.answer(call.scope, call.receive)


async def test_a_message_is_read_whole_and_what_was_new_is_told(told: Told) -> None:
    call = asked(told, body(b"on", more=True), body(b"e"), headers={"X-Amz-Sns-Topic-Arn": "arn"})
    assert await answered(call) == Answer(b'{"accepted":7}', (JSON,), 200)
    assert (told.bodies, told.accepted) == ([b"one"], [event("a")])
    assert told.admitted == [{"x-amz-sns-topic-arn": "arn"}]


async def test_a_source_that_leaves_has_said_nothing(told: Told) -> None:
    with pytest.raises(ClientDisconnect):
        await answered(asked(told, body(b"on", more=True), LEAVE))
    assert (told.bodies, told.accepted) == ([], [])


async def test_a_source_that_is_not_configured_is_refused_unread() -> None:
    with pytest.raises(WebhookDisabledError):
        await answered(asked(None, LEAVE))


async def test_a_body_that_comes_too_slowly_may_be_sent_again(told: Told) -> None:
    async def slow() -> Any:
        raise RequestTimeoutError

    call = asked(told)
    call.receive = slow  # type: ignore[method-assign]
    with pytest.raises(WebhookUnverifiableError):
        await answered(call)


@pytest.mark.parametrize("way", ["short", "long"])
@pytest.mark.parametrize("source", ["sns", "eventbridge", "seaweedfs"])
async def test_either_way_leads_to_the_sources_own_receiver(source: str, way: str) -> None:
    receivers = {name: Told() for name in ("sns", "eventbridge", "seaweedfs")}
    services: Any = SimpleNamespace(**receivers, completion=Told())
    path = f"/v1/webhooks/{source}"
    call = Call(path, (body(b"{}"),))
    call.scope["state"] = {"services": services}
    if way == "short":
        (door,) = [door for door in doors() if door.path == path]
        await door.answer(call.scope, call.receive)
    else:
        (route,) = [route for route in router.routes if getattr(route, "path", "") == path]
        assert isinstance(route, APIRoute)
        await route.endpoint(Request(call.scope, call.receive), services)
    assert [name for name, told in receivers.items() if told.bodies] == [source]


def test_there_is_a_door_for_every_route_of_the_document() -> None:
    declared = {getattr(route, "path", "") for route in router.routes}
    assert {made.path for made in doors()} == declared
    assert {made.method for made in doors()} == {"POST"}


def test_a_flood_of_refusals_is_a_line_a_second() -> None:
    now = 5.0
    refusals = Refusals("sns", lambda: now)
    with capture_logs() as lines:
        for moment in (5.0, 5.0, 5.5, 5.99, 6.0, 6.5, 60.0):
            now = moment
            refusals.tell(WebhookForgedError("too old"))
    assert [line["untold"] for line in lines] == [0, 3, 1]
    assert {(line["source"], line["detail"]) for line in lines} == {("sns", "too old")}


async def test_what_is_refused_for_now_is_no_refusal_of_the_message(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is right, and comes again: there are other lines for a service that is full."""

    async def full(_events: Sequence[ObjectEvent]) -> int:
        raise OverloadedError

    monkeypatch.setattr(told, "accept", full)
    with capture_logs() as lines, pytest.raises(OverloadedError):
        await answered(asked(told, body(b"one")))
    assert lines == []


def test_a_flood_of_one_kind_does_not_drown_another() -> None:
    refusals = Refusals("sns", lambda: 5.0)
    with capture_logs() as lines:
        for error in (WebhookForgedError(), WebhookForgedError(), WebhookUnverifiableError()):
            refusals.tell(error)
    assert [line["code"] for line in lines] == ["webhook_forged", "webhook_unverifiable"]
