"""S3's event notifications, as SNS and SQS carry them (MinIO and Ceph send the same shape).

    {"Records": [{"eventVersion": "2.1", "eventName": "ObjectCreated:Put", "eventTime",
                  "s3": {"bucket": {"name"}, "object": {"key", "size", "eTag", "versionId",
                                                        "sequencer"}}}]}

Source of the rules: "Event message structure" in the Amazon S3 user guide. Keys are form-encoded;
a receiver should require the same major `eventVersion` and ignore fields it does not know. Stores
other than AWS write the event's name with a leading `s3:`.

Object tags count as news, too: a scanner gives its verdict by one. AWS calls that
"ObjectTagging:Put" and sends no sequencer with it; MinIO calls it "ObjectCreated:PutTagging".
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import zip_longest
from urllib.parse import unquote_to_bytes

from errors import WebhookMalformedError
from service.completion.events import ObjectEvent, Source, dedupe_key
from service.completion.sources.fields import (
    MAX_TEXT_CHARS,
    compact_json,
    json_object,
    mapping,
    object_key,
    optional_size,
    optional_text,
    real_version_id,
    sequence,
    text,
)

MAJOR_VERSION = "2"
CREATED = "ObjectCreated:"
TAGGED = frozenset({"ObjectTagging:Put", "ObjectCreated:PutTagging"})
MAX_RECORDS = 500  # S3 sends one; more than this does not fit the 256 KiB that SNS and SQS carry
KEPT_OF_RECORD = ("eventVersion", "eventTime", "eventName", "awsRegion")
KEPT_OF_OBJECT = ("key", "size", "eTag", "versionId", "sequencer")

Json = Mapping[str, object]


def parse(message: bytes | str | Json, *, fallback_id: str, source: Source) -> list[ObjectEvent]:
    """The objects that were written or tagged, in the message's order; [] for a test event.

    `fallback_id` is the carrier's id of this message: with a record's index it stands in where a
    record has neither version nor sequencer. One event that comes through two carriers has one
    dedupe key. Raises WebhookMalformedError for the whole message.
    """
    event = message if isinstance(message, Mapping) else json_object(message)
    if "Records" not in event:
        if event.get("Event") == "s3:TestEvent":
            return []
        raise WebhookMalformedError("The message is no event notification of S3")
    records = sequence(event["Records"], "records")
    if len(records) > MAX_RECORDS:
        raise WebhookMalformedError("The message holds more records than S3 sends")
    events = (
        _object_event(mapping(record, "record"), f"{fallback_id}/{index}", source)
        for index, record in enumerate(records)
    )
    return [found for found in events if found is not None]


def _object_event(record: Json, fallback_id: str, source: Source) -> ObjectEvent | None:
    if text(record.get("eventVersion"), "event version").split(".")[0] != MAJOR_VERSION:
        raise WebhookMalformedError("The message is of an event version not known here")
    name = text(record.get("eventName"), "event name").removeprefix("s3:")
    if name not in TAGGED and not name.startswith(CREATED):
        return None
    s3 = mapping(record.get("s3"), "s3 part")
    bucket = text(mapping(s3.get("bucket"), "bucket").get("name"), "bucket name")
    written = mapping(s3.get("object"), "object")
    key = _decoded_key(written.get("key"))
    version_id = real_version_id(optional_text(written.get("versionId"), "version id"))
    sequencer = optional_text(written.get("sequencer"), "sequencer")
    return ObjectEvent(
        source=source,
        dedupe_key=event_key(
            bucket, key, version_id, sequencer, fallback_id=fallback_id, tagged=name in TAGGED
        ),
        bucket=bucket,
        key=key,
        size=optional_size(written.get("size")),
        etag=bare_etag(written.get("eTag")),
        version_id=version_id,
        sequencer=sequencer,
        event_time=moment(record.get("eventTime")),
        raw=_raw(record, bucket, written),
    )


def _decoded_key(encoded: object) -> str:
    if not isinstance(encoded, str):
        raise WebhookMalformedError("The message's object key is not text")
    try:
        return object_key(unquote_to_bytes(encoded.replace("+", " ")).decode())
    except UnicodeError:
        raise WebhookMalformedError("The message's object key is not UTF-8") from None


def event_key(
    bucket: str,
    key: str,
    version_id: str | None,
    sequencer: str | None,
    *,
    fallback_id: str,
    tagged: bool,
) -> str:
    """The dedupe key of one event, whatever carried it. A version is written once, but tagged any
    number of times.
    """
    # As JSON, since a key may hold whatever would separate the parts.
    place = ["s3", bucket, key, *(["tags"] if tagged else [])]
    if version_id and not tagged:
        return dedupe_key(compact_json([*place, "version", version_id]))
    if sequencer:
        return dedupe_key(compact_json([*place, "sequencer", sequencer]))
    return dedupe_key(compact_json([*place, "message", fallback_id]))


def bare_etag(value: object) -> str | None:
    etag = optional_text(value, "ETag")
    return etag.strip('"') if etag else None


def moment(value: object) -> datetime | None:
    """The time is for reading only: one that makes no sense is left out."""
    try:
        parsed = datetime.fromisoformat(value) if isinstance(value, str) else None
        if parsed is None or parsed.tzinfo is None:
            return None
        return parsed.astimezone(UTC)  # which the first and the last day may not have
    except (ValueError, OverflowError):
        return None


def _raw(record: Json, bucket: str, written: Json) -> str:
    """The record in its own shape, without who wrote from which address."""
    said = {name: record.get(name) for name in KEPT_OF_RECORD}
    kept = {
        name: value
        for name, value in said.items()
        if isinstance(value, str) and len(value) <= MAX_TEXT_CHARS
    }
    of_object = {name: written[name] for name in KEPT_OF_OBJECT if name in written}
    return compact_json({**kept, "s3": {"bucket": {"name": bucket}, "object": of_object}})


def sequencer_order(a: str, b: str) -> int:
    """-1, 0 or 1 as `a` was written before, with or after `b`: two sequencers of one key.

    S3's rule: pad the shorter with zeros on its right, compare lexicographically.
    """
    pairs = zip_longest(a.upper(), b.upper(), fillvalue="0")
    return next((-1 if x < y else 1 for x, y in pairs if x != y), 0)


def sequencer_sort_key(sequencer: str) -> str:
    """A key that sorts hexadecimal sequencers as sequencer_order does, in a database too."""
    return sequencer.upper().rstrip("0")
