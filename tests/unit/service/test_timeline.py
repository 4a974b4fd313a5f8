"""The timeline of an upload: whose it is, and in which order it is told."""

from dataclasses import replace
from typing import Any

import pytest

from errors import UploadNotFoundError
from service.completion.history import History, StoreEvent
from service.completion.timeline import MOST_OF_A_KIND, Timeline, in_order
from service.uploads.model import UploadStatus
from tests.fakes.clock import START, Clock
from tests.fakes.records import MemoryRecords, upload
from tests.fakes.timeline import MemoryHistory, heard, history, moved, sent

UPLOAD = upload()


def timeline(kept: History | None = None) -> tuple[Timeline, MemoryHistory]:
    told = MemoryHistory(kept or history())
    return Timeline(records=MemoryRecords(UPLOAD), history=told, clock=Clock()), told


async def test_it_is_its_owners_and_every_administrators() -> None:
    made, told = timeline(history(moved("received", 1), truncated=True))
    own = await made.of_own(UPLOAD.user_id, UPLOAD.id)
    assert (own.upload, own.told_at, own.truncated) == (UPLOAD, START, True)
    assert own.explanation.waiting_for == "client"
    assert await made.of_any(UPLOAD.id) == own
    assert told.asked == [(UPLOAD.id, False, MOST_OF_A_KIND), (UPLOAD.id, True, MOST_OF_A_KIND)]


async def test_anothers_does_not_exist() -> None:
    made, told = timeline()
    for call in (made.of_own("usr_eve", UPLOAD.id), made.of_own("usr_eve", "x"), made.of_any("x")):
        with pytest.raises(UploadNotFoundError):
            await call
    assert told.asked == []


def test_everything_is_in_order_of_time() -> None:
    """The event that made a record by adoption is older than it."""
    first, received, later = heard(-1), moved("received", 1), heard(3)
    done, told = moved("completed", 2), sent(2)
    found = in_order(UPLOAD, history(first, received, done, later, told))
    assert list(found) == [first, UPLOAD, received, done, told, later]


def s3(seconds: float, sequencer: str | None, **changes: Any) -> StoreEvent:
    return heard(seconds, source="sns", sequencer=sequencer, **changes)


def test_s3s_events_are_in_the_order_of_their_sequencers() -> None:
    second, first, third = s3(1, "0055B"), s3(2, "0055A"), s3(4, "0055B1")
    plain, done = s3(3, None), moved("completed", 3)
    found = in_order(UPLOAD, history(second, first, plain, third, done))
    assert list(found) == [UPLOAD, first, second, done, plain, third]


def test_sequencers_of_different_lengths_and_cases_compare_as_s3_says() -> None:
    last, first, same = s3(1, "0055ab"), s3(2, "00559F00"), s3(3, "0055AB00")
    assert list(in_order(UPLOAD, history(last, first, same))) == [UPLOAD, first, last, same]


@pytest.mark.parametrize(
    ("now", "steps", "truncated"),
    [
        ("pending", [], False),
        ("completed", [], True),
        ("completed", [("completed", "pending")], False),
        ("completed", [("completed", None)], False),
        ("completed", [("completed", "uploading")], True),
        ("deleted", [("deleted", "completed")], True),
        ("deleted", [("completed", None), ("deleted", "completed")], False),
    ],
)
async def test_it_says_so_where_its_beginning_is_kept_no_more(
    now: str, steps: list[tuple[str, str | None]], truncated: bool
) -> None:
    moves = [
        replace(moved(after, number), before=before and UploadStatus(before))
        for number, (after, before) in enumerate(steps)
    ]
    record = replace(UPLOAD, status=UploadStatus(now))
    made = Timeline(
        records=MemoryRecords(record), history=MemoryHistory(history(*moves)), clock=Clock()
    )
    assert (await made.of_any(record.id)).truncated is truncated
