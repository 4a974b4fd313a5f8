"""Signing parts with caller and record checked every time, against @uppy/companion, which checks
nobody; and announcing an upload, with where its time goes.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from benchmarks import raw_load, upload_areas, upload_stage
from benchmarks.footprint import processor_seconds
from benchmarks.peers import companion_peer
from benchmarks.record import Figure, Section, Target, versions
from benchmarks.report import run_case
from benchmarks.rounds import Rounds
from benchmarks.stage import cores
from benchmarks.upload_stage import LARGE, UploadStage
from benchmarks.webhook_stage import databases
from localcloud import LocalCloud, LocalCloudConfig

_CONNECTIONS = 32
_SECONDS = 2.0
_SMALL = 5  # bytes
_KINDS = ("sqlite", "postgres")
_LIBRARIES = ("fastapi", "uvicorn", "uvloop", "pydantic", "sqlalchemy", "asyncpg", "aiosqlite")
_ONE, _MANY = "sign one part", f"sign {companion_peer.PARTS} parts"
_PRESIGN = "sign one request of Uppy's"
_COMPANION = "@uppy/companion, which checks nobody"
_LEAST = {_ONE: 3.0, _MANY: 20.0}
_NOTE = (
    f"{_CONNECTIONS} connections over 64 uploads; the caller's token and the upload's record are "
    "checked for every request; log level warning where nothing else is said, info being one line "
    "a request. Databases, store and load are on the other core; Postgres with fsync."
)


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is asked, and what."""

    pid: int
    port: int
    requests: Sequence[bytes]


async def measure(rounds: int) -> Section:
    section = Section(name="uploads", notes=[_NOTE], versions=versions(*_LIBRARIES))
    service, other = cores()
    os.sched_setaffinity(0, other)
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        config = LocalCloudConfig(data_dir=directory / "cloud")
        cloud = await stack.enter_async_context(LocalCloud.running(config))
        urls = await stack.enter_async_context(databases(_KINDS, directory))
        stages = {
            kind: await stack.enter_async_context(upload_stage.running(cloud, url, directory))
            for kind, url in urls.items()
        }
        talking = await stack.enter_async_context(
            upload_stage.running(cloud, urls["postgres"], directory, log_level="info")
        )
        peer = await stack.enter_async_context(companion_peer.running(service))
        section.versions |= peer.versions
        if isinstance(peer, companion_peer.Absent):
            section.notes.append(peer.reason)
        for found in _signing(stages, talking, peer):
            await _interleaved(section, found, rounds)
        for name, size in (("create an upload", _SMALL), ("create an upload in parts", LARGE)):
            creating = {kind: _subject(stage, stage.create(size)) for kind, stage in stages.items()}
            subjects = {_ours(kind): subject for kind, subject in creating.items()}
            await _interleaved(section, (name, subjects), rounds)
            for kind, subject in creating.items():
                case = f"{name}, {kind}: where its time goes"
                section.figures += await _where(case, subject, directory / "samples")
    return section


Case = tuple[str, dict[str, Subject]]


def _signing(
    stages: dict[str, UploadStage],
    talking: UploadStage,
    peer: companion_peer.Companion | companion_peer.Absent,
) -> list[Case]:
    def ours(count: int) -> dict[str, Subject]:
        named = {_ours(kind): stage for kind, stage in stages.items()}
        named["uploadgate, postgres, log level info"] = talking
        return {name: _subject(stage, stage.sign_parts(count)) for name, stage in named.items()}

    uppys = {_ours(kind): _subject(stage, stage.presign()) for kind, stage in stages.items()}
    cases = {_ONE: ours(1), _MANY: ours(companion_peer.PARTS), _PRESIGN: uppys}
    if isinstance(peer, companion_peer.Companion):
        cases[_ONE][_COMPANION] = _theirs(peer, peer.params)
        cases[_MANY][_COMPANION] = _theirs(peer, peer.batch)
    return list(cases.items())


def _ours(kind: str) -> str:
    return f"uploadgate, {kind}"


def _subject(stage: UploadStage, requests: Sequence[bytes]) -> Subject:
    return Subject(stage.pid, stage.port, requests)


def _theirs(peer: companion_peer.Companion, path: str) -> Subject:
    port = int(peer.url.rpartition(":")[2])
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"
    return Subject(0, port, [request.encode()])


async def _interleaved(section: Section, case: Case, rounds: int) -> None:
    """Each subject in turn, round by round."""
    name, subjects = case
    found = Rounds(name, "requests/s")
    for number in range(rounds + 1):  # the first one warms
        for title, subject in subjects.items():
            await _one(found if number else None, title, subject)
    section.figures += found.figures()
    for kind in _KINDS:
        if name in _LEAST:
            section.targets += [
                Target(
                    case=f"{name}, {kind}",
                    against=target.against,
                    found=target.found,
                    least=target.least,
                )
                for target in found.at_least(_LEAST[name], _ours(kind), _COMPANION)
            ]


async def _one(found: Rounds | None, title: str, subject: Subject) -> float:
    """Processor seconds of one request."""
    used = processor_seconds(subject.pid) if subject.pid else 0.0
    run = await raw_load.run(
        "127.0.0.1",
        subject.port,
        raw_load.lasting(cycle(subject.requests), _SECONDS),
        connections=_CONNECTIONS,
    )
    if run.failures:
        raise RuntimeError(f"{title}: {run.statuses}")
    each = (processor_seconds(subject.pid) - used) / len(run.took) if subject.pid else 0.0
    if found is not None:
        found.add(
            title,
            run.per_second,
            median_ms=run.median_ms,
            p99_ms=run.p99_ms,
            cpu_us=each * 1e6 if subject.pid else None,
            load_busy=run.busy,
        )
    return each


async def _where(case: str, subject: Subject, file: Path) -> list[Figure]:
    """Of a round of its own, as being looked at costs time; µs of the service's processor."""
    sampling = asyncio.create_task(upload_areas.sampled(subject.pid, _SECONDS, file))
    each = await _one(None, case, subject)
    try:
        shares = await sampling
    except OSError:  # no py-spy here, or it may not look
        return []
    return [
        Figure(case=case, subject=area, value=share * each * 1e6, unit="µs")
        for area, share in shares.items()
    ]


def main() -> int:
    return run_case("uploads", measure)


if __name__ == "__main__":
    sys.exit(main())
