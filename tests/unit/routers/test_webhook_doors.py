"""The short way to the webhooks: it reads, believes and counts as the long way does."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import ClientDisconnect

from errors import RequestTimeoutError, WebhookDisabledError, WebhookUnverifiableError
from routers.doors import JSON, Answer
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


def test_there_is_a_door_for_every_route_of_the_document() -> None:
    declared = {getattr(route, "path", "") for route in router.routes}
    assert {made.path for made in doors()} == declared
    assert {made.method for made in doors()} == {"POST"}
