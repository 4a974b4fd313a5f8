"""What is sent to endpoints and pages has the very shape that docs/openapi.json promises."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from routers.event_examples import STREAMS, UPLOAD_EVENT
from routers.event_schemas import IdentityChangedEvent, UploadEvent, UploadEventType
from service.delivery.events import (
    OFFERED_TYPES,
    EventType,
    identity_happening,
    upload_happening,
)
from service.delivery.ports import FeedEvent
from service.delivery.trial import TRIAL_TYPE
from service.uploads.model import Checksum, UploadStatus
from tests.fakes.event_house import EventHouse
from tests.fakes.event_page import opened
from tests.fakes.records import upload
from tools import generate

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
OFFERED = sorted(OFFERED_TYPES)
ANSWERS: dict[str, set[str]] = {
    **{kind: {"204", "410", "default"} for kind in OFFERED},
    TRIAL_TYPE: {"204", "default"},
}


@pytest.fixture(scope="module")
def document() -> Any:
    return generate.openapi()


def test_what_is_sent_is_documented_and_nothing_else(document: Any) -> None:
    assert set(document["webhooks"]) == {*OFFERED, TRIAL_TYPE}
    assert sorted([*get_args(UploadEventType), EventType.IDENTITY_CHANGED]) == OFFERED


def test_a_test_message_is_no_event(document: Any) -> None:
    """Nobody can ask for it, and no page is told."""
    assert TRIAL_TYPE not in set(EventType)
    shapes = document["components"]["schemas"]
    assert shapes["WebhookTestEvent"]["properties"]["type"]["const"] == TRIAL_TYPE
    others = {name: shape for name, shape in shapes.items() if name != "WebhookTestEvent"}
    assert f'"{TRIAL_TYPE}"' not in json.dumps(others)


@pytest.mark.parametrize("kind", ANSWERS)
def test_it_says_which_headers_come_with_it(document: Any, kind: str) -> None:
    operation = document["webhooks"][kind]["post"]
    headers = {one["name"]: one for one in operation["parameters"]}
    assert set(headers) == {"webhook-id", "webhook-timestamp", "webhook-signature"}
    assert all(one["in"] == "header" and one["required"] for one in headers.values())
    assert set(operation["responses"]) == ANSWERS[kind]


PAYLOAD = json.dumps(UPLOAD_EVENT, separators=(",", ":"))
# In a state that is never written down: what has arrived is verified with the look that finds it.
NEVER_SENT = {EventType.RECEIVED}


def test_what_only_a_page_is_told_is_named_for_it(document: Any) -> None:
    (alone,) = set(EventType) - OFFERED_TYPES - NEVER_SENT
    assert f"`{alone}`" in document["paths"]["/v1/events"]["get"]["description"]
    assert f"`{alone}`" in document["components"]["schemas"]["UploadEvent"]["description"]


def test_a_field_may_be_added_to_an_event(document: Any) -> None:
    shapes = ["EventUpload", "UploadEventData", "UploadEvent"]
    shapes += ["IdentityChangedData", "IdentityChangedEvent"]
    for name in [*shapes, "WebhookTestData", "WebhookTestEvent"]:
        assert "additionalProperties" not in document["components"]["schemas"][name], name


@pytest.mark.parametrize(
    ("name", "seen", "gone"), [("new", None, 0), ("back", "6", 0), ("reset", "2", 6)]
)
async def test_the_streams_of_the_document_are_what_is_sent(
    document: Any, name: str, seen: str | None, gone: int
) -> None:
    house = EventHouse(heartbeat=15)

    def happen() -> None:
        house.feed.numbers["ada"] = 7
        house.feed.events["ada"].append(FeedEvent(7, "upload.completed", PAYLOAD))
        house.hub.wake("ada")

    for _ in range(6):
        house.feed.add()
    if seen is not None:
        happen()
    house.feed.delete(*range(1, gone + 1))
    page = house.page({} if seen is None else {"Last-Event-ID": seen})
    async with opened(house.app, page):
        await page.next()
        if seen is None:
            happen()
        await page.next()
    answer = document["paths"]["/v1/events"]["get"]["responses"]["200"]
    assert answer["content"]["text/event-stream"]["examples"] == STREAMS
    assert STREAMS[name]["value"].startswith(page.content.decode())


async def test_their_end_is_the_one_that_is_sent() -> None:
    house = EventHouse(life=0.02)
    page = house.page()
    async with opened(house.app, page) as task:
        await page.next(2)
        await task
    assert STREAMS["new"]["value"].endswith("\n\n" + page.content.decode().split("\n\n", 1)[1])


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


@pytest.mark.parametrize("etag", [None, "e"])
def test_the_checksum_is_the_objects_once_there_is_one(etag: str | None) -> None:
    """What was announced is nothing that was verified."""
    announced = upload(status=UploadStatus.ABORTED, declared_checksum=Checksum("CRC32", "AAECAw=="))
    data = upload_happening(None, replace(announced, etag=etag), NOW).data
    assert (data["upload"]["checksum"] is None) is (etag is not None)
