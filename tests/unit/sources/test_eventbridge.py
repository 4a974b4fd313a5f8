import copy
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from errors import WebhookMalformedError
from service.completion.events import ObjectEvent
from service.completion.sources import eventbridge, s3

# As in the Amazon S3 user guide, "EventBridge event message structure".
CREATED: dict[str, Any] = {
    "version": "0",
    "id": "17793124-05d4-b198-2fde-7ededc63b103",
    "detail-type": "Object Created",
    "source": "aws.s3",
    "account": "111122223333",
    "time": "2026-01-01T00:00:00Z",
    "region": "ca-central-1",
    "resources": ["arn:aws:s3:::uploads"],
    "detail": {
        "version": "0",
        "bucket": {"name": "uploads"},
        "object": {
            "key": "us-east-1:abc/a.txt",
            "size": 5,
            "etag": "b1946ac92492d2347c6235b4d2611184",
            "version-id": "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
            "sequencer": "617f08299329d189",
        },
        "request-id": "N4N7GDK58NMKJ12R",
        "requester": "123456789012",
        "source-ip-address": "203.0.113.7",
        "reason": "PutObject",
    },
}


def changed(path: str = "", value: object = None) -> dict[str, Any]:
    """A path's steps are divided by slashes; None leaves the last one out."""
    made = copy.deepcopy(CREATED)
    *parents, last = path.split("/")
    target = made
    for name in parents:
        target = target[name]
    if path and value is None:
        del target[last]
    elif path:
        target[last] = value
    return made


def parsed(event: object) -> list[ObjectEvent]:
    return eventbridge.parse(json.dumps(event), source="eventbridge")


def one(path: str = "", value: object = None) -> ObjectEvent:
    [event] = parsed(changed(path, value))
    return event


def test_all_that_an_event_says() -> None:
    event = one()
    assert (event.source, event.bucket, event.key) == (
        "eventbridge",
        "uploads",
        "us-east-1:abc/a.txt",
    )
    assert (event.size, event.etag) == (5, "b1946ac92492d2347c6235b4d2611184")
    assert event.version_id == "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e"
    assert event.sequencer == "617f08299329d189"
    assert event.event_time == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "reason", ["PutObject", "POST Object", "CopyObject", "CompleteMultipartUpload", "New"]
)
def test_every_way_of_creation_counts(reason: str) -> None:
    assert one("detail/reason", reason).key


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("detail-type", "Object Deleted"),
        ("detail-type", "Object Tags Deleted"),
        ("detail-type", "Object Restore Completed"),
        ("detail-type", "object created"),
        ("source", "aws.ec2"),
        ("source", "aws.s3x"),
    ],
)
def test_all_else_is_passed_over(path: str, value: str) -> None:
    assert parsed(changed(path, value)) == []


def s3_keys(**written: object) -> list[str]:
    """Of the notification that S3 sends of the same event."""
    record = {
        "eventVersion": "2.1",
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "uploads"}, "object": written},
    }
    events = s3.parse({"Records": [record]}, fallback_id="another", source="sqs")
    return [event.dedupe_key for event in events]


def test_one_event_has_one_dedupe_key_whatever_carries_it() -> None:
    said = CREATED["detail"]["object"]
    key = quote_plus(said["key"], safe="/")
    assert [one().dedupe_key] == s3_keys(key=key, versionId=said["version-id"])
    unversioned = one("detail/object/version-id")
    assert [unversioned.dedupe_key] == s3_keys(key=key, sequencer=said["sequencer"])


def test_without_version_and_sequencer_the_events_own_id_counts() -> None:
    bare = changed("detail/object", {"key": "a"})
    again = [{**bare, "id": "another"}, bare]
    first, other, same = [parsed(event)[0].dedupe_key for event in (bare, *again)]
    assert first == same != other


def test_tags_are_news_of_a_version_that_is_known_and_any_number_of_times() -> None:
    tagged = changed("detail/object/sequencer")
    tagged["detail-type"] = "Object Tags Added"
    once, again, twice = [parsed({**tagged, "id": name})[0] for name in ("a", "a", "b")]
    assert once.dedupe_key == again.dedupe_key
    assert len({once.dedupe_key, twice.dedupe_key, one().dedupe_key}) == 3


def test_an_empty_version_id_is_none() -> None:
    """As an event of a bucket without versions may have it."""
    assert one("detail/object/version-id", "").version_id is None
    assert one("detail/object/version-id", "null").version_id is None


storable = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=255
)
KEYS = ["a+b c%20d%2Be.txt", "100%", "%2B+%25 ", "🦆/naïve-файл.png", "a\nb\tc", "%FF+", "%00"]


def keys_told(said: str) -> list[str]:
    return [event.key for event in parsed(changed("detail/object/key", said))]


@settings(deadline=None)
@given(storable)
@example(KEYS[0])
@example(KEYS[1])
@example(KEYS[2])
@example(KEYS[3])
@example(KEYS[4])
@example(KEYS[5])
@example(KEYS[6])
def test_every_key_is_found_whether_or_not_it_was_encoded(key: str) -> None:
    """AWS does not say which it is."""
    for said in (key, quote_plus(key, safe="/"), quote_plus(key), quote(key).replace("+", "%2B")):
        told = keys_told(said) if len(said.encode()) <= 1024 else [key]
        assert key in told
        assert len(told) == len(set(told)) <= 2


@given(st.text("abcdefXYZ0189:_-/.", min_size=1, max_size=100))
def test_a_key_of_the_services_own_alphabet_has_one_reading(key: str) -> None:
    assert keys_told(key) == [key]


def test_the_two_readings_of_a_key_are_two_events_of_one_carrier() -> None:
    literal, decoded = parsed(changed("detail/object/key", "us-east-1:abc/a+b%2Bc"))
    assert (literal.key, decoded.key) == ("us-east-1:abc/a+b%2Bc", "us-east-1:abc/a b+c")
    assert literal.dedupe_key != decoded.dedupe_key


@pytest.mark.parametrize("said", ["a%FFb", "a%00b", "%ED%A0%80"])
def test_a_key_that_cannot_have_been_encoded_has_one_reading(said: str) -> None:
    assert keys_told(said) == [said]


MALFORMED = {
    "no detail": changed("detail"),
    "no detail type": changed("detail-type"),
    "no source": changed("source"),
    "no id": changed("id"),
    "a source that is a number": changed("source", 1),
    "a detail that is text": changed("detail", "x"),
    "no bucket": changed("detail/bucket"),
    "no object": changed("detail/object"),
    "no key": changed("detail/object/key"),
    "an empty key": changed("detail/object/key", ""),
    "a key that is a number": changed("detail/object/key", 1),
    "a key with a surrogate": changed("detail/object/key", "a\ud800b"),
    "a key with a zero byte": changed("detail/object/key", "a\0b"),
    "a key of 1,025 bytes": changed("detail/object/key", "x" * 1025),
    "a size below zero": changed("detail/object/size", -1),
    "a size that is text": changed("detail/object/size", "1"),
    "a sequencer that is a number": changed("detail/object/sequencer", 1),
    "an ETag that is an object": changed("detail/object/etag", {}),
    "a notification of S3's": {"Records": []},
    "an array": [CREATED],
}


@pytest.mark.parametrize("event", MALFORMED.values(), ids=MALFORMED)
def test_what_is_malformed_is_refused_whole(event: object) -> None:
    with pytest.raises(WebhookMalformedError):
        parsed(event)


@pytest.mark.parametrize("plain", [b"", b"null", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_event(plain: bytes) -> None:
    with pytest.raises(WebhookMalformedError):
        eventbridge.parse(plain, source="eventbridge")


def test_raw_is_the_event_without_who_and_from_where() -> None:
    raw = json.loads(one().raw)
    assert raw["detail"]["object"] == CREATED["detail"]["object"]
    assert raw["id"] == CREATED["id"]
    assert "203.0.113.7" not in one().raw
    assert "123456789012" not in one().raw


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
PLACES = [
    *("id", "source", "detail-type", "time", "detail", "detail/bucket", "detail/bucket/name"),
    *("detail/object", *(f"detail/object/{name}" for name in eventbridge.KEPT_OF_OBJECT)),
]


@settings(deadline=None)
@given(path=st.sampled_from(PLACES), value=json_values)
def test_no_value_anywhere_does_worse_than_malformed(path: str, value: object) -> None:
    try:
        events = parsed(changed(path, value))
    except WebhookMalformedError:
        return
    assert all(event.key.encode() and event.dedupe_key for event in events)
