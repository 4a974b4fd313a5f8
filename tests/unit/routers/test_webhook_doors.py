"""The short way to the webhooks: it takes what is its own, and answers as the long way does."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from errors import RequestTimeoutError, WebhookDisabledError, WebhookUnverifiableError
from routers.webhooks import Door, doors, router
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
    services = SimpleNamespace(sns=told, completion=told)
    call.scope["state"] = {"services": services}
    return call


def door() -> Door:
    return Door(PATH, lambda services: services.sns)


async def test_a_message_is_read_whole_and_what_was_new_is_told(told: Told) -> None:
    call = asked(told, body(b"on", more=True), body(b"e"), headers={"X-Amz-Sns-Topic-Arn": "arn"})
    await call.to(door().handle)
    assert (told.bodies, told.accepted) == ([b"one"], [event("a")])
    assert told.admitted == [{"x-amz-sns-topic-arn": "arn"}]
    assert (call.status, call.sent[1]["body"]) == (200, b'{"accepted":7}')
    assert call.headers == {"content-length": "14", "content-type": "application/json"}


async def test_a_source_that_leaves_has_said_nothing(told: Told) -> None:
    with pytest.raises(ClientDisconnect):
        await asked(told, body(b"on", more=True), LEAVE).to(door().handle)
    assert (told.bodies, told.accepted) == ([], [])


async def test_a_source_that_is_not_configured_is_refused_unread() -> None:
    with pytest.raises(WebhookDisabledError):
        await asked(None, LEAVE).to(door().handle)


async def test_a_body_that_comes_too_slowly_may_be_sent_again(told: Told) -> None:
    async def slow() -> Any:
        raise RequestTimeoutError

    call = asked(told)
    with pytest.raises(WebhookUnverifiableError):
        await door().handle(call.scope, slow, call.send)


@pytest.mark.parametrize(
    ("path", "method"),
    [(PATH + "/", "POST"), ("/v1/webhooks", "POST"), (PATH, "GET"), (PATH, "HEAD"), (PATH, "PUT")],
)
def test_what_is_not_its_own_goes_the_long_way(path: str, method: str) -> None:
    assert door().matches(Call(path, method=method).scope) == (Match.NONE, {})


def test_it_is_the_route_that_the_log_names() -> None:
    found, scope = door().matches(Call(PATH).scope)
    assert (found, scope["route"].path) == (Match.FULL, PATH)


def test_there_is_a_door_for_every_route_of_the_document() -> None:
    declared = {getattr(route, "path", "") for route in router.routes}
    assert {made.path for made in doors()} == declared
