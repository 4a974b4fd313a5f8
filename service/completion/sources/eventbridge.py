"""S3's events as Amazon EventBridge carries them.

    {"id", "source": "aws.s3", "detail-type": "Object Created", "time",
     "detail": {"bucket": {"name"}, "object": {"key", "size", "etag", "version-id", "sequencer"}}}

Source of the rules: "EventBridge event message structure" in the Amazon S3 user guide. "Object Tags
Added" counts, too, and comes without a sequencer.

Whether a key is form-encoded here, as it is in S3's own notifications, AWS does not document; users
report that it is not. A key of the service's own holds nothing that decoding would change. Of
another key (an adopted object's) both readings become events: one of them finds nothing at the
store, and a false event changes nothing.
"""

from collections.abc import Iterator, Mapping
from urllib.parse import unquote_plus

from errors import WebhookMalformedError
from service.completion.events import ObjectEvent, Source
from service.completion.sources import s3
from service.completion.sources.fields import (
    MAX_TEXT_CHARS,
    compact_json,
    json_object,
    mapping,
    object_key,
    optional_size,
    optional_text,
    real_version_id,
    text,
)

S3_SOURCE = "aws.s3"
CREATED = "Object Created"
TAGGED = "Object Tags Added"
KEPT_OF_EVENT = ("id", "detail-type", "time", "region")
KEPT_OF_OBJECT = ("key", "size", "etag", "version-id", "sequencer")

Json = Mapping[str, object]


def is_event(message: Json) -> bool:
    """Whether it has EventBridge's envelope, whoever it is of."""
    return "detail-type" in message and "detail" in message


def parse(message: bytes | str | Json, *, source: Source) -> list[ObjectEvent]:
    """The object that was written or tagged, under each key that may be meant; [] for any other
    event. Dedupe keys are those of s3.parse. Raises WebhookMalformedError.
    """
    event = message if isinstance(message, Mapping) else json_object(message)
    if not is_event(event):
        raise WebhookMalformedError("The message is no event of EventBridge")
    kind = text(event["detail-type"], "detail type")
    of_s3 = text(event.get("source"), "source") == S3_SOURCE
    if not of_s3 or kind not in {CREATED, TAGGED}:
        return []
    detail = mapping(event["detail"], "detail")
    literal = object_key(mapping(detail.get("object"), "object").get("key"))
    return [_object_event(event, detail, key, source) for key in _readings(literal)]


def _readings(literal: str) -> Iterator[str]:
    yield literal
    try:
        decoded = object_key(unquote_plus(literal, errors="strict"))
    except (UnicodeDecodeError, WebhookMalformedError):
        return  # no key: it cannot have been encoded
    if decoded != literal:
        yield decoded


def _object_event(event: Json, detail: Json, key: str, source: Source) -> ObjectEvent:
    bucket = text(mapping(detail.get("bucket"), "bucket").get("name"), "bucket name")
    written = mapping(detail.get("object"), "object")
    version_id = real_version_id(optional_text(written.get("version-id"), "version id"))
    sequencer = optional_text(written.get("sequencer"), "sequencer")
    return ObjectEvent(
        source=source,
        dedupe_key=s3.event_key(
            bucket,
            key,
            version_id,
            sequencer,
            fallback_id=text(event.get("id"), "id"),
            tagged=event["detail-type"] == TAGGED,
        ),
        bucket=bucket,
        key=key,
        size=optional_size(written.get("size")),
        etag=s3.bare_etag(written.get("etag")),
        version_id=version_id,
        sequencer=sequencer,
        event_time=s3.moment(event.get("time")),
        raw=_raw(event, bucket, written),
    )


def _raw(event: Json, bucket: str, written: Json) -> str:
    """The event in its own shape, without who asked from which address."""
    said = {name: event.get(name) for name in KEPT_OF_EVENT}
    kept = {
        name: value
        for name, value in said.items()
        if isinstance(value, str) and len(value) <= MAX_TEXT_CHARS
    }
    of_object = {name: written[name] for name in KEPT_OF_OBJECT if name in written}
    return compact_json({**kept, "detail": {"bucket": {"name": bucket}, "object": of_object}})
