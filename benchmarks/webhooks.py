"""`python -m benchmarks.webhooks`: signed SNS messages into the inbox, acknowledged when committed.

The real service on one core; on the other Postgres (with fsync), the store, the host of the
certificate and the senders, whose messages are signed before any clock starts.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop

import logs
from benchmarks import raw_load, sns_messages, webhook_parts
from benchmarks.stage import cores
from benchmarks.webhook_stage import CertificateHost, Service, databases, service
from localcloud import LocalCloud, LocalCloudConfig

_LIBRARIES = ("fastapi", "uvicorn", "uvloop", "sqlalchemy", "asyncpg", "aiosqlite", "cryptography")
_ELSEWHERE = {"UPLOADGATE_COMPLETION__IN_SERVER": "false"}


@dataclass(frozen=True)
class Case:
    name: str
    database: str
    settings: dict[str, str]
    times: int = 1


CASES = (
    Case("each message once", "postgres", _ELSEWHERE),
    Case("each message twice", "postgres", _ELSEWHERE, times=2),
    Case("once, every request logged", "postgres", {**_ELSEWHERE, "UPLOADGATE_LOG_LEVEL": "info"}),
    Case("once, the processor beside it", "postgres", {}),
    Case("each message once", "sqlite", _ELSEWHERE),
    Case("each message twice", "sqlite", _ELSEWHERE, times=2),
)


@dataclass(frozen=True)
class Figures:
    """Of one round, or the medians of several (of counts: the sums). `cpu_us` is what a request
    costs the service, whatever else this machine does; `lost` what was acknowledged as new and is
    not in the inbox, or the other way round.
    """

    per_second: float
    median_ms: float
    p99_ms: float
    cpu_us: float
    service_busy: float
    senders_busy: float
    failures: int
    acknowledged: int
    accepted: int
    rows: int

    @property
    def lost(self) -> int:
        return abs(self.rows - self.accepted) + self.failures


async def one_round(made: Service, requests: list[bytes], connections: int) -> Figures:
    await made.clear()
    used = made.processor_seconds
    run = await raw_load.run("127.0.0.1", made.port, requests, connections=connections)
    used = made.processor_seconds - used
    return Figures(
        per_second=run.per_second,
        median_ms=run.median_ms,
        p99_ms=run.p99_ms,
        cpu_us=used / len(run.took) * 1e6,
        service_busy=used / run.seconds,
        senders_busy=run.busy,
        failures=run.failures,
        acknowledged=len(run.took),
        accepted=sum(json.loads(body)["accepted"] for body in run.bodies),
        rows=await made.rows(),
    )


def summed_up(found: list[Figures]) -> Figures:
    columns = {name: [asdict(one)[name] for one in found] for name in asdict(found[0])}
    return Figures(
        **{
            name: sum(values) if isinstance(values[0], int) else statistics.median(values)
            for name, values in columns.items()
        }
    )


async def measure(
    cases: list[Case], options: argparse.Namespace
) -> tuple[dict[str, Figures], dict[str, float]]:
    signer = sns_messages.Signer.made()
    needed = len(cases) * options.rounds + 1
    batches = [sns_messages.requests(signer, "uploads", options.count) for _ in range(needed)]
    os.sched_setaffinity(0, cores()[1])
    found: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        async with (
            LocalCloud.running(LocalCloudConfig(data_dir=directory / "cloud")) as cloud,
            databases(sorted({case.database for case in cases}), directory) as urls,
            CertificateHost(signer.certificate()).running() as host,
        ):
            for case in cases:
                fetched = host.fetches
                async with service(cloud, urls[case.database], host, case.settings) as made:
                    rounds = []
                    for _ in range(options.rounds):
                        requests = [one for one in batches.pop() for _ in range(case.times)]
                        rounds.append(await one_round(made, requests, options.connections))
                if host.fetches != fetched + 1:
                    raise SystemExit(f"{host.fetches - fetched} fetches of one certificate")
                found[f"{case.database}: {case.name}"] = summed_up(rounds)
            where = await webhook_parts.parts(signer, batches[0][:200])
            for kind, url in urls.items():
                where[f"its share of a commit, {kind}"] = await webhook_parts.committing(
                    url, batches[0]
                )
    return found, where


def table(found: dict[str, Figures]) -> str:
    columns = (
        "a second|median ms|p99 ms|µs of the service|senders busy|acknowledged|new|rows|failures"
    )
    lines = [f"| webhooks | {columns.replace('|', ' | ')} |", "|---" + "|--:" * 9 + "|"]
    for name, one in found.items():
        speed = f"{one.per_second:,.0f} | {one.median_ms:.0f} | {one.p99_ms:.0f} | {one.cpu_us:.0f}"
        counts = f"{one.acknowledged} | {one.accepted} | {one.rows} | {one.failures}"
        lines.append(f"| {name} | {speed} | {one.senders_busy:.0%} | {counts} |")
    return "\n".join(lines)


def where_table(where: dict[str, float]) -> str:
    rows = [f"| {name} | {took:.0f} |" for name, took in where.items()]
    return "\n".join(["| where it goes | µs |", "|---|--:|", *rows])


def with_the_rest(where: dict[str, float], found: dict[str, Figures]) -> dict[str, float]:
    """What is left of a request on Postgres, once its parts are known."""
    whole = found.get(f"postgres: {CASES[0].name}")
    if whole is None:
        return where
    known = sum(took for name, took in where.items() if "sqlite" not in name)
    return where | {"the HTTP server, sockets, the event loop": whole.cpu_us - known}


def versions() -> dict[str, str]:
    libraries = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {"python": platform.python_version(), **libraries}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.webhooks")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=4000, help="Messages a round.")
    parser.add_argument("--connections", type=int, default=200)
    parser.add_argument("--only", default="", help="Cases whose name holds this text.")
    parser.add_argument("--json", type=Path, help="Write the figures here too.")
    options = parser.parse_args()
    logs.configure("warning", "json")
    cases = [case for case in CASES if options.only in f"{case.database}: {case.name}"]
    found, where = uvloop.run(measure(cases, options))
    where = with_the_rest(where, found)
    print(f"{options.connections} senders, {options.count} messages a round, ", end="")
    print(f"medians of {options.rounds} rounds; load average {os.getloadavg()[0]:.1f}.")
    print(", ".join(f"{name} {version}" for name, version in versions().items()), end="\n\n")
    print(table(found), end="\n\n")
    print(where_table(where))
    if options.json:
        figures = {name: asdict(one) for name, one in found.items()}
        told = {"versions": versions(), "figures": figures, "microseconds": where}
        options.json.write_text(json.dumps(told, indent=2))
    return 0 if all(one.lost == 0 for one in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
