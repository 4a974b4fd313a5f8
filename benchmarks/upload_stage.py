"""The stage of the uploads' benchmark: the real service on one core; on the other Postgres (durable,
as a server of one's own is), the store and the load. One user, one large upload whose parts are
signed again and again.
"""

import asyncio
import contextlib
import os
import secrets
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.stage import ROOT, cores, free_port, ready
from localcloud import LocalCloud

LARGE = 1_000_000_000  # bytes, 120 parts
_TICKS = os.sysconf("SC_CLK_TCK")
_ANSWER_SECONDS = 30.0


@dataclass(frozen=True)
class UploadStage:
    """A running replica with its user. `processor_seconds` is what it has used, user and system."""

    port: int
    pid: int
    token: str
    upload_id: str
    key: str
    multipart_id: str

    @property
    def processor_seconds(self) -> float:
        stat = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / _TICKS

    def request(self, path: str, body: bytes) -> bytes:
        """A POST of JSON, as it goes over the wire."""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Authorization: Bearer {self.token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


@contextlib.asynccontextmanager
async def running(
    cloud: LocalCloud, database_url: str, settings: Mapping[str, str]
) -> AsyncIterator[UploadStage]:
    """`settings` beside those of a production replica, as its environment has them."""
    port = free_port()
    environment = cloud.environment() | {
        "PATH": os.environ["PATH"],
        "UPLOADGATE_ENVIRONMENT": "development",
        "UPLOADGATE_DATABASE__URL": database_url,
        "UPLOADGATE_AUTH__SIGNING_KEY": secrets.token_urlsafe(32),
        "UPLOADGATE_HTTP__PORT": str(port),
        "UPLOADGATE_LOG_LEVEL": "warning",
        "UPLOADGATE_DRAIN_SECONDS": "0",
        **settings,
    }
    async with _service(environment) as pid:
        url = f"http://127.0.0.1:{port}"
        await ready(url)
        async with httpx.AsyncClient(base_url=url, timeout=_ANSWER_SECONDS) as client:
            token = await _log_in(client, environment)
            client.headers["Authorization"] = f"Bearer {token}"
            made = await _announced(client)
        multipart_id = made["multipart"]["upload_id"]
        yield UploadStage(port, pid, token, made["id"], made["key"], multipart_id)


@contextlib.asynccontextmanager
async def _service(environment: dict[str, str]) -> AsyncIterator[int]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.main", "serve"),
        cwd=ROOT,
        env=environment,
        stderr=asyncio.subprocess.DEVNULL,  # its log, which is written all the same
    )
    os.sched_setaffinity(process.pid, cores()[0])
    try:
        yield process.pid
    finally:
        process.terminate()
        await process.wait()


async def _log_in(client: httpx.AsyncClient, environment: dict[str, str]) -> str:
    name, password = f"user-{secrets.token_hex(4)}", secrets.token_urlsafe(16)
    adding = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.main", "user", "add", name, "--password-stdin"),
        cwd=ROOT,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    await adding.communicate(password.encode())
    answer = await client.post("/v1/auth/login", json={"username": name, "password": password})
    answer.raise_for_status()
    token: str = answer.json()["access_token"]
    return token


async def _announced(client: httpx.AsyncClient) -> dict[str, Any]:
    """Its first parts are signed already, so that it is under way."""
    announced = {"filename": "holiday.mp4", "size": LARGE, "transport": "presigned"}
    answer = await client.post("/v1/uploads", json=announced)
    answer.raise_for_status()
    made: dict[str, Any] = answer.json()
    signed = await client.post(f"/v1/uploads/{made['id']}/parts", json={"part_numbers": [1]})
    signed.raise_for_status()
    return made
