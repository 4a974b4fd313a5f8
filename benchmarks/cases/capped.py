"""A Cognito with a quota, three replicas, thousands at once: what it sees of them, and what their
users are answered.
"""

import asyncio
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.burst import Burst, crowd
from benchmarks.connection import Answer
from benchmarks.grant_stage import GrantStage, grant_stage
from benchmarks.record import Figure, Section, Target, versions
from benchmarks.report import run_case

_CASE = "upstream capped at 50/s, three replicas"
_CAP = 50
_LATENCY_MS = 200
_REPLICAS = 3
_PAUSE = 3.0  # seconds between scenes, so that the turns of one are over before the next
_OK, _UNAVAILABLE = 200, 503
_OTHER = "anything else"
# What the figures hold of it, the most of all scenes.
_PROMISES = {
    "highest": ("calls that Cognito sees in any second", _CAP, "calls"),
    "violations": ("calls that Cognito refuses", 0, "calls"),
    "per_user_max": ("calls for one user", 1, "calls"),
    _OTHER: ("answers that are no grant, nor 503 with Retry-After", 0, "answers"),
}
_NOTE = (
    f"{_REPLICAS} replicas on one core, Postgres and Valkey or Redis between them, all settings at "
    f"their defaults ({_CAP} calls a second in all); Cognito answers in {_LATENCY_MS} ms and "
    f"refuses what is over {_CAP} in any second. Run once: this is about every single call."
)


@dataclass(frozen=True, slots=True)
class Scene:
    """So many users, each with so many requests at once, over all replicas."""

    title: str
    users: range
    mode: str = "auto"
    each: int = 1


_SCENES = (
    Scene("5,000 users at once, mode auto", range(5000)),
    Scene("500 users at once, mode cognito", range(10_000, 10_500), mode="cognito"),
    Scene("40 users with ten requests each at once, mode auto", range(20_000, 20_040), each=10),
)


async def measure(rounds: int) -> Section:  # noqa: ARG001 - see the note
    section = Section(name="capped", notes=[_NOTE], versions=versions("fastapi", "redis"))
    seen = []
    with tempfile.TemporaryDirectory() as name:
        async with grant_stage(Path(name), latency_ms=_LATENCY_MS, cap=_CAP) as stage:
            ports = await _replicas(stage)
            for scene in _SCENES if ports else ():
                figure = await _play(stage, ports, scene)
                section.figures.append(figure)
                seen.append(figure.more)
            section.notes += stage.absent
    section.targets += [
        Target(
            case=_CASE,
            against=against,
            found=max(float(more.get(name) or 0) for more in seen),
            most=most,
            unit=unit,
        )
        for name, (against, most, unit) in _PROMISES.items()
        if seen
    ]
    return section


async def _replicas(stage: GrantStage) -> list[int]:
    """None where there is nothing that they could share."""
    redis = stage.redis()
    if redis is None:
        return []
    database = await stage.database()
    return [(await stage.ours(database, REDIS__URL=redis)).port for _ in range(_REPLICAS)]


async def _play(stage: GrantStage, ports: Sequence[int], scene: Scene) -> Figure:
    await asyncio.sleep(_PAUSE)
    await stage.upstream.control(reset=True)
    requests = stage.requests(scene.users, mode=scene.mode) * scene.each
    async with crowd(ports, requests) as go:
        run = await go()
    await asyncio.sleep(_PAUSE)  # calls whose callers have gone count, too
    seen = await stage.upstream.counts()
    return _figure(scene, run, seen, Counter(map(kind, run.answers)))


def kind(answer: Answer) -> str:
    """What may be answered under a quota, or none of it."""
    if answer.status == _OK:
        for mode in ("cognito", "presigned"):
            if f'"mode":"{mode}"'.encode() in answer.body:
                return f"{mode} grants"
    if answer.status == _UNAVAILABLE and answer.has(b"retry-after"):
        return "503 with Retry-After"
    return _OTHER


def _figure(scene: Scene, run: Burst, seen: dict[str, int], answers: Counter[str]) -> Figure:
    took = sorted(answer.seconds * 1000 for answer in run.answers)
    return Figure(
        case=_CASE,
        subject=scene.title,
        value=run.per_second,
        unit="answers/s",
        rounds=(run.per_second,),
        more={**answers, "p99_ms": took[len(took) * 99 // 100], **seen},
    )


def main() -> int:
    return run_case("capped", measure)


if __name__ == "__main__":
    sys.exit(main())
