"""What follows an attempt."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.delivery.ports import Answer, NoAnswer

_GONE = 410
_LONGEST_WISH = 24 * 3600.0
_JITTER = 0.2


@dataclass(frozen=True, slots=True)
class Delivered:
    status: int


@dataclass(frozen=True, slots=True)
class Retry:
    """In so many seconds. `error` is a word, as in NoAnswer; `status` is None without an answer."""

    seconds: float
    error: str
    status: int | None


@dataclass(frozen=True, slots=True)
class GiveUp:
    """`gone`: the receiver wants nothing more at all."""

    error: str
    status: int | None
    gone: bool = False


def what_follows(
    outcome: Answer | NoAnswer, *, attempts: int, pauses: Sequence[float], jitter: float
) -> Delivered | Retry | GiveUp:
    """`attempts` counts the one that this came of; after each there is a pause, in seconds, and
    with no pause left it was the last one. A redirect is a failure like any other: where it leads
    nobody has checked. `jitter` is 0 to 1.
    """
    status, wish = None, 0.0
    if isinstance(outcome, Answer):
        status, wish = outcome.status, outcome.retry_after or 0.0
    if status is not None and 200 <= status < 300:  # noqa: PLR2004 - any success
        return Delivered(status)
    error = outcome.reason if isinstance(outcome, NoAnswer) else f"http_{outcome.status}"
    final = isinstance(outcome, NoAnswer) and outcome.final
    if status == _GONE or final or attempts > len(pauses):
        return GiveUp(error, status, gone=status == _GONE)
    return Retry(pause(pauses[attempts - 1], wish, jitter), error, status)


def pause(planned: float, wished: float, jitter: float) -> float:
    """Never shorter than planned or, up to a day of it, wished for: jitter only adds, up to a
    fifth. Those whom an outage has failed together do not come back together.
    """
    return max(planned, min(wished, _LONGEST_WISH)) * (1 + _JITTER * jitter)
