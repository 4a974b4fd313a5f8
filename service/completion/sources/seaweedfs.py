"""The SeaweedFS filer's webhook: one JSON object for each change of an entry.

    {"event_type", "key": "/buckets/BUCKET/KEY",
     "message": {"new_entry": {"name", "is_directory", "attributes", "extended", "chunks"},
                 "old_entry", "new_parent_path"}}

The rules below were observed on SeaweedFS 4.48:
- `event_type` is of no use: an overwrite is "update" or "rename", a change of tags "update".
- A change of tags changes neither times nor chunks; each tag is "X-Amz-Tagging-KEY" in `extended`.
  Setting the tags that are there already sends nothing.
- A rename's `key` is the old path; the new one is `new_parent_path` and `new_entry.name`.
- Values of `extended` are base64. Only "Seaweed-X-Amz-ETag" is the ETag that S3 answers; the
  `md5` of the attributes is absent for a multipart.
- A version is a file `KEY.versions/v_ID` that carries its ID in `extended`. A delete marker is
  such a file, too, and a version that is superseded is told about again.
- A key ending in "/" is a directory entry: no object (S3 then answers zero bytes for it).
- Small content stands in the entry itself, and a chunk's fid with its cookie is a capability to
  read it: neither may be kept.
"""

import base64
import binascii
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

from errors import WebhookMalformedError
from service.completion.events import ObjectEvent, dedupe_key
from service.completion.sources.fields import (
    compact_json,
    is_integer,
    json_object,
    mapping,
    object_key,
    optional_size,
    optional_text,
    real_version_id,
    sequence,
    text,
)

ETAG = "Seaweed-X-Amz-ETag"
VERSION_ID = "Seaweed-X-Amz-Version-Id"
DELETE_MARKER = "Seaweed-X-Amz-Delete-Marker"
NONCURRENT_SINCE = "Seaweed-X-Amz-Noncurrent-Since-Ns"
VERSIONS_SUFFIX = ".versions"
TAG_PREFIX = "x-amz-tagging"

Json = Mapping[str, object]


def parse(body: bytes, *, bucket: str) -> ObjectEvent | None:
    """The object that was written or tagged, or None where none was in `bucket`.

    None: deletes, delete markers, directories, multipart scratch (`.uploads/`), other buckets.
    Raises WebhookMalformedError, also for a key that cannot exist.
    """
    event = json_object(body)
    message = mapping(event.get("message"), "message")
    if message.get("new_entry") is None:
        if message.get("old_entry") is None:
            raise WebhookMalformedError("The message tells of no entry")
        return None
    entry = mapping(message["new_entry"], "entry")
    path = _path(event, message, entry)
    prefix = f"/buckets/{bucket}/"
    if not path.startswith(prefix) or entry.get("is_directory") is True:
        return None
    retagged = _is_retagged(message, entry)
    return _object_event(
        path.removeprefix(prefix), entry, bucket, _moved_from(event, path), retagged=retagged
    )


def _path(event: Json, message: Json, entry: Json) -> str:
    name = entry.get("name")
    parent = message.get("new_parent_path")
    if parent is None:  # left out where it is the old one
        parent = str(event.get("key")).rpartition("/")[0]
    if not isinstance(name, str) or not name or "/" in name or not isinstance(parent, str):
        raise WebhookMalformedError("The message's entry has no path")
    return f"{parent}/{name}"


def _moved_from(event: Json, path: str) -> str | None:
    """The old path of a rename: going back to an old name must not look like the first event."""
    old = event.get("key")
    if not isinstance(old, str):
        raise WebhookMalformedError("The message has no key")
    return old if old != path else None


def _is_retagged(message: Json, entry: Json) -> bool:
    old = mapping(message.get("old_entry"), "old entry")
    return bool(old) and _tags(old) != _tags(entry)


def _tags(entry: Json) -> Json:
    extended = mapping(entry.get("extended"), "extended attributes")
    return {name: extended[name] for name in extended if name.lower().startswith(TAG_PREFIX)}


def _object_event(
    file_key: str, entry: Json, bucket: str, moved_from: str | None, *, retagged: bool
) -> ObjectEvent | None:
    extended = mapping(entry.get("extended"), "extended attributes")
    if file_key.startswith(".uploads/") or _is_no_write(extended):
        return None
    key, version_id = _key_and_version(file_key, _decoded(extended, VERSION_ID))
    attributes = mapping(entry.get("attributes"), "attributes")
    etag = _etag(extended, attributes)
    chunks = [mapping(chunk, "chunk") for chunk in sequence(entry.get("chunks"), "chunks")]
    times = [_integer(attributes.get(name)) for name in ("mtime", "crtime")]
    # Times have a resolution of a second, and an empty or inlined object has no chunks: two
    # writes of one within a second look the same. Tags may be set to and fro, and what tells of
    # it looks the same each time. Settled twice is harmless, lost is not.
    told_apart = uuid.uuid4().hex if retagged else _fids(chunks) or uuid.uuid4().hex
    parts = ["seaweedfs", bucket, key, version_id, etag, moved_from, told_apart, times]
    return ObjectEvent(
        source="seaweedfs",
        dedupe_key=dedupe_key(compact_json(parts)),
        bucket=bucket,
        key=key,
        size=_size(attributes, chunks),
        etag=etag,
        version_id=version_id,
        event_time=_time(times[0]),
        raw=_raw(file_key, entry, attributes, extended),
    )


def _is_no_write(extended: Json) -> bool:
    return _decoded(extended, DELETE_MARKER) == "true" or NONCURRENT_SINCE in extended


def _key_and_version(file_key: str, version_id: str | None) -> tuple[str, str | None]:
    # A user's own key may look like a version's file: the id in the entry tells them apart.
    folder, _, name = file_key.rpartition("/")
    version_id = real_version_id(version_id)
    if version_id and name == f"v_{version_id}" and folder.endswith(VERSIONS_SUFFIX):
        return _checked(folder.removesuffix(VERSIONS_SUFFIX)), version_id
    return _checked(file_key), None


def _checked(key: str) -> str:
    # The store refuses "." and ".." and folds "//": an event with them did not come from it.
    if not {"", ".", ".."}.isdisjoint(key.split("/")):
        raise WebhookMalformedError("The message's object key cannot be a filer's")
    return object_key(key)


def _etag(extended: Json, attributes: Json) -> str | None:
    etag = _decoded(extended, ETAG)
    if etag:
        return etag.strip('"')
    md5 = optional_text(attributes.get("md5"), "md5")
    return _base64(md5).hex() if md5 else None


def _decoded(extended: Json, name: str) -> str | None:
    value = optional_text(extended.get(name), "extended attribute")
    if value is None:
        return None
    try:
        return text(_base64(value).decode(), "extended attribute")
    except UnicodeDecodeError:
        raise WebhookMalformedError("An extended attribute is not text") from None


def _base64(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise WebhookMalformedError("The message holds what is not base64") from None


def _fids(chunks: list[Json]) -> list[object]:
    """What the bytes are stored under: an overwrite within the same second has other ones."""
    return [_fid(chunk) for chunk in chunks]


def _fid(chunk: Json) -> object:
    fid = mapping(chunk.get("fid"), "chunk id")
    if not fid:
        return optional_text(chunk.get("file_id"), "chunk id")
    return [_integer(fid.get(name)) for name in ("volume_id", "file_key", "cookie")]


def _integer(value: object) -> int | None:
    return value if is_integer(value) else None


def _size(attributes: Json, chunks: list[Json]) -> int | None:
    # The filer leaves out zeros.
    return optional_size(attributes.get("file_size", None if chunks else 0))


def _time(seconds: int | None) -> datetime | None:
    if seconds is None or seconds <= 0:  # the filer writes year 1 for "never"
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _raw(file_key: str, entry: Json, attributes: Json, extended: Json) -> str:
    """What a timeline may show, in the filer's own shape: short, without content or fids."""
    numbers = {name: _integer(attributes.get(name)) for name in ("file_size", "mtime", "crtime")}
    kept = {name: extended[name] for name in (ETAG, VERSION_ID) if name in extended}
    new_entry = {"name": entry["name"], "attributes": numbers, "extended": kept}
    return compact_json({"key": file_key, "message": {"new_entry": new_entry}})
