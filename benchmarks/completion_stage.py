"""The stage of the completion benchmark: announced uploads, their objects really in the store, one
event each in the inbox; the worker on one core, databases and store on the other.
"""

import asyncio
import contextlib
import os
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import aiohttp
from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection
from yarl import URL

from aws.signer.credentials import SigningCredentials
from aws.signer.presigner import Presigner
from benchmarks.areas import sampled
from benchmarks.stage import ROOT
from localcloud import LocalCloud
from service.clock import utc_now
from service.completion.events import ObjectEvent
from service.uploads.model import Origin, Transport, Upload, UploadStatus
from state import schema, tables
from state.database import Database
from state.inbox import SqlInbox
from state.upload_rows import row_of

_BODY = b"a small object"
_TICKS = os.sysconf("SC_CLK_TCK")
_AT_ONCE = 16
_TOGETHER = 500  # rows of one INSERT
_LONGEST = 300.0  # seconds of one round


@dataclass(frozen=True)
class Run:
    """Of one round. `cpu_us` is the worker's own time, a completion."""

    per_second: float
    cpu_us: float
    busy: float


def announced(bucket: str, count: int, users: int) -> list[Upload]:
    now = utc_now()
    return [
        Upload(
            id=f"upl_{number:032x}",
            user_id=f"usr_{number % users}",
            status=UploadStatus.PENDING,
            origin=Origin.API,
            transport=Transport.PRESIGNED,
            transport_reason="auto",
            profile="default",
            filename="a.txt",
            content_type="text/plain",
            bucket=bucket,
            key=f"us-east-1:{number % users:08x}/upl_{number:032x}/a.txt",
            created_at=now,
            updated_at=now,
            expires_at=now + timedelta(days=7),
            # No look of the sweep's comes into the measurement.
            next_look_at=now + timedelta(days=1),
            metadata={"album": "holiday"},
            declared_size=len(_BODY),
            charged=len(_BODY),
        )
        for number in range(count)
    ]


async def store(cloud: LocalCloud, uploads: list[Upload]) -> None:
    """As clients do, at presigned addresses."""
    keys = SigningCredentials(cloud.service_access_key_id, cloud.service_secret_access_key)

    async def credentials() -> SigningCredentials:
        return keys

    signer = Presigner(credentials=credentials, region=cloud.region, endpoint=cloud.s3_endpoint)
    left = iter(uploads)

    async def some(session: aiohttp.ClientSession) -> None:
        for upload in left:
            signed = await signer.put(
                upload.bucket,
                upload.key,
                size=len(_BODY),
                content_type=upload.content_type,
                checksum=None,
                upload_id=upload.id,
                seconds=900,
            )
            url = URL(signed.url, encoded=True)
            async with session.put(url, data=_BODY, headers=signed.headers) as answer:
                answer.raise_for_status()

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(some(session))


async def prepare(database: Database, uploads: list[Upload]) -> None:
    """Empties the tables and fills them anew."""
    now = utc_now()
    fresh = [replace(upload, created_at=now, updated_at=now) for upload in uploads]
    async with database.transaction() as connection:
        for table in (
            *(tables.deliveries, tables.events, tables.user_sequences, tables.inbox),
            *(tables.usage, tables.uploads),
        ):
            await connection.execute(delete(table))
        for start in range(0, len(fresh), _TOGETHER):
            rows = [row_of(upload) for upload in fresh[start : start + _TOGETHER]]
            await connection.execute(insert(tables.uploads), rows)
        await _count(connection)
    inbox = SqlInbox(database, limit=10 * len(fresh))
    for start in range(0, len(fresh), _TOGETHER):
        await inbox.put([_event(upload) for upload in fresh[start : start + _TOGETHER]], now)


async def _count(connection: AsyncConnection) -> None:
    uploads, usage = tables.uploads.c, tables.usage.c
    counted = select(
        uploads.user_id, uploads.profile, func.sum(uploads.charged), func.count()
    ).group_by(uploads.user_id, uploads.profile)
    names = [usage.user_id, usage.profile, usage.bytes, usage.in_flight]
    await connection.execute(insert(tables.usage).from_select(names, counted))


def _event(upload: Upload) -> ObjectEvent:
    """Of the size that S3's events have."""
    return ObjectEvent(
        source="sns",
        dedupe_key=secrets.token_hex(32),
        bucket=upload.bucket,
        key=upload.key,
        size=len(_BODY),
        etag="e",
        sequencer=f"{time.time_ns():018x}",
        event_time=utc_now(),
        raw="{" + "x" * 700 + "}",
    )


@contextlib.asynccontextmanager
async def worker(
    cloud: LocalCloud, url: str, cores: set[int]
) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = cloud.environment() | {
        "PATH": os.environ["PATH"],
        "UPLOADGATE_ENVIRONMENT": "development",
        "UPLOADGATE_DATABASE__URL": url,
        "UPLOADGATE_AUTH__SIGNING_KEY": secrets.token_urlsafe(32),
        "UPLOADGATE_LOG_LEVEL": "info",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.completion_worker"),
        cwd=ROOT,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # the uploads' log lines, which are written all the same
    )
    os.sched_setaffinity(process.pid, cores)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def one(cloud: LocalCloud, url: str, uploads: list[Upload], cores: set[int]) -> Run:
    """From the first claim until no event waits any more; all must be completed by then. `cores`
    are the worker's.
    """
    async with Database.opened(url) as database, worker(cloud, url, cores) as process:
        await schema.upgrade(database)
        await prepare(database, uploads)
        used, began = await _begin(process), time.perf_counter()
        async with asyncio.timeout(_LONGEST):
            while await _waits(database):  # noqa: ASYNC110 - another process ends it
                await asyncio.sleep(0.1)
        seconds = time.perf_counter() - began
        used = _processor_seconds(process.pid) - used
        await _check(database, len(uploads))
    return Run(len(uploads) / seconds, used / len(uploads) * 1e6, used / seconds)


async def areas(
    cloud: LocalCloud, url: str, uploads: list[Upload], cores: set[int], seconds: float
) -> dict[str, float]:
    """Of a round of its own, as being looked at costs time."""
    async with Database.opened(url) as database, worker(cloud, url, cores) as process:
        await prepare(database, uploads)
        await _begin(process)
        with tempfile.TemporaryDirectory() as directory:
            return await sampled(process.pid, seconds, Path(directory) / "samples")


async def _begin(process: asyncio.subprocess.Process) -> float:
    """Processor seconds that it has used so far."""
    if process.stdin is None or process.stdout is None or await process.stdout.readline() == b"":
        raise RuntimeError("the worker did not start")
    used = _processor_seconds(process.pid)
    process.stdin.write(b"\n")
    await process.stdin.drain()
    return used


async def _waits(database: Database) -> bool:
    waiting = select(tables.inbox.c.id).where(tables.inbox.c.done_at.is_(None)).limit(1)
    async with database.transaction() as connection:
        return (await connection.execute(waiting)).first() is not None


async def _check(database: Database, expected: int) -> None:
    query = select(tables.uploads.c.status, func.count()).group_by(tables.uploads.c.status)
    async with database.transaction() as connection:
        found: dict[str, int] = dict((await connection.execute(query)).tuples().all())
        counted = await connection.execute(select(func.count()).select_from(tables.events))
        written = counted.scalar_one()
    if found != {"completed": expected} or written != expected:
        raise RuntimeError(f"not all were completed: {found}, {written} events")


def _processor_seconds(pid: int) -> float:
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / _TICKS
