import copy
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from errors import WebhookMalformedError
from service.completion.events import ObjectEvent, Source
from service.completion.sources import s3

# As in the Amazon S3 user guide, "Event message structure".
RECORD: dict[str, Any] = {
    "eventVersion": "2.1",
    "eventSource": "aws:s3",
    "awsRegion": "us-west-2",
    "eventTime": "2026-01-01T00:00:00.000Z",
    "eventName": "ObjectCreated:Put",
    "userIdentity": {"principalId": "AIDAJDPLRKLG7UEXAMPLE"},
    "requestParameters": {"sourceIPAddress": "203.0.113.7"},
    "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810"},
    "s3": {
        "s3SchemaVersion": "1.0",
        "configurationId": "testConfigRule",
        "bucket": {"name": "uploads", "arn": "arn:aws:s3:::uploads"},
        "object": {
            "key": "us-east-1%3Aabc/happy+face.jpg",
            "size": 1024,
            "eTag": "d41d8cd98f00b204e9800998ecf8427e",
            "versionId": "096fKKXTRTtl3on89fVO.nfljtsv6qko",
            "sequencer": "0055AED6DCD90281E5",
        },
    },
}


def record(path: str = "", value: object = None) -> dict[str, Any]:
    made = copy.deepcopy(RECORD)
    *parents, last = path.split(".")
    target = made
    for name in parents:
        target = target[name]
    if path:
        target[last] = value
    return made


def parsed(*records: object, fallback_id: str = "id", source: Source = "sns") -> list[ObjectEvent]:
    return s3.parse({"Records": list(records)}, fallback_id=fallback_id, source=source)


def one(path: str = "", value: object = None) -> ObjectEvent:
    [event] = parsed(record(path, value))
    return event


def test_all_that_an_event_says() -> None:
    event = one()
    assert (event.source, event.bucket, event.key) == (
        "sns",
        "uploads",
        "us-east-1:abc/happy face.jpg",
    )
    assert (event.size, event.etag) == (1024, "d41d8cd98f00b204e9800998ecf8427e")
    assert event.version_id == "096fKKXTRTtl3on89fVO.nfljtsv6qko"
    assert event.sequencer == "0055AED6DCD90281E5"
    assert event.event_time == datetime(2026, 1, 1, tzinfo=UTC)


def test_a_message_as_each_carrier_holds_it() -> None:
    event = {"Records": [RECORD]}
    text = json.dumps(event)
    for message in (text.encode(), text, event):
        assert len(s3.parse(message, fallback_id="id", source="sqs")) == 1


@pytest.mark.parametrize("name", ["Put", "Post", "Copy", "CompleteMultipartUpload", "SomethingNew"])
@pytest.mark.parametrize("prefix", ["", "s3:"])
def test_every_way_of_creation_counts(prefix: str, name: str) -> None:
    assert one("eventName", f"{prefix}ObjectCreated:{name}").key


@pytest.mark.parametrize(
    "name",
    [
        "ObjectRemoved:Delete",
        "s3:ObjectRemoved:DeleteMarkerCreated",
        "ObjectTagging:Delete",
        "ObjectRestore:Completed",
        "ReducedRedundancyLostObject",
        "ObjectCreatedX",
        "s3:s3:ObjectCreated:Put",
    ],
)
def test_all_else_is_passed_over(name: str) -> None:
    events = parsed(record("eventName", name), RECORD)
    assert [event.key for event in events] == ["us-east-1:abc/happy face.jpg"]


def test_a_test_event_tells_of_nothing() -> None:
    message = b'{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"uploads"}'
    assert s3.parse(message, fallback_id="id", source="sns") == []


@pytest.mark.parametrize("version", ["2.0", "2.4", "2", "2.1.7"])
def test_every_minor_version_is_taken(version: str) -> None:
    assert one("eventVersion", version).key


MALFORMED = {
    "another major version": record("eventVersion", "3.0"),
    "a longer major version": record("eventVersion", "20.1"),
    "a version that is a number": record("eventVersion", 2.1),
    "no version": record("eventVersion", None),
    "no event name": record("eventName", None),
    "no s3 part": record("s3", None),
    "no bucket": record("s3.bucket", {}),
    "no key": record("s3.object", {}),
    "an empty key": record("s3.object.key", ""),
    "a key that is a number": record("s3.object.key", 1),
    "a key that is no UTF-8": record("s3.object.key", "a%FFb"),
    "a key with an encoded surrogate": record("s3.object.key", "a%ED%A0%80b"),
    "a key with a surrogate": record("s3.object.key", "a\ud800b"),
    "a key with a zero byte": record("s3.object.key", "a%00b"),
    "a key of 1,025 bytes": record("s3.object.key", "x" * 1025),
    "a size below zero": record("s3.object.size", -1),
    "a size that is text": record("s3.object.size", "1"),
    "a size with a fraction": record("s3.object.size", 1.5),
    "an ETag that is a number": record("s3.object.eTag", 1),
    "a sequencer that is an array": record("s3.object.sequencer", ["00"]),
    "a version id without end": record("s3.object.versionId", "x" * 1025),
    "a record that is none": 1,
}


@pytest.mark.parametrize("wrong", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_s3_does_not_send(wrong: object) -> None:
    with pytest.raises(WebhookMalformedError):
        parsed(wrong)


@pytest.mark.parametrize(
    "message",
    ["", "null", "[]", "{}", "hello", '{"Records": 1}', '{"Records": {}}', '{"Event": "x"}'],
)
def test_what_is_no_event(message: str) -> None:
    with pytest.raises(WebhookMalformedError):
        s3.parse(message, fallback_id="id", source="sns")


def test_the_records_are_bounded() -> None:
    assert len(parsed(*[RECORD] * 500)) == 500
    with pytest.raises(WebhookMalformedError):
        parsed(*[RECORD] * 501)


def unversioned(sequencer: str | None = "0055", version_id: str | None = None) -> dict[str, Any]:
    made = record("s3.object.sequencer", sequencer)
    made["s3"]["object"]["versionId"] = version_id
    return made


def keys(*records: object, fallback_id: str = "id", source: Source = "sns") -> list[str]:
    events = parsed(*records, fallback_id=fallback_id, source=source)
    return [event.dedupe_key for event in events]


def test_one_event_has_one_dedupe_key_whoever_carries_it() -> None:
    assert keys(RECORD, fallback_id="a", source="sns") == keys(
        RECORD, fallback_id="b", source="sqs"
    )
    assert keys(unversioned(), fallback_id="a") == keys(unversioned(), fallback_id="b")


def test_other_events_have_other_dedupe_keys() -> None:
    distinct = [
        RECORD,
        unversioned(),
        unversioned("0056"),
        record("s3.object.key", "other"),
        record("s3.bucket.name", "other"),
        record("s3.object.versionId", "0055"),
    ]
    assert len(set(keys(*distinct))) == len(distinct)


def test_without_version_and_sequencer_the_carriers_id_and_the_place_count() -> None:
    twice = [unversioned(None), unversioned(None)]
    first = keys(*twice, fallback_id="a")
    assert len(set(first)) == 2
    assert keys(*twice, fallback_id="a") == first
    assert not set(keys(*twice, fallback_id="b")) & set(first)


@pytest.mark.parametrize("name", ["ObjectTagging:Put", "s3:ObjectCreated:PutTagging"])
def test_tags_are_news_of_a_version_that_is_known_and_any_number_of_times(name: str) -> None:
    tagged = record("eventName", name)
    del tagged["s3"]["object"]["sequencer"]
    assert one("eventName", name).key == "us-east-1:abc/happy face.jpg"
    first, second = keys(tagged, fallback_id="a"), keys(tagged, fallback_id="b")
    assert len({*first, *second, *keys(RECORD)}) == 3
    assert keys(tagged, fallback_id="a") == first


def test_a_store_that_numbers_tagging_says_which_it_was() -> None:
    tagged = record("eventName", "s3:ObjectCreated:PutTagging")
    assert keys(tagged, fallback_id="a") == keys(tagged, fallback_id="b") != keys(RECORD)
    bare = {**unversioned(), "eventName": "s3:ObjectCreated:PutTagging"}
    assert keys(bare) != keys(unversioned()), "though the number is the same"


def test_the_null_version_tells_no_two_writes_apart() -> None:
    [first] = parsed(unversioned("0055", "null"))
    [second] = parsed(unversioned("0056", "null"))
    assert first.version_id is None
    assert first.dedupe_key != second.dedupe_key


def test_quotes_around_an_etag_go() -> None:
    assert one("s3.object.eTag", '"abc-2"').etag == "abc-2"
    assert one("s3.object.eTag", "").etag is None


@pytest.mark.parametrize(
    "value", ["yesterday", "2026-01-01T00:00:00", 5, None, "2026-99-99T00:00:00Z"]
)
def test_a_time_that_makes_no_sense_is_left_out(value: object) -> None:
    assert one("eventTime", value).event_time is None


def test_raw_is_the_record_without_who_and_from_where() -> None:
    raw = json.loads(one().raw)
    assert raw["s3"]["object"] == RECORD["s3"]["object"]
    assert raw["eventName"] == "ObjectCreated:Put"
    assert not {"userIdentity", "requestParameters"} & set(raw)


storable = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=255
)


@settings(deadline=None)
@given(storable)
@example("us-east-1:abc/f.txt")
@example("a+b c%20d%2Be.txt")
@example("100%")
@example("%2B+%25 ")
@example("🦆/naïve-файл.png")
@example("a\nb\tc")
def test_every_key_survives_s3s_encoding(key: str) -> None:
    assert one("s3.object.key", quote_plus(key, safe="/")).key == key
    assert one("s3.object.key", quote_plus(key, safe="/*-._~!'()")).key == key


sequencers = st.text("0123456789ABCDEF", min_size=1, max_size=24)


@settings(deadline=None)
@given(sequencers, sequencers)
@example("0055", "00550")
@example("0055", "005500001")
@example("00FF", "0100")
def test_the_order_of_sequencers_is_s3s_rule(a: str, b: str) -> None:
    width = max(len(a), len(b))
    padded_a, padded_b = a.ljust(width, "0"), b.ljust(width, "0")
    expected = (padded_a > padded_b) - (padded_a < padded_b)
    assert s3.sequencer_order(a, b) == expected
    key_a, key_b = s3.sequencer_sort_key(a), s3.sequencer_sort_key(b)
    assert (key_a > key_b) - (key_a < key_b) == expected


@settings(deadline=None)
@given(sequencers, sequencers, sequencers)
def test_the_order_of_sequencers_is_an_order(a: str, b: str, c: str) -> None:
    assert s3.sequencer_order(a, a.lower()) == 0
    assert s3.sequencer_order(a, b) == -s3.sequencer_order(b, a)
    if s3.sequencer_order(a, b) <= 0 and s3.sequencer_order(b, c) <= 0:
        assert s3.sequencer_order(a, c) <= 0


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_is_none_in_utc_is_left_out(time: str) -> None:
    """No database could hold it, and the event is good without it."""
    assert s3.moment(time) is None
