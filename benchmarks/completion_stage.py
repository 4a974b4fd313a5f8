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
from benchmarks.footprint import processor_seconds
from benchmarks.stage import cores, last_words, started
from localcloud import LocalCloud
from service.clock import utc_now
from service.completion.events import ObjectEvent
from service.uploads.model import Origin, Transport, Upload, UploadStatus
from state import schema, tables
from state.database import Database
from state.inbox import SqlInbox
from state.upload_rows import row_of

_BODY = b"a small object"
_AT_ONCE = 16
_TOGETHER = 500  # rows of one INSERT
_LONGEST = 300.0  # seconds of one round


@dataclass(frozen=True)
class Run:
    """Of one round. `cpu_us` is the worker's own time, a completion."""

    per_second: float
    cpu_us: float
    busy: float
    completed: int
    events: int


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
        await count_usage(connection)
    inbox = SqlInbox(database, limit=10 * len(fresh))
    for start in range(0, len(fresh), _TOGETHER):
        await inbox.put([_event(upload) for upload in fresh[start : start + _TOGETHER]], now)


async def count_usage(connection: AsyncConnection) -> None:
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


@dataclass(frozen=True)
class Worker:
    """It waits until it is told to begin."""

    process: asyncio.subprocess.Process
    log: Path

    async def begin(self) -> float:
        """Processor seconds that it has used so far."""
        told, tell = self.process.stdout, self.process.stdin
        if told is None or tell is None or await told.readline() == b"":
            words = await asyncio.to_thread(last_words, self.log)
            raise RuntimeError(f"the worker did not start: {words}")
        used = processor_seconds(self.process.pid)
        tell.write(b"\n")
        await tell.drain()
        return used


@contextlib.asynccontextmanager
async def worker(cloud: LocalCloud, url: str) -> AsyncIterator[Worker]:
    """Its log lines, one a completion, are written all the same."""
    environment = cloud.environment() | {
        "PATH": os.environ["PATH"],
        "UPLOADGATE_ENVIRONMENT": "development",
        "UPLOADGATE_DATABASE__URL": url,
        "UPLOADGATE_AUTH__SIGNING_KEY": secrets.token_urlsafe(32),
        "UPLOADGATE_LOG_LEVEL": "info",
    }
    command = (sys.executable, "-m", "benchmarks.completion_worker")
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "log"
        async with started(command, environment, log=log, core=cores()[0], pipes=True) as process:
            yield Worker(process, log)


async def one(cloud: LocalCloud, url: str, uploads: list[Upload]) -> Run:
    """From the first claim until no event waits any more; all must be completed by then."""
    async with Database.opened(url) as database, worker(cloud, url) as made:
        await schema.upgrade(database)
        await prepare(database, uploads)
        used, began = await made.begin(), time.perf_counter()
        async with asyncio.timeout(_LONGEST):
            while await _waits(database):  # noqa: ASYNC110 - another process ends it
                await asyncio.sleep(0.1)
        seconds = time.perf_counter() - began
        used = processor_seconds(made.process.pid) - used
        completed, events = await _counted(database)
    count = len(uploads)
    if completed != count or events != count:
        raise RuntimeError(f"{completed} of {count} were completed, {events} events written")
    return Run(count / seconds, used / count * 1e6, used / seconds, completed, events)


async def areas(
    cloud: LocalCloud, url: str, uploads: list[Upload], seconds: float
) -> dict[str, float]:
    """Of a round of its own, as being looked at costs time. Raises OSError where none may look."""
    async with Database.opened(url) as database, worker(cloud, url) as made:
        await prepare(database, uploads)
        await made.begin()
        return await sampled(made.process.pid, seconds, made.log.with_name("samples"))


async def _waits(database: Database) -> bool:
    waiting = select(tables.inbox.c.id).where(tables.inbox.c.done_at.is_(None)).limit(1)
    async with database.transaction() as connection:
        return (await connection.execute(waiting)).first() is not None


async def _counted(database: Database) -> tuple[int, int]:
    """Completed records, and events."""
    completed = select(func.count()).where(tables.uploads.c.status == "completed")
    written = select(func.count()).select_from(tables.events)
    async with database.transaction() as connection:
        found = [(await connection.execute(query)).scalar_one() for query in (completed, written)]
    return found[0], found[1]
