"""EventBridge's door: who holds no key changes nothing and learns nothing."""

import json

import pytest

from errors import WebhookForgedError, WebhookMalformedError
from service.completion.sources.eventbridge_door import EventBridgeReceiver
from tests.unit.sources.test_eventbridge import CREATED

OLD, NEW = "the-old-key-of-the-connection", "the-new-key-of-the-connection"
BODY = json.dumps(CREATED).encode()


def receiver(header: str = "X-Api-Key") -> EventBridgeReceiver:
    return EventBridgeReceiver(keys=[OLD, NEW], header=header)


@pytest.mark.parametrize("key", [OLD, NEW, f" {NEW} "])
async def test_two_keys_are_good_while_one_is_being_replaced(key: str) -> None:
    (event,) = await receiver().receive(BODY, {"x-api-key": key})
    assert (event.source, event.key, event.size) == ("eventbridge", "us-east-1:abc/a.txt", 5)


async def test_the_header_is_the_one_that_was_configured() -> None:
    door = receiver("Authorization")
    assert await door.receive(BODY, {"authorization": NEW})
    with pytest.raises(WebhookForgedError):
        door.admit({"x-api-key": NEW})


@pytest.mark.parametrize(
    "key",
    [None, "", " ", f"{OLD}x", OLD[:-1], OLD.upper(), f"{OLD} {NEW}", "schlüssel", "\udcff", "\0"],
)
@pytest.mark.parametrize("body", [BODY, b"{", b""])
async def test_without_a_good_key_the_body_is_not_even_read(key: str | None, body: bytes) -> None:
    headers = {} if key is None else {"x-api-key": key}
    with pytest.raises(WebhookForgedError):
        receiver().admit(headers)
    with pytest.raises(WebhookForgedError) as caught:
        await receiver().receive(body, headers)
    assert OLD not in str(caught.value)


async def test_no_key_is_good_where_none_is_set() -> None:
    with pytest.raises(WebhookForgedError):
        EventBridgeReceiver(keys=[], header="X-Api-Key").admit({"x-api-key": ""})


async def test_a_message_of_another_shape_is_refused() -> None:
    with pytest.raises(WebhookMalformedError):
        await receiver().receive(b"[]", {"x-api-key": NEW})
