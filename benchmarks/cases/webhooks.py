"""Signed SNS messages into the inbox, each acknowledged when it is committed.

The real service on one core; on the other Postgres (with fsync), the store, the host of the
certificate and the senders, whose messages are signed before any clock starts.
"""

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import logs
from benchmarks import raw_load, sns_messages, webhook_parts
from benchmarks.footprint import processor_seconds
from benchmarks.record import Figure, Section, Target, versions
from benchmarks.report import run_case
from benchmarks.rounds import Rounds
from benchmarks.stage import cores
from benchmarks.webhook_stage import CertificateHost, Service, databases, service
from localcloud import LocalCloud, LocalCloudConfig

CASE = "webhooks"
_WHERE = "a webhook: where its time goes"
_SENDERS = 200
_MESSAGES = 4000
_WARMING = 500
_IN_PARTS = 200
_LEAST, _MOST_MS = 2500.0, 1000.0
_LIBRARIES = ("fastapi", "uvicorn", "uvloop", "sqlalchemy", "asyncpg", "aiosqlite", "cryptography")
_ELSEWHERE = {"UPLOADGATE_COMPLETION__IN_SERVER": "false"}
_COUNTS = ("acknowledged", "new", "rows", "failures", "lost")
_SET_UP = (
    f"{_SENDERS} senders, {_MESSAGES:,} messages of one record a round, each signed with RSA-2048 "
    "and SHA-256; answered when its row is committed. Postgres with fsync. Log level warning and "
    "the processor elsewhere where nothing else is said."
)
_COUNTED = (
    "Counts are of all rounds. `lost` is what was acknowledged as new and has no row, or the other "
    "way round, and what was not acknowledged."
)
_IN_PIECES = (
    "Where its time goes: the least of ten rounds of each part alone, in µs of the processor; the "
    "server's is the rest of a whole request on Postgres."
)


@dataclass(frozen=True, slots=True)
class Subject:
    name: str
    database: str
    settings: Mapping[str, str]
    times: int = 1

    @property
    def title(self) -> str:
        return f"uploadgate, {self.database}, {self.name}"


SUBJECTS = (
    Subject("each message once", "postgres", _ELSEWHERE),
    Subject("each message twice", "postgres", _ELSEWHERE, times=2),
    Subject("once, log level info", "postgres", {**_ELSEWHERE, "UPLOADGATE_LOG_LEVEL": "info"}),
    Subject("once, the processor beside it", "postgres", {}),
    Subject("each message once", "sqlite", _ELSEWHERE),
    Subject("each message twice", "sqlite", _ELSEWHERE, times=2),
)
FIRST = SUBJECTS[0].title


async def measure(rounds: int) -> Section:
    logs.configure("warning", "json")
    signer = sns_messages.Signer.made()
    counts = (_WARMING, *[_MESSAGES] * (rounds + 1))
    batches = [sns_messages.requests(signer, "uploads", count) for count in counts]
    os.sched_setaffinity(0, cores()[1])
    found = Rounds(CASE, "webhooks/s", summed=_COUNTS)
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        config = LocalCloudConfig(data_dir=directory / "cloud", s3_port=0, cognito_port=0)
        cloud = await stack.enter_async_context(LocalCloud.running(config))
        kinds = sorted({subject.database for subject in SUBJECTS})
        urls = await stack.enter_async_context(databases(kinds, directory))
        host = CertificateHost(signer.certificate())
        await stack.enter_async_context(host.running())
        for subject in SUBJECTS:
            url, fetched = urls[subject.database], host.fetches
            async with service(cloud, url, directory, host, subject.settings) as made:
                await _rounds(found, made, subject, batches[:-1])
            if host.fetches != fetched + 1:
                raise RuntimeError(f"{host.fetches - fetched} fetches of one certificate")
        parts = await _parts(signer, batches[-1], urls)
    figures = found.figures()
    return Section(
        name="webhooks",
        figures=[*figures, *_where(parts, figures)],
        targets=_targets(figures),
        notes=[_SET_UP, _COUNTED, _IN_PIECES],
        versions=versions(*_LIBRARIES),
    )


async def _rounds(
    found: Rounds, made: Service, subject: Subject, batches: Sequence[list[bytes]]
) -> None:
    """The first one warms. Every round begins with an empty inbox, so messages serve again."""
    for number, batch in enumerate(batches):
        requests = [request for request in batch for _ in range(subject.times)]
        await made.clear()
        used = processor_seconds(made.pid)
        run = await raw_load.run("127.0.0.1", made.port, requests, connections=_SENDERS)
        used = processor_seconds(made.pid) - used
        if number:
            await _add(found, subject.title, run, used, await made.rows())


async def _add(found: Rounds, title: str, run: raw_load.Run, used: float, rows: int) -> None:
    new = sum(json.loads(body)["accepted"] for body in run.bodies)
    found.add(
        title,
        run.per_second,
        median_ms=run.median_ms,
        p99_ms=run.p99_ms,
        cpu_us=used / len(run.took) * 1e6,
        server_busy=used / run.seconds,
        load_busy=run.busy,
        acknowledged=len(run.took),
        new=new,
        rows=rows,
        failures=run.failures,
        lost=abs(rows - new) + run.failures,
    )


async def _parts(
    signer: sns_messages.Signer, batch: list[bytes], urls: Mapping[str, str]
) -> dict[str, float]:
    parts = await webhook_parts.parts(signer, batch[:_IN_PARTS])
    for kind, url in urls.items():
        parts[f"its share of a commit, {kind}"] = await webhook_parts.committing(url, batch)
    return parts


def _where(parts: Mapping[str, float], figures: Sequence[Figure]) -> list[Figure]:
    """What is left of a webhook on Postgres, once its parts are known, is the server's."""
    whole = _seen(figures, FIRST, "cpu_us")
    known = sum(took for name, took in parts.items() if "sqlite" not in name)
    everything = {**parts, "the HTTP server, sockets, the event loop": whole - known}
    return [
        Figure(case=_WHERE, subject=name, value=took, unit="µs")
        for name, took in everything.items()
    ]


def _targets(figures: Sequence[Figure]) -> list[Target]:
    once = next(figure for figure in figures if figure.subject == FIRST)
    p99, lost = _seen(figures, FIRST, "p99_ms"), sum(_seen(figures, one.title) for one in SUBJECTS)
    speed = "a bound: on one core, Postgres, each message once"
    late = f"a bound: p99 of {_SENDERS} senders"
    return [
        Target(case=CASE, against=speed, found=once.value, least=_LEAST, unit="webhooks/s"),
        Target(case=CASE, against=late, found=p99, most=_MOST_MS, unit="ms"),
        Target(case=CASE, against="none lost, of all rounds", found=lost, most=0, unit="messages"),
    ]


def _seen(figures: Sequence[Figure], subject: str, name: str = "lost") -> float:
    return next(float(one.more[name] or 0) for one in figures if one.subject == subject)


def main() -> int:
    return run_case("webhooks", measure)


if __name__ == "__main__":
    sys.exit(main())
