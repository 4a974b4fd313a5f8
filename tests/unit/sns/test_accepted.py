import copy
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from errors import WebhookForgedError, WebhookMalformedError, WebhookUnverifiableError
from service.completion.sources import eventbridge
from tests.unit.sns.sender import (
    CERT_URL,
    CHINA_CERT_URL,
    CHINA_TOPIC,
    NOW,
    S3_RECORD,
    TOPIC,
    CountingFetcher,
    Door,
    Fields,
    body,
    confirmation,
    notification,
    signed,
)
from tests.unit.sources.test_eventbridge import CREATED

VERSIONS = pytest.mark.parametrize("version", ["1", "2"])


@VERSIONS
@pytest.mark.parametrize("extra", [{}, {"Subject": "Amazon S3 Notification"}])
async def test_a_notification_tells_of_its_objects(version: str, extra: Fields) -> None:
    door = Door()
    [event] = await door.receive(body(signed(notification(**extra), version=version)), {})
    assert (event.source, event.bucket, event.key) == ("sns", "uploads", "us-east-1:abc/f.txt")
    assert (event.size, event.etag, event.sequencer) == (5, "e1", "0055")
    assert door.fetcher.urls == [CERT_URL]


async def test_a_null_subject_counts_as_none() -> None:
    fields = signed(notification()) | {"Subject": None}
    assert len(await Door().receive(body(fields), {})) == 1


@VERSIONS
async def test_a_subscription_is_confirmed_by_the_api_with_the_token(version: str) -> None:
    door = Door()
    assert await door.receive(body(signed(confirmation(), version=version)), {}) == []
    assert door.confirmations.calls == [(TOPIC, "2336412f37f")]
    assert door.fetcher.urls == [CERT_URL]


@VERSIONS
async def test_an_unsubscription_is_told_to_the_log_only(version: str) -> None:
    door = Door()
    fields = signed(confirmation("UnsubscribeConfirmation"), version=version)
    with capture_logs() as logs:
        assert await door.receive(body(fields), {}) == []
    assert [entry["event"] for entry in logs] == ["sns_unsubscribed"]
    assert "2336412f37f" not in repr(logs)
    assert door.confirmations.calls == []


async def test_the_china_partition_has_a_dns_suffix_of_its_own() -> None:
    door = Door()
    fields = signed(notification(TopicArn=CHINA_TOPIC), url=CHINA_CERT_URL)
    assert len(await door.receive(body(fields), {})) == 1
    assert door.fetcher.urls == [CHINA_CERT_URL]


async def test_headers_as_sns_sends_them() -> None:
    door = Door()
    headers = {
        "x-amz-sns-message-type": "Notification",
        "x-amz-sns-message-id": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "x-amz-sns-topic-arn": TOPIC,
        "content-type": "text/plain; charset=UTF-8",
    }
    door.receiver.admit(headers)
    assert len(await door.receive(body(signed(notification())), headers)) == 1


async def test_an_event_of_eventbridge_that_a_rule_sent_to_the_topic() -> None:
    """One of the same event has the same key, whichever way it came."""
    door = Door()
    fields = notification(Message=json.dumps(CREATED))
    (event,) = await door.receive(body(signed(fields)), {})
    (direct,) = eventbridge.parse(CREATED, source="eventbridge")
    assert event == replace(direct, source="sns")
    without = copy.deepcopy(CREATED)
    for name in ("sequencer", "version-id"):
        without["detail"]["object"].pop(name, None)
    keys = set()
    for message_id in ("first", "second"):  # as of a topic to which two rules send it
        fields = notification(Message=json.dumps(without), MessageId=message_id)
        (event,) = await door.receive(body(signed(fields)), {})
        keys.add(event.dedupe_key)
    assert len(keys) == 1


@pytest.mark.parametrize(
    ("change", "events"),
    [
        ({"detail-type": "Object Tags Added"}, 1),
        ({"detail-type": "Object Deleted"}, 0),
        ({"source": "aws.ec2", "detail": {}}, 0),
    ],
)
async def test_other_events_of_eventbridge(change: Fields, events: int) -> None:
    fields = notification(Message=json.dumps({**CREATED, **change}))
    assert len(await Door().receive(body(signed(fields)), {})) == events


async def test_an_event_of_eventbridge_without_its_object_is_malformed() -> None:
    fields = notification(Message=json.dumps({**CREATED, "detail": {}}))
    with pytest.raises(WebhookMalformedError):
        await Door().receive(body(signed(fields)), {})


async def test_a_test_event_of_s3_tells_of_nothing() -> None:
    message = json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "uploads"})
    assert await Door().receive(body(signed(notification(Message=message))), {}) == []


async def test_a_proven_message_of_another_shape_is_malformed() -> None:
    with pytest.raises(WebhookMalformedError):
        await Door().receive(body(signed(notification(Message="hello"))), {})


async def test_a_replay_gives_the_same_dedupe_keys() -> None:
    door = Door()
    record = json.loads(json.dumps(S3_RECORD))
    del record["s3"]["object"]["sequencer"]
    plain = body(signed(notification(Message=json.dumps({"Records": [record, record]}))))
    first = [event.dedupe_key for event in await door.receive(plain, {})]
    door.now = NOW + timedelta(hours=1, minutes=50)
    assert [event.dedupe_key for event in await door.receive(plain, {})] == first
    assert len(set(first)) == 2
    assert len(door.fetcher.urls) == 1


async def test_two_messages_that_differ_by_their_id_alone_are_two() -> None:
    """As of two writes within one millisecond, at a store that numbers none."""
    record = json.loads(json.dumps(S3_RECORD))
    del record["s3"]["object"]["sequencer"]
    message = json.dumps({"Records": [record]})
    keys = set()
    for name in ("first", "second", "second"):
        plain = body(signed(notification(Message=message, MessageId=name)))
        (event,) = await Door().receive(plain, {})
        keys.add(event.dedupe_key)
    assert len(keys) == 2


async def test_sns_may_retry_for_an_hour_and_clocks_may_differ() -> None:
    plain = body(signed(notification()))
    for later in (timedelta(seconds=3700), timedelta(minutes=-4)):
        assert len(await Door(now=NOW + later).receive(plain, {})) == 1


async def test_what_may_pass_is_sent_again() -> None:
    door = Door()
    door.confirmations.failure = WebhookUnverifiableError()
    with pytest.raises(WebhookUnverifiableError):
        await door.receive(body(signed(confirmation())), {})
    failing = Door(fetcher=CountingFetcher(failures=[WebhookUnverifiableError()]))
    plain = body(signed(notification()))
    with pytest.raises(WebhookUnverifiableError):
        await failing.receive(plain, {})
    assert len(await failing.receive(plain, {})) == 1


async def test_sha256_only_refuses_version_1() -> None:
    door = Door(sha256_only=True)
    with pytest.raises(WebhookForgedError):
        await door.receive(body(signed(notification())), {})
    assert door.fetcher.urls == []
    assert len(await door.receive(body(signed(notification(), version="2")), {})) == 1
