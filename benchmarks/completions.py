"""`python -m benchmarks.completions`: from an event in the inbox to a completed record.

The worker has one core; Postgres (or SQLite, in the worker itself) and SeaweedFS the other. Every
completion is a claim's share, a HEAD at the store, and one transaction with usage and event.
"""

import argparse
import asyncio
import dataclasses
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import completion_stage
from benchmarks.completion_stage import Run, announced, areas, one
from benchmarks.stage import cores
from benchmarks.webhook_stage import databases
from localcloud import LocalCloud, LocalCloudConfig


def median(runs: list[Run]) -> Run:
    names = [part.name for part in dataclasses.fields(Run)]
    return Run(**{name: statistics.median(getattr(run, name) for run in runs) for name in names})


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    found: dict[str, Any] = {}
    worker_cores, other_cores = cores()
    os.sched_setaffinity(0, other_cores)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        async with (
            LocalCloud.running(LocalCloudConfig(data_dir=directory / "cloud")) as cloud,
            databases(options.databases, directory) as urls,
        ):
            uploads = announced(cloud.bucket, options.count, options.users)
            await completion_stage.store(cloud, uploads)
            for kind, url in urls.items():
                run = median(
                    [await one(cloud, url, uploads, worker_cores) for _ in range(options.rounds)]
                )
                seconds = 0.8 * options.count / run.per_second
                shares = await areas(cloud, url, uploads, worker_cores, seconds)
                found[kind] = {**dataclasses.asdict(run), "areas": shares}
    return found


def table(found: dict[str, Any]) -> str:
    lines = ["| database | completions/s | µs of the worker's core each | its core is busy |"]
    lines.append("|---|--:|--:|--:|")
    for kind, run in found.items():
        figures = f"{run['per_second']:,.0f} | {run['cpu_us']:,.0f} | {run['busy']:.0%}"
        lines.append(f"| {kind} | {figures} |")
    for kind, run in found.items():
        lines += ["", f"| {kind}: where the worker's time goes | share | µs |", "|---|--:|--:|"]
        for area, share in run["areas"].items():
            lines.append(f"| {area} | {share:.0%} | {share * run['cpu_us']:,.0f} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.completions")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=3000, help="Completions of one round.")
    parser.add_argument("--users", type=int, default=100, help="Whose uploads they are.")
    parser.add_argument("--databases", nargs="+", default=["postgres", "sqlite"])
    parser.add_argument("--json", type=Path, help="Write the figures here too.")
    options = parser.parse_args()
    found = asyncio.run(measure(options))
    print(f"{options.count} completions of {options.users} users, medians of {options.rounds}\n")
    print(table(found))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
