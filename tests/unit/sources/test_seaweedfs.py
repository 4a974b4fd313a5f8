"""The filer's webhook, on what a SeaweedFS 4.48 sent (filer_events.json)."""

import base64
import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errors import WebhookMalformedError
from service.completion.events import ObjectEvent
from service.completion.sources import seaweedfs

EVENTS: dict[str, Any] = json.loads((Path(__file__).parent / "filer_events.json").read_text())


def parsed(event: object) -> ObjectEvent | None:
    return seaweedfs.parse(json.dumps(event).encode(), bucket="uploads")


def found(event: object) -> ObjectEvent:
    result = parsed(event)
    assert result is not None
    return result


def recorded(name: str) -> Any:
    return copy.deepcopy(EVENTS[name])


def test_a_put() -> None:
    event = found(EVENTS["put"])
    assert event.source == "seaweedfs"
    assert (event.bucket, event.key) == ("uploads", "us-east-1:abc/x y+é.txt")
    assert (event.size, event.etag) == (5, "5d41402abc4b2a76b9719d911017c592")
    assert (event.version_id, event.sequencer) == (None, None)
    assert event.event_time == datetime.fromtimestamp(1795444419, UTC)


@pytest.mark.parametrize(
    ("name", "key", "size", "etag"),
    [
        (
            "multipart completed",
            "us-east-1:abc/big",
            10485760,
            "d316408c159ea701ab954894bd3a92c2-2",
        ),
        ("overwrite", "us-east-1:abc/x y+é.txt", 6, "6e809cbda0732ac4845916a59016f954"),
        ("empty put", "u/empty", 0, "d41d8cd98f00b204e9800998ecf8427e"),
        ("rename", "u/renamed", 0, "d41d8cd98f00b204e9800998ecf8427e"),
        ("copy", "u/copy", 0, "d41d8cd98f00b204e9800998ecf8427e"),
        ("put with versioning suspended", "u/s", 3, "f97c5d29941bfb1b2fdab0874906ab82"),
        ("key that looks like a version", "u/k.versions/v_abc", 3, None),
        ("control characters", "u/ctl\x01\n\té", 3, None),
    ],
)
def test_other_writes(name: str, key: str, size: int, etag: str | None) -> None:
    event = found(EVENTS[name])
    assert (event.key, event.size, event.version_id) == (key, size, None)
    assert etag is None or event.etag == etag


@pytest.mark.parametrize(
    ("name", "key"),
    [("versioned put", "u/v"), ("versioned multipart completed", "u/vm")],
)
def test_a_version_is_of_the_key_it_was_written_to(name: str, key: str) -> None:
    event = found(EVENTS[name])
    assert event.key == key
    assert event.version_id == EVENTS[name]["message"]["new_entry"]["name"].removeprefix("v_")


def test_a_folder_of_the_users_own_that_ends_like_that_of_versions() -> None:
    event = recorded("versioned put")
    event["message"]["new_entry"]["name"] = "v_of_mine"
    assert (found(event).key, found(event).version_id) == ("u/v.versions/v_of_mine", None)


@pytest.mark.parametrize(
    "name",
    [
        "folder made on the way",
        "folder put",
        "multipart made",
        "part put",
        "part deleted",
        "delete",
        "versions folder made",
        "version superseded",
        "delete marker",
    ],
)
def test_what_is_no_write_of_an_object(name: str) -> None:
    assert parsed(EVENTS[name]) is None


@pytest.mark.parametrize("bucket", ["upload", "uploads2", "up", "*", ""])
def test_other_buckets(bucket: str) -> None:
    assert seaweedfs.parse(json.dumps(EVENTS["put"]).encode(), bucket=bucket) is None


def test_a_rename_out_of_the_bucket_is_none_and_into_it_is_one() -> None:
    event = recorded("rename")
    event["message"]["new_parent_path"] = "/buckets/other/u"
    assert parsed(event) is None
    event = recorded("rename")
    event["key"] = "/buckets/other/u/empty"
    assert found(event).key == "u/renamed"


def test_the_parent_may_be_left_out_where_it_is_the_old_one() -> None:
    event = recorded("overwrite")
    del event["message"]["new_parent_path"]
    assert found(event).key == "us-east-1:abc/x y+é.txt"


def test_the_md5_serves_where_there_is_no_etag() -> None:
    event = recorded("put")
    del event["message"]["new_entry"]["extended"]
    assert found(event).etag == "5d41402abc4b2a76b9719d911017c592"
    del event["message"]["new_entry"]["attributes"]["md5"]
    assert found(event).etag is None


def test_a_repeated_event_has_the_same_dedupe_key_and_another_write_another() -> None:
    assert found(EVENTS["put"]).dedupe_key == found(recorded("put")).dedupe_key
    names = ("put", "overwrite", "multipart completed", "rename", "copy", "versioned put")
    assert len({found(EVENTS[name]).dedupe_key for name in names}) == len(names)


@pytest.mark.parametrize("name", ["tags put", "tags changed", "tags deleted"])
def test_a_change_of_tags_is_news_though_all_else_is_the_same(name: str) -> None:
    """Each time: tags may go to and fro within a second, and the filer then says the same twice."""
    written, tagged = found(EVENTS["put to be tagged"]), found(EVENTS[name])
    assert (tagged.key, tagged.etag, tagged.event_time) == (
        written.key,
        written.etag,
        written.event_time,
    )
    again = found(EVENTS[name])
    assert len({written.dedupe_key, tagged.dedupe_key, again.dedupe_key}) == 3


def test_a_change_of_a_versions_tags_is_news_of_its_key() -> None:
    event = found(EVENTS["tags put on a version"])
    assert (event.key, event.version_id) == ("users/u/v", "6714a2132ae51669901ba4a093a83ee2")


def test_the_value_of_a_tag_is_not_kept() -> None:
    assert "VEhSRUFUU19GT1VORA" not in found(EVENTS["tags changed"]).raw


def test_an_update_that_leaves_the_tags_alone_is_told_apart_as_ever() -> None:
    event = recorded("tags changed")
    event["message"]["old_entry"]["extended"] = event["message"]["new_entry"]["extended"]
    assert found(event).dedupe_key == found(EVENTS["put to be tagged"]).dedupe_key


def test_writes_without_chunks_are_never_taken_for_one_another() -> None:
    """Empty objects of one second look alike; settling one twice is harmless, losing one not."""
    empty = recorded("put")
    empty["message"]["new_entry"].pop("chunks")
    assert found(empty).dedupe_key != found(empty).dedupe_key


def test_the_same_bytes_written_again_within_the_second_are_a_new_write() -> None:
    event = recorded("put")
    event["message"]["new_entry"]["chunks"][0]["fid"]["file_key"] += 1
    assert found(event).dedupe_key != found(EVENTS["put"]).dedupe_key


def test_a_name_that_is_taken_back_is_a_new_event() -> None:
    """All else goes with the name; an object without chunks would be told apart by that alone."""
    event = recorded("put")
    assert event["message"]["new_entry"]["chunks"]
    event["key"] = "/buckets/uploads/us-east-1:abc/renamed"
    back, written = found(event), found(EVENTS["put"])
    assert back.key == written.key
    assert back.dedupe_key == found(event).dedupe_key != written.dedupe_key


@pytest.mark.parametrize("time", ["mtime", "crtime"])
def test_the_same_chunks_written_anew_are_a_new_write(time: str) -> None:
    """As of an object that is copied onto itself, with another content type."""
    event = recorded("put")
    event["message"]["new_entry"]["attributes"][time] += 1
    assert found(event).dedupe_key != found(EVENTS["put"]).dedupe_key


def test_another_etag_is_another_write_whatever_else_is_the_same() -> None:
    event = recorded("put")
    event["message"]["new_entry"]["extended"][seaweedfs.ETAG] = base64.b64encode(b"other").decode()
    assert found(event).dedupe_key != found(EVENTS["put"]).dedupe_key


def test_another_version_is_another_write_whatever_else_is_the_same() -> None:
    event, version = recorded("versioned put"), "0" * 32
    entry = event["message"]["new_entry"]
    entry["name"] = f"v_{version}"
    entry["extended"][seaweedfs.VERSION_ID] = base64.b64encode(version.encode()).decode()
    event["key"] = f"{event['message']['new_parent_path']}/{entry['name']}"
    other, written = found(event), found(EVENTS["versioned put"])
    assert (other.key, other.version_id) == (written.key, version)
    assert other.dedupe_key != written.dedupe_key


def test_raw_is_short_and_holds_no_content_and_no_capability_to_read_it() -> None:
    event = recorded("multipart completed")
    entry = event["message"]["new_entry"]
    entry["content"] = base64.b64encode(b"the user's bytes").decode()
    entry["chunks"] *= 5000
    entry["extended"]["X-Amz-Meta-Secret"] = base64.b64encode(b"secret").decode()
    raw = found(event).raw
    assert len(raw) < 1000
    assert "2261129649" not in raw  # a cookie
    assert entry["content"] not in raw
    assert "Secret" not in raw
    kept = json.loads(raw)["message"]["new_entry"]
    assert kept["attributes"] == {"file_size": 10485760, "mtime": 1795444419, "crtime": 1795444419}


def changed(path: str, value: object) -> Any:
    event = recorded("put")
    *parents, last = path.split(".")
    target = event
    for name in parents:
        target = target[name]
    target[last] = value
    return event


ENTRY = "message.new_entry"
MALFORMED = {
    "a number for the message": changed("message", 1),
    "no message": changed("message", None),
    "an array for the entry": changed(ENTRY, [1]),
    "no name": changed(f"{ENTRY}.name", None),
    "an empty name": changed(f"{ENTRY}.name", ""),
    "a path for a name": changed(f"{ENTRY}.name", "a/b"),
    "a number for the key": changed("key", 1),
    "no key": changed("key", None),
    "a number for the parent": changed("message.new_parent_path", 1),
    "a zero byte": changed(f"{ENTRY}.name", "a\0b"),
    "a lone surrogate": changed(f"{ENTRY}.name", "a\ud800b"),
    "a key of 1,025 bytes": changed(f"{ENTRY}.name", "x" * (1025 - len("us-east-1:abc/"))),
    "a key long in bytes only": changed(f"{ENTRY}.name", "é" * 600),
    "a way up": changed("message.new_parent_path", "/buckets/uploads/us-east-1:abc/.."),
    "a dot": changed(f"{ENTRY}.name", "."),
    "a double slash": changed("message.new_parent_path", "/buckets/uploads/us-east-1:abc/"),
    "chunks that are none": changed(f"{ENTRY}.chunks", {"a": 1}),
    "a chunk that is none": changed(f"{ENTRY}.chunks", [1]),
    "attributes that are none": changed(f"{ENTRY}.attributes", "x"),
    "a size below zero": changed(f"{ENTRY}.attributes.file_size", -1),
    "a size that is text": changed(f"{ENTRY}.attributes.file_size", "5"),
    "a size that is a truth": changed(f"{ENTRY}.attributes.file_size", True),
    "a size no database takes": changed(f"{ENTRY}.attributes.file_size", 2**63),
    "an ETag that is no base64": changed(f"{ENTRY}.extended.Seaweed-X-Amz-ETag", "é"),
    "an ETag that is no text": changed(f"{ENTRY}.extended.Seaweed-X-Amz-ETag", "//79"),
    "an ETag that is a number": changed(f"{ENTRY}.extended.Seaweed-X-Amz-ETag", 5),
}


@pytest.mark.parametrize("event", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_the_filer_does_not_send(event: object) -> None:
    with pytest.raises(WebhookMalformedError):
        parsed(event)


@pytest.mark.parametrize("plain", [b"", b"null", b"[]", b"{}", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_event(plain: bytes) -> None:
    with pytest.raises(WebhookMalformedError):
        seaweedfs.parse(plain, bucket="uploads")


def test_a_time_that_makes_no_sense_is_left_out() -> None:
    for value in (-62135596800, 0, 10**20, None, "now"):
        event = changed(f"{ENTRY}.attributes.mtime", value)
        assert found(event).event_time is None


def test_the_longest_key() -> None:
    name = "x" * (1024 - len("us-east-1:abc/"))
    assert found(changed(f"{ENTRY}.name", name)).key == f"us-east-1:abc/{name}"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(
    path=st.sampled_from(
        [
            "key",
            "message",
            "message.new_parent_path",
            ENTRY,
            f"{ENTRY}.name",
            f"{ENTRY}.is_directory",
            f"{ENTRY}.chunks",
            f"{ENTRY}.extended",
            f"{ENTRY}.attributes",
            f"{ENTRY}.attributes.mtime",
            f"{ENTRY}.attributes.crtime",
            f"{ENTRY}.attributes.file_size",
        ]
    ),
    value=json_values,
)
def test_no_value_anywhere_does_worse_than_malformed(path: str, value: object) -> None:
    try:
        event = parsed(changed(path, value))
    except WebhookMalformedError:
        return
    assert event is None or (event.key.encode() and event.dedupe_key)
