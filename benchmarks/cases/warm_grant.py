"""A grant whose token is at hand: what the service adds to a check of the caller and an answer."""

import sys
import tempfile
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from benchmarks import raw_load
from benchmarks.footprint import processor_seconds
from benchmarks.grant_stage import GrantStage, Server, grant_stage
from benchmarks.peers.catalogue import PEERS
from benchmarks.record import Section, versions
from benchmarks.report import run_case
from benchmarks.rounds import Rounds

_CONNECTIONS = 32
_SECONDS = 1.5
_USERS = 1000
_OURS = "uploadgate, one user"
_EMPTY, _PYJWT = PEERS["empty"].title, PEERS["pyjwt"].title
_NO_LIMIT = {"COGNITO__CALLS_PER_SECOND": "0", "COGNITO__TOKEN_SECONDS": "86400"}
_NOT_IN_PROCESS = {"COGNITO__TOKEN_CACHE": "0"}
_NOTE = (
    f"{_CONNECTIONS} connections; Postgres behind the service; log level warning where nothing "
    "else is said, info being one line a request into a file."
)


@dataclass(frozen=True, slots=True)
class Subject:
    server: Server
    requests: list[bytes]


async def measure(rounds: int) -> Section:
    found = Rounds("warm grant", "requests/s")
    with tempfile.TemporaryDirectory() as name:
        async with grant_stage(Path(name)) as stage:
            subjects = await _subjects(stage)
            for subject in subjects.values():
                await _warm(subject)
            for _ in range(rounds):
                for title, subject in subjects.items():
                    await _one(found, stage, title, subject)
    return Section(
        name="warm_grant",
        figures=found.figures(),
        targets=[*found.at_least(1.0, _OURS, _PYJWT), *found.at_least(0.60, _OURS, _EMPTY)],
        notes=[_NOTE, *stage.absent],
        versions=versions("fastapi", "uvicorn", "uvloop", "httptools", "pyjwt", "joserfc", "redis"),
    )


async def _subjects(stage: GrantStage) -> dict[str, Subject]:
    requests = stage.requests(range(_USERS))
    one, all_ = requests[:1], requests
    found = {}
    for peer in ("empty", "pyjwt"):
        if server := await stage.peer(peer):
            found[PEERS[peer].title] = Subject(server, one)
    server = await stage.ours(await stage.database(), **_NO_LIMIT)
    found[_OURS] = Subject(server, one)
    found[f"uploadgate, {_USERS:,} users"] = Subject(server, all_)
    talking = await stage.ours(await stage.database(), LOG_LEVEL="info", **_NO_LIMIT)
    found["uploadgate, one user, log level info"] = Subject(talking, one)
    if redis := stage.redis():
        shared = await stage.ours(
            await stage.database(), REDIS__URL=redis, **_NOT_IN_PROCESS, **_NO_LIMIT
        )
        found[f"uploadgate, {_USERS:,} users, by Valkey hit"] = Subject(shared, all_)
    return found


async def _warm(subject: Subject) -> None:
    run = await raw_load.run(
        "127.0.0.1", subject.server.port, subject.requests, connections=_CONNECTIONS
    )
    if run.failures:
        raise RuntimeError(f"not every grant was given: {run.statuses}")


async def _one(found: Rounds, stage: GrantStage, title: str, subject: Subject) -> None:
    await stage.upstream.control(reset=True)
    requests = raw_load.lasting(cycle(subject.requests), _SECONDS)
    used = processor_seconds(subject.server.pid)
    run = await raw_load.run("127.0.0.1", subject.server.port, requests, connections=_CONNECTIONS)
    used = processor_seconds(subject.server.pid) - used
    found.add(
        title,
        run.per_second,
        median_ms=run.median_ms,
        p99_ms=run.p99_ms,
        cpu_us=used / max(1, len(run.took)) * 1e6,
        server_busy=used / run.seconds,
        load_busy=run.busy,
        failures=run.failures,
        presigned=sum(b'"presigned"' in body for body in run.bodies),
        upstream_calls=(await stage.upstream.counts())["calls"],
    )


def main() -> int:
    return run_case("warm_grant", measure)


if __name__ == "__main__":
    sys.exit(main())
