"""One upload of the demo, and what can be said of it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from client.wire import Upload

MIB = 1024 * 1024
# The sweep, the only other way, looks after an upload that has had no news for 30 s.
_SWEEP_SECONDS = 30
_OK, _MULTIPLE = 200, 300
_PUT = "REST.PUT.OBJECT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Times in seconds; `sent_at` is when the store had acknowledged the last byte. `answers` is
    what the store itself counted for the key, `deliveries` the webhooks before the completion,
    `by` how many parts went by which transport, `heard` who was told of it.
    """

    title: str
    size: int
    parts: int
    seconds: float
    sent_at: datetime
    record: Upload
    called: bool
    deliveries: int
    read: int | None
    by: Counter[str] = field(default_factory=Counter)
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    heard: Sequence[str] = ()

    @property
    def stored(self) -> int:
        """PUTs that the store took."""
        return sum(
            count
            for (operation, status), count in self.answers.items()
            if operation == _PUT and _OK <= status < _MULTIPLE
        )

    @property
    def refused(self) -> int:
        return sum(n for (operation, _), n in self.answers.items() if operation == _PUT) - (
            self.stored
        )

    def told(self) -> list[str]:
        rate = self.size / MIB / self.seconds
        pieces = f"{self.parts} part{'s' if self.parts > 1 else ''}"
        return [
            f"{self.size / MIB:.0f} MiB in {pieces}, {self.seconds:.2f} s, {rate:.0f} MiB/s",
            f"the store counted {self._puts()}{self._ways()}",
            self._completed(),
            *self.heard,
            "the service process read " + ("-" if self.read is None else _mib(self.read)),
        ]

    def _puts(self) -> str:
        again = self.stored - self.parts
        repeated = "none of them twice" if again == 0 else f"{again} more than there are parts"
        text = f"{self.stored} PUTs stored, {repeated}"
        return text + (f"; {self.refused} refused" if self.refused else "")

    def _ways(self) -> str:
        if len(self.by) < 2:  # noqa: PLR2004
            return ""
        return "; " + ", ".join(f"{count} by {transport}" for transport, count in self.by.items())

    def _completed(self) -> str:
        completed_at = self.record.completed_at
        if completed_at is None:
            return self.record.status
        after = max(0.0, (completed_at - self.sent_at).total_seconds())
        by = "by the sweep: the store's webhook did not come"
        if self.called:
            by = "on the call of complete, verified at the store"
        elif self.deliveries > 0 and after < _SWEEP_SECONDS:
            by = f"by the store's own webhook ({_settled(self.deliveries)})"
        return f"completed {after:.2f} s after the last byte, {by}"


def _settled(count: int) -> str:
    if count == 1:
        return "the store sent 1 notification"
    return f"the store sent {count} notifications, one settled it"


def _mib(count: int) -> str:
    return f"{count / MIB:.2f} MiB meanwhile"
