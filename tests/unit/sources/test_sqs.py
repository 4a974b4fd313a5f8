"""The shapes in which S3's events lie in a queue."""

import json
from typing import Any

import pytest

from errors import WebhookMalformedError
from service.completion.events import ObjectEvent
from service.completion.sources import sqs
from tests.fakes.queue import s3_body, sns_body
from tests.unit.sources.test_eventbridge import CREATED

BRIDGED = json.dumps(CREATED)


def parsed(body: str, message_id: str = "m-1") -> list[ObjectEvent]:
    return sqs.parse(body, message_id=message_id)


@pytest.mark.parametrize("body", [s3_body("u/a"), sns_body(s3_body("u/a"))])
def test_s3s_notification_itself_and_within_snss(body: str) -> None:
    [event] = parsed(body)
    assert (event.source, event.bucket, event.key) == ("sqs", "uploads", "u/a")


@pytest.mark.parametrize("body", [BRIDGED, sns_body(BRIDGED)])
def test_eventbridges_event_itself_and_within_snss(body: str) -> None:
    [event] = parsed(body)
    assert (event.source, event.key) == ("sqs", "us-east-1:abc/a.txt")


def bare(key: str) -> str:
    body: dict[str, Any] = json.loads(s3_body(key))
    del body["Records"][0]["s3"]["object"]["sequencer"]
    return json.dumps(body)


def test_what_numbers_no_event_is_told_apart_by_who_sent_it_first() -> None:
    direct = [parsed(bare("u/a"), name)[0].dedupe_key for name in ("m-1", "m-1", "m-2")]
    assert direct[0] == direct[1] != direct[2]
    [by_sns] = parsed(sns_body(bare("u/a"), "s-1"), "m-1")
    [again] = parsed(sns_body(bare("u/a"), "s-1"), "m-2")
    [other] = parsed(sns_body(bare("u/a"), "s-2"), "m-1")
    assert by_sns.dedupe_key == again.dedupe_key != other.dedupe_key


def test_a_test_event_tells_of_nothing() -> None:
    event = json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent"})
    assert parsed(event) == parsed(sns_body(event)) == []


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{}",
        "[]",
        "text",
        json.dumps({"Type": "Notification"}),
        json.dumps({"Type": "Notification", "Message": {"Records": []}}),
        json.dumps({"Type": "SubscriptionConfirmation", "Message": "You have", "Token": "t"}),
        sns_body("no json"),
        sns_body(sns_body(s3_body("u/a"))),
        json.dumps({"detail-type": "Object Created", "detail": {}}),
    ],
)
def test_anything_else_is_poison(body: str) -> None:
    with pytest.raises(WebhookMalformedError):
        parsed(body)
