"""Why is this not complete? In one sentence, of what the records say and nothing else. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from service.completion.history import History, StoreEvent
from service.uploads.model import Transport, Upload, UploadStatus
from service.uploads.transitions import IN_FLIGHT

WaitingFor = Literal["client", "store_event", "verification", "verdict"]


@dataclass(frozen=True, slots=True)
class Explanation:
    """`waiting_for` is None for what nothing more is expected of."""

    waiting_for: WaitingFor | None
    sentence: str


def explain(upload: Upload, history: History, now: datetime) -> Explanation:
    if upload.status in IN_FLIGHT:
        return _in_flight(upload, history.events, now)
    return _LATER[upload.status](upload, history, now)


# --- before it has arrived ------------------------------------------------------------------------


def _in_flight(upload: Upload, events: Sequence[StoreEvent], now: datetime) -> Explanation:
    waiting = [event for event in events if event.waits]
    if waiting:
        return Explanation("verification", _being_looked_up(waiting[-1]))
    if upload.expires_at <= now:
        ended = f"Nothing that could be verified arrived until {_time(upload.expires_at)}, when its"
        look = _next_look(upload, now) or "it is about to expire"
        return Explanation("verification", f"{ended} time ended; {look}.")
    if events:
        told = _told_in_vain(events[-1])
        return Explanation("store_event", f"{told}; {_next_look(upload, now) or _NO_LOOK}.")
    return Explanation("client", _unsent(upload, now))


def _being_looked_up(event: StoreEvent) -> str:
    told = f"The store told of the object at {_time(event.received_at)}"
    if event.next_attempt_at is None or event.attempts == 0:
        return f"{told}, and it is about to be looked up."
    return (
        f"{told}, and looking it up has been tried {_times(event.attempts)} without a result yet: "
        "it may not have been there, or the store did not answer; the next try is at "
        f"{_time(event.next_attempt_at)}."
    )


def _told_in_vain(event: StoreEvent) -> str:
    told = f"The store told of the object at {_time(event.received_at)}"
    tries = _times(event.attempts)
    if event.failed:
        return f"{told}, but that was given up after it was tried {tries} ({event.outcome})"
    if event.outcome == "absent":
        return f"{told}, but it was not there when it was looked up ({tries})"
    return f"{told}, and what came of it was: {event.outcome}"


def _unsent(upload: Upload, now: datetime) -> str:
    looks = upload.looks
    looked = f"the service has looked at the store {_times(looks)} in vain" if looks else ""
    until = f"it may be sent until {_time(upload.expires_at)}"
    clauses = [_sent_so_far(upload), looked, _next_look(upload, now), until]
    return "; ".join(clause for clause in clauses if clause) + "."


def _sent_so_far(upload: Upload) -> str:
    if upload.status is UploadStatus.PENDING:
        return "It was announced, and nothing is known to have been sent yet"
    if upload.part_count is not None and upload.multipart_id is not None:
        return (
            f"It is being sent in {upload.part_count} parts, and is not completed; which of them "
            "have arrived the list of its parts tells"
        )
    return "It is being sent, and the store has told of nothing yet"


# --- and after ------------------------------------------------------------------------------------


def _received(upload: Upload, _history: History, now: datetime) -> Explanation:
    look = _next_look(upload, now) or _NO_LOOK
    return Explanation("verification", f"It has arrived and is not verified yet; {look}.")


def _quarantined(_upload: Upload, history: History, _now: datetime) -> Explanation:
    since = _since(history, UploadStatus.QUARANTINED)
    return Explanation("verdict", f"It is in quarantine{since}, waiting for a verdict.")


def _completed(upload: Upload, _history: History, now: datetime) -> Explanation:
    at = "" if upload.completed_at is None else f" at {_time(upload.completed_at)}"
    more = _once_more(upload, now)
    return Explanation(None, f"It was completed{at}{_because(upload)}{more}.")


def _replaced(upload: Upload, history: History, now: datetime) -> Explanation:
    since = _since(history, UploadStatus.REPLACED, " at")
    written = f"The object was written again{since} after it had been completed"
    if upload.etag is None:
        look = _next_look(upload, now) or _NO_LOOK
        return Explanation("verification", f"{written}, and is not verified yet; {look}.")
    more = _once_more(upload, now)
    return Explanation(None, f"{written}, and what is there now is verified{more}.")


def _once_more(upload: Upload, now: datetime) -> str:
    """Nothing is expected of a look at what is as it should be: why there is one all the same."""
    if upload.next_look_at is None:
        return ""
    if upload.multipart_id is not None:
        return f"; {_next_look(upload, now)}, to clear away parts that were not needed"
    again = f"; {_next_look(upload, now)} once more, in case it was written again"
    if upload.transport is Transport.PRESIGNED and upload.part_count is None:
        return f"{again}: the address that was given for it can be used until it ends"
    return again


def _ended(upload: Upload, history: History, now: datetime) -> Explanation:
    at = _since(history, upload.status, " at")
    look = _next_look(upload, now)
    more = f"; {look}, to delete what may have come late" if look else ""
    return Explanation(None, f"{_ENDED[upload.status]}{at}{_because(upload)}{more}.")


_LATER: Mapping[UploadStatus, Callable[[Upload, History, datetime], Explanation]] = {
    UploadStatus.RECEIVED: _received,
    UploadStatus.QUARANTINED: _quarantined,
    UploadStatus.COMPLETED: _completed,
    UploadStatus.REPLACED: _replaced,
    UploadStatus.REJECTED: _ended,
    UploadStatus.ABORTED: _ended,
    UploadStatus.EXPIRED: _ended,
    UploadStatus.DELETED: _ended,
}
_ENDED = {
    UploadStatus.REJECTED: "It was rejected",
    UploadStatus.ABORTED: "It was aborted",
    UploadStatus.EXPIRED: "It expired",
    UploadStatus.DELETED: "It was deleted",
}
_NO_LOOK = "no further look is planned"


def _because(upload: Upload) -> str:
    return f": {upload.status_reason}" if upload.status_reason else ""


def _since(history: History, status: UploadStatus, word: str = " since") -> str:
    """Nothing where the event of it has served its time."""
    moved = [step.at for step in history.transitions if step.after == status.value]
    return f"{word} {_time(moved[-1])}" if moved else ""


def _next_look(upload: Upload, now: datetime) -> str:
    """Nothing where none is planned. One whose time has come is the next sweep's."""
    if upload.next_look_at is None:
        return ""
    if upload.next_look_at <= now:
        return "the service is about to look at the store"
    return f"the service looks at the store at {_time(upload.next_look_at)}"


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
