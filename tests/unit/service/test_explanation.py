"""Why is this not complete? Only what the records say is said."""

from datetime import timedelta
from typing import Any

import pytest

from service.completion.explanation import Explanation, explain
from service.completion.history import StoreEvent, Transition
from service.uploads.model import Transport, UploadStatus
from tests.fakes.clock import START
from tests.fakes.records import upload
from tests.fakes.timeline import heard, history, moved

S = UploadStatus
LATER = START + timedelta(seconds=90)
AGAIN = " once more, in case it was written again"


def told(*items: Transition | StoreEvent, seconds: float = 60, **changes: Any) -> Explanation:
    return explain(upload(**changes), history(*items), START + timedelta(seconds=seconds))


def test_what_was_announced_waits_for_its_client() -> None:
    assert told() == Explanation(
        "client",
        "It was announced, and nothing is known to have been sent yet; the service is about to "
        "look at the store; it may be sent until 2030-01-08 00:00:00 UTC.",
    )
    found = told(next_look_at=LATER)
    assert "; the service looks at the store at 2030-01-01 00:01:30 UTC; it may" in found.sentence
    assert "yet; it may be sent until" in told(next_look_at=None).sentence


def test_what_is_sent_in_parts_is_not_asked_of_the_store() -> None:
    parts: dict[str, Any] = {"part_count": 3, "part_size": 8, "multipart_id": "mp_1"}
    assert told(status=S.UPLOADING, **parts, next_look_at=LATER) == Explanation(
        "client",
        "It is being sent in 3 parts, and is not completed; which of them have arrived the list of "
        "its parts tells; the service looks at the store at 2030-01-01 00:01:30 UTC; it may be "
        "sent until 2030-01-08 00:00:00 UTC.",
    )


@pytest.mark.parametrize("more", [{}, {"part_count": 3, "part_size": 8}])
def test_what_is_sent_in_ways_unknown(more: dict[str, Any]) -> None:
    found = told(status=S.UPLOADING, **more)
    assert found.waiting_for == "client"
    assert found.sentence.startswith("It is being sent, and the store has told of nothing yet;")


@pytest.mark.parametrize(("looks", "words"), [(1, "once"), (7, "7 times")])
def test_the_looks_that_found_nothing_are_told(looks: int, words: str) -> None:
    found = told(looks=looks)
    assert f"yet; the service has looked at the store {words} in vain; the" in found.sentence


def test_what_the_store_told_of_is_about_to_be_looked_up() -> None:
    found = told(heard(5, outcome=None, attempts=0, next_attempt_at=LATER))
    assert found == Explanation(
        "verification",
        "The store told of the object at 2030-01-01 00:00:05 UTC, and it is about to be looked up.",
    )


def test_a_look_that_had_no_result_says_when_the_next_is() -> None:
    found = told(
        heard(1), heard(5, outcome=None, attempts=3, next_attempt_at=LATER), heard(6, failed=True)
    )
    assert found == Explanation(
        "verification",
        "The store told of the object at 2030-01-01 00:00:05 UTC, and looking it up has been tried "
        "3 times without a result yet: it may not have been there, or the store did not answer; "
        "the next try is at 2030-01-01 00:01:30 UTC.",
    )


def test_an_event_of_something_that_was_not_there() -> None:
    found = told(heard(5, outcome="absent", attempts=6), next_look_at=LATER)
    assert found == Explanation(
        "store_event",
        "The store told of the object at 2030-01-01 00:00:05 UTC, but it was not there when it was "
        "looked up (6 times); the service looks at the store at 2030-01-01 00:01:30 UTC.",
    )


def test_an_event_that_was_given_up() -> None:
    found = told(heard(5, outcome="KeyError", attempts=12, failed=True), next_look_at=None)
    assert found == Explanation(
        "store_event",
        "The store told of the object at 2030-01-01 00:00:05 UTC, but that was given up after it "
        "was tried 12 times (KeyError); no further look is planned.",
    )


def test_an_event_of_which_something_else_came() -> None:
    found = told(heard(5, outcome="superseded"), next_look_at=LATER)
    assert "and what came of it was: superseded; the service looks" in found.sentence


@pytest.mark.parametrize("status", [S.PENDING, S.UPLOADING])
def test_one_whose_time_has_ended_is_the_services_to_end(status: S) -> None:
    found = told(status=status, expires_at=START, next_look_at=LATER)
    assert found == Explanation(
        "verification",
        "Nothing that could be verified arrived until 2030-01-01 00:00:00 UTC, when its time "
        "ended; the service looks at the store at 2030-01-01 00:01:30 UTC.",
    )


def test_what_has_arrived_waits_to_be_verified() -> None:
    found = told(status=S.RECEIVED, next_look_at=LATER)
    assert found.waiting_for == "verification"
    assert found.sentence.startswith("It has arrived and is not verified yet; the service looks")


@pytest.mark.parametrize(
    ("steps", "since"),
    [
        ([moved("received", 1), moved("quarantined", 2)], " since 2030-01-01 00:00:02 UTC"),
        ([moved("received", 1)], ""),
        ([], ""),
    ],
)
def test_what_is_in_quarantine_waits_for_a_verdict(steps: list[Transition], since: str) -> None:
    """Since when is said only where the event of it is still kept."""
    found = told(*steps, status=S.QUARANTINED)
    assert found == Explanation("verdict", f"It is in quarantine{since}, waiting for a verdict.")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (S.REJECTED, "It was rejected"),
        (S.ABORTED, "It was aborted"),
        (S.EXPIRED, "It expired"),
        (S.DELETED, "It was deleted"),
    ],
)
def test_how_it_ended(status: S, words: str) -> None:
    at = "2030-01-01 00:00:03 UTC"
    step = moved(status.value, 3)
    done: dict[str, Any] = {"status": status, "next_look_at": None}
    assert told(step, status_reason="5 bytes, not 6", **done) == Explanation(
        None, f"{words} at {at}: 5 bytes, not 6."
    )
    assert told(**done) == Explanation(None, f"{words}.")
    due = "the service is about to look at the store, to delete what may have come late"
    assert told(**done | {"next_look_at": START}).sentence == f"{words}; {due}."
    later = "the service looks at the store at 2030-01-01 00:01:30 UTC, to delete what may have"
    assert f"{words}; {later} come late." == told(**done | {"next_look_at": LATER}).sentence


def test_what_is_completed_waits_for_nothing() -> None:
    done: dict[str, Any] = {"status": S.COMPLETED, "next_look_at": None}
    found = told(heard(9, outcome=None, next_attempt_at=LATER), **done)
    assert found == Explanation(None, "It was completed.")
    found = told(**done, completed_at=LATER, status_reason="no checksum to compare")
    assert found.sentence == (
        "It was completed at 2030-01-01 00:01:30 UTC: no checksum to compare."
    )


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"transport": Transport.PRESIGNED},
            f"{AGAIN}: the address that was given for it can be used until it ends",
        ),
        ({}, AGAIN),
        ({"transport": Transport.PRESIGNED, "part_count": 3, "part_size": 8}, AGAIN),
        ({"multipart_id": "mp_1"}, ", to clear away parts that were not needed"),
    ],
)
def test_what_is_completed_says_why_it_is_looked_at_again(changes: Any, why: str) -> None:
    look = "the service looks at the store at 2030-01-01 00:01:30 UTC"
    found = told(status=S.COMPLETED, next_look_at=LATER, **changes)
    assert found == Explanation(None, f"It was completed; {look}{why}.")
    found = told(status=S.COMPLETED, next_look_at=START, **changes)
    assert found == Explanation(
        None, f"It was completed; the service is about to look at the store{why}."
    )


def test_what_was_replaced_says_whether_it_is_verified() -> None:
    step = moved("replaced", 3)
    written = "The object was written again at 2030-01-01 00:00:03 UTC after it had been completed"
    verified = f"{written}, and what is there now is verified"
    assert told(step, status=S.REPLACED, etag="two", next_look_at=None) == Explanation(
        None, f"{verified}."
    )
    found = told(step, status=S.REPLACED, etag="two", next_look_at=LATER)
    assert found.sentence.startswith(f"{verified}; the service looks at the store at")
    found = told(step, status=S.REPLACED, etag=None, next_look_at=LATER)
    assert found.waiting_for == "verification"
    assert found.sentence.startswith(f"{written}, and is not verified yet; the service looks")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"status": S.RECEIVED}, "is not verified yet; no further look is planned."),
        ({"status": S.REPLACED}, "is not verified yet; no further look is planned."),
        ({"expires_at": START}, "its time ended; it is about to expire."),
    ],
)
def test_where_no_look_is_planned_that_is_said(changes: Any, words: str) -> None:
    assert told(**changes, next_look_at=None).sentence.endswith(words)


def test_a_look_whose_time_has_just_come_is_the_next() -> None:
    found = told(status=S.RECEIVED, next_look_at=LATER, seconds=90)
    assert found.sentence.endswith("; the service is about to look at the store.")


@pytest.mark.parametrize("status", sorted(S))
@pytest.mark.parametrize("seconds", [0, 10**8])
@pytest.mark.parametrize("waits", [None, LATER])
def test_there_is_one_sentence_for_everything(status: S, seconds: float, waits: Any) -> None:
    for look in (None, LATER):
        event = heard(next_attempt_at=waits)
        found = told(event, seconds=seconds, status=status, next_look_at=look)
        assert found.sentence.endswith(".")
        assert "None" not in found.sentence
        assert found.sentence.count(". ") == 0
        assert found.sentence.count(";;") == 0
