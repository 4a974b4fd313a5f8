"""What is sent to endpoints and pages has the very shape that docs/openapi.json promises."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from routers.event_schemas import IdentityChangedEvent, UploadEvent, UploadEventType
from service.delivery.events import (
    OFFERED_TYPES,
    EventType,
    identity_happening,
    upload_happening,
)
from service.uploads.model import Checksum, UploadStatus
from tests.fakes.records import upload
from tools import generate

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
OFFERED = sorted(OFFERED_TYPES)


@pytest.fixture(scope="module")
def document() -> Any:
    return generate.openapi()


def test_each_event_that_is_offered_is_documented(document: Any) -> None:
    assert sorted(document["webhooks"]) == OFFERED
    assert sorted([*get_args(UploadEventType), EventType.IDENTITY_CHANGED]) == OFFERED


@pytest.mark.parametrize("kind", OFFERED)
def test_it_says_which_headers_come_with_it(document: Any, kind: str) -> None:
    operation = document["webhooks"][kind]["post"]
    headers = {one["name"]: one for one in operation["parameters"]}
    assert set(headers) == {"webhook-id", "webhook-timestamp", "webhook-signature"}
    assert all(one["in"] == "header" and one["required"] for one in headers.values())
    assert set(operation["responses"]) == {"204", "410", "default"}


TEXTS = st.text(max_size=20)
UPLOADS = st.builds(
    lambda status, texts, metadata, size, checksum: replace(
        upload(metadata=metadata),
        status=status,
        status_reason=texts[0] or None,
        filename=texts[1],
        etag=texts[2] or None,
        version_id=texts[3] or None,
        size=size,
        checksum=checksum,
        completed_at=NOW if size else None,
    ),
    st.sampled_from(
        [UploadStatus(kind.removeprefix("upload.")) for kind in get_args(UploadEventType)]
    ),
    st.tuples(TEXTS, TEXTS, TEXTS, TEXTS),
    st.dictionaries(TEXTS, TEXTS, max_size=3),
    st.none() | st.integers(0, 2**50),
    st.none() | st.just(Checksum("CRC32", "DUoRhQ==")),
)


@given(UPLOADS, st.none() | st.sampled_from(UploadStatus), st.integers(1, 2**60))
def test_an_upload_is_told_in_the_promised_shape(
    after: Any, before: UploadStatus | None, sequence: int
) -> None:
    payload = upload_happening(before, after, NOW).payload(sequence)
    read = UploadEvent.model_validate_json(payload)
    assert read.data.sequence == sequence
    assert told_alike(read.model_dump(mode="json"), json.loads(payload))


def test_a_changed_identity_is_told_in_the_promised_shape() -> None:
    happening = identity_happening(
        user_id="usr_1", pool_id="eu:1", identity_id="eu:3", before="eu:2", at=NOW
    )
    payload = happening.payload(7)
    read = IdentityChangedEvent.model_validate_json(payload)
    assert told_alike(read.model_dump(mode="json"), json.loads(payload))


def told_alike(one: Any, other: Any) -> bool:
    """Times may be written with more digits or fewer."""
    times = TypeAdapter(datetime)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(told_alike(one[k], other[k]) for k in one)
    if isinstance(one, str) and one != other:
        return times.validate_python(one) == times.validate_python(other)
    return bool(one == other)
