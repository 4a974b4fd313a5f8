"""Cognito hangs, and comes back: how long anybody waits for it, and how soon it is used again."""

import asyncio
import statistics
import sys
import tempfile
import time
from bisect import bisect_left
from dataclasses import dataclass
from pathlib import Path

from benchmarks.connection import Answer
from benchmarks.grant_stage import GrantStage, Server, grant_stage
from benchmarks.record import Section, Target, versions
from benchmarks.report import run_case
from benchmarks.rounds import Rounds
from benchmarks.steady import Steady

_CASE = "Cognito hangs, then recovers"
_PER_SECOND = 50
_WELL = 2.0  # seconds before it hangs
_HANGS = 15.0
_LONGEST_RECOVERY = 45.0
_AT_ONCE_SECONDS = 0.25  # a caller who waited longer has waited for Cognito
_OPENS_WITHIN = 10.0
_MOST_ROUNDS = 2  # each takes up to a minute
_NOTE = (
    f"{_PER_SECOND} users a second, none seen before, mode `auto`; Cognito hangs for {_HANGS:.0f} "
    "s, closing no connection. The breaker counts as open from when nine of ten callers within "
    f"a second have their answer in {_AT_ONCE_SECONDS * 1000:.0f} ms."
)


@dataclass(frozen=True, slots=True)
class Course:
    """Times by time.perf_counter; `back` is the first Cognito grant after the recovery."""

    hung: float
    recovered: float
    back: float | None
    answers: list[Answer]


async def measure(rounds: int) -> Section:
    found = Rounds(_CASE, "s")
    courses = []
    with tempfile.TemporaryDirectory() as name:
        async with grant_stage(Path(name)) as stage:
            server = await stage.ours(await stage.database(), COGNITO__CALLS_PER_SECOND="0")
            for number in range(min(rounds, _MOST_ROUNDS)):
                courses.append(await _course(stage, server, number))
                _note(found, courses[-1])
    return Section(
        name="breaker",
        figures=found.figures(),
        targets=_targets(courses),
        notes=[_NOTE],
        versions=versions("fastapi", "uvicorn", "aioboto3"),
    )


async def _course(stage: GrantStage, server: Server, number: int) -> Course:
    most = int(_PER_SECOND * (_WELL + _HANGS + _LONGEST_RECOVERY))
    users = stage.requests(range(number * most, (number + 1) * most))
    steady = Steady(server.port, _PER_SECOND)
    running = asyncio.create_task(steady.run(users))
    try:
        await asyncio.sleep(_WELL)
        await stage.upstream.control(hang=True)
        hung = time.perf_counter()
        await asyncio.sleep(_HANGS)
        await stage.upstream.control(hang=False)
        recovered = time.perf_counter()
        back = await _back(steady, running, recovered)
    finally:
        running.cancel()
        await asyncio.wait([running])
        await steady.close(within=10)
    return Course(hung, recovered, back, steady.answers)


async def _back(steady: Steady, running: asyncio.Task[None], recovered: float) -> float | None:
    while not running.done():
        for answer in reversed(steady.answers):
            if answer.ended < recovered:
                break
            if _is_cognito(answer):
                return answer.ended
        await asyncio.sleep(0.05)
    return None


def _is_cognito(answer: Answer) -> bool:
    return b'"mode":"cognito"' in answer.body


def opens_after(course: Course) -> float | None:
    """Seconds from the beginning; None where it never does."""
    meant = sorted(
        (one for one in course.answers if course.hung <= one.began < course.recovered),
        key=lambda one: one.began,
    )
    begins = [one.began for one in meant]
    for at, one in enumerate(meant):
        some = meant[at : bisect_left(begins, one.began + 1)]
        quick = sum(answer.seconds < _AT_ONCE_SECONDS for answer in some)
        if one.seconds < _AT_ONCE_SECONDS and quick >= 0.9 * len(some):
            return one.began - course.hung
    return None


def _open(course: Course) -> list[Answer]:
    after = opens_after(course)
    if after is None:
        return []
    return [one for one in course.answers if course.hung + after <= one.began < course.recovered]


def _note(found: Rounds, course: Course) -> None:
    hanging = [one for one in course.answers if course.hung <= one.began < course.recovered]
    waited = [one.seconds for one in hanging if one.seconds >= _AT_ONCE_SECONDS]
    open_ = [one.seconds * 1000 for one in _open(course)] or [0.0, 0.0]
    after = opens_after(course)
    found.add(
        "answers stop waiting after",
        _HANGS if after is None else after,
        callers_who_waited=len(waited),
        longest_wait_s=max(waited, default=0.0),
    )
    found.add(
        "p99 of answers while it is open",
        statistics.quantiles(open_, n=100, method="inclusive")[98] / 1000,
        median_ms=statistics.median(open_),
        most_ms=max(open_),
        answers=len(hanging),
        presigned=sum(b'"mode":"presigned"' in one.body for one in hanging),
    )
    back = _LONGEST_RECOVERY if course.back is None else course.back - course.recovered
    found.add("Cognito's grants are back after", back)


def _targets(courses: list[Course]) -> list[Target]:
    others = sum(
        one.status != 200  # noqa: PLR2004
        for course in courses
        for one in course.answers
    )
    opened = [opens_after(course) for course in courses]
    backs = [course.back for course in courses]
    return [
        Target(
            case=_CASE,
            against="the breaker opens",
            found=max(_HANGS if one is None else one for one in opened),
            most=_OPENS_WITHIN,
            unit="s",
        ),
        Target(
            case=_CASE,
            against="no answer but a grant",
            found=float(others),
            most=0,
            unit="others",
        ),
        Target(
            case=_CASE,
            against="it closes by itself",
            found=float(sum(back is not None for back in backs)),
            least=float(len(courses)),
            unit="times",
        ),
    ]


def main() -> int:
    return run_case("breaker", measure)


if __name__ == "__main__":
    sys.exit(main())
