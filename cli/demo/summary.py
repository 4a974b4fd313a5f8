"""What came of it, to be read by people."""

import json
from dataclasses import dataclass
from datetime import datetime

from cli.demo.teller import Teller
from client.wire import Upload

_MIB = 1024 * 1024
# The sweep, the only other way, looks after an upload that has had no news for 30 s.
_SWEEP_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Outcome:
    """Times in seconds, `sent_at` is when the store had acknowledged the last byte."""

    who: str
    identity: str
    size: int
    parts: int
    seconds: float
    sent_at: datetime
    record: Upload
    deliveries: int
    traffic: str | None


def tell(outcome: Outcome, teller: Teller) -> None:
    teller.rows("What happened", _rows(outcome))
    teller.say()
    teller.say("The record, as GET /v1/uploads/{id} shows it", "bold")
    teller.say(json.dumps(outcome.record.raw, indent=2, ensure_ascii=False))


def _rows(outcome: Outcome) -> dict[str, str]:
    rate = outcome.size / _MIB / outcome.seconds
    return {
        "who": outcome.who,
        "identity": outcome.identity,
        "key": f"{outcome.record.bucket}/{outcome.record.key}",
        "bytes": f"{outcome.size:,} in {outcome.parts} part{'s' if outcome.parts > 1 else ''}",
        "time": f"{outcome.seconds:.2f} s, {rate:.0f} MiB/s",
        "completed": _completed(outcome),
        "through the service": outcome.traffic or "no byte of the file (not measured here)",
    }


def _completed(outcome: Outcome) -> str:
    completed_at = outcome.record.completed_at
    if completed_at is None:
        return outcome.record.status
    after = max(0.0, (completed_at - outcome.sent_at).total_seconds())
    by = "by the sweep: the store's webhook did not come"
    if outcome.deliveries > 0 and after < _SWEEP_SECONDS:
        by = f"by the store's own webhook (one of {outcome.deliveries} deliveries)"
    return f"{completed_at:%H:%M:%S} UTC, {after:.2f} s after the last byte, {by}"
