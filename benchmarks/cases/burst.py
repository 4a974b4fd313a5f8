"""Thousands of users at once, at a Cognito that takes its time: how many are answered a second, and
what becomes of all other calls meanwhile.
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.burst import Burst, crowd
from benchmarks.footprint import processes, processor_seconds
from benchmarks.grant_stage import GrantStage, Server, grant_stage
from benchmarks.peers.catalogue import PEERS
from benchmarks.probe import Seen, probed
from benchmarks.record import Figure, Section, Target, versions
from benchmarks.report import run_case
from benchmarks.rounds import Rounds

_CASE = "burst of 5,000"
_ALL = 5000
_FEWER = 1000  # for who would take a minute and more
_LATENCY_MS = 200
# More often, one connection could not ask while answers take some 20 ms.
_EVERY = 0.05  # seconds
_OURS = "uploadgate"
_BARE, _FLASK = PEERS["bare"].title, PEERS["flask"].title
_MOST_MS = 100.0
_NOTE = (
    f"{_ALL:,} requests at once, each of another user on a connection of its own, Cognito answers "
    f"in {_LATENCY_MS} ms; those with threads get {_FEWER:,}. Flask's connections are opened as "
    "the requests are sent, as a thread waits on each open one."
)


@dataclass(frozen=True, slots=True)
class Subject:
    server: Server
    count: int
    open_before: bool = True


async def measure(rounds: int) -> Section:
    found, livez = Rounds(_CASE, "requests/s"), Rounds(f"{_CASE}, /livez meanwhile", "ms p99")
    with tempfile.TemporaryDirectory() as name:
        async with grant_stage(Path(name), latency_ms=_LATENCY_MS) as stage:
            subjects = await _subjects(stage)
            for number in range(rounds):
                for title, subject in subjects.items():
                    users = range(number * _ALL, number * _ALL + subject.count)
                    await _one(found, livez, title, subject, stage.requests(users))
    seen = livez.figures()
    return Section(
        name="burst",
        figures=[*found.figures(), *seen],
        targets=[
            *found.at_least(8, _OURS, _FLASK),
            *found.at_least(0.85, _OURS, _BARE),
            *_all_answered(found.figures()),
            *[
                Target(
                    case=one.case, against="a bound", found=one.value, most=_MOST_MS, unit=one.unit
                )
                for one in seen
                if one.subject == _OURS
            ],
        ],
        notes=[_NOTE, *stage.absent],
        versions=versions(
            *("fastapi", "uvicorn", "uvloop", "aioboto3", "botocore", "boto3", "flask"), "gunicorn"
        ),
    )


async def _subjects(stage: GrantStage) -> dict[str, Subject]:
    found = {
        _OURS: Subject(
            await stage.ours(
                await stage.database(),
                COGNITO__CALLS_PER_SECOND="0",
                # Everybody is to have a token, as everybody has one of the peers.
                COGNITO__WAIT_SECONDS="30",
            ),
            _ALL,
        )
    }
    for peer, count in (("bare", _ALL), ("threads", _FEWER), ("flask", _FEWER)):
        if server := await stage.peer(peer):
            found[PEERS[peer].title] = Subject(server, count, open_before=peer != "flask")
    return found


async def _one(
    found: Rounds, livez: Rounds, title: str, subject: Subject, requests: list[bytes]
) -> None:
    server = subject.server
    used = sum(map(processor_seconds, processes(server.pid)))
    lined_up = crowd([server.port], requests, open_before=subject.open_before)
    async with lined_up as go, probed(server.port, every=_EVERY) as seen:
        run = await go()
    used = sum(map(processor_seconds, processes(server.pid))) - used
    grants = sum(b'"cognito"' in answer.body for answer in run.answers)
    found.add(
        title,
        run.per_second,
        at_once=len(requests),
        answered=run.answered,
        cognito_grants=grants,
        answers=_told(run),
        seconds=run.seconds,
        cpu_seconds=used,
    )
    _note_livez(livez, title, seen)


def _told(run: Burst) -> str:
    return ", ".join(f"{count} × {status}" for status, count in run.told().items())  # noqa: RUF001


def _note_livez(livez: Rounds, title: str, seen: Seen) -> None:
    livez.add(
        title,
        seen.p99_ms,
        connect_ms=seen.connect_ms,
        first_ms=seen.first_ms,
        p99_from_sending_ms=seen.p99_from_sending_ms,
        median_ms=seen.median_ms,
        most_ms=seen.most_ms,
        calls=seen.calls,
        failures=seen.failures,
        reconnects=seen.reconnects,
    )


def _all_answered(figures: list[Figure]) -> list[Target]:
    return [
        Target(
            case=_CASE,
            against="all are answered with a grant of Cognito's",
            found=float(figure.more["cognito_grants"] or 0),
            least=_ALL,
            unit="grants",
        )
        for figure in figures
        if figure.subject == _OURS
    ]


def main() -> int:
    return run_case("burst", measure)


if __name__ == "__main__":
    sys.exit(main())
