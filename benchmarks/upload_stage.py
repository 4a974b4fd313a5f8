"""The stage of the uploads' benchmark: the real service on one core; on the other Postgres (as safe
as it can be), the store and the load. One user with several large uploads, whose parts are signed
again and again.
"""

import asyncio
import contextlib
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.stage import ROOT, cores, free_port, served
from localcloud import LocalCloud

LARGE = 1_000_000_000  # bytes, 120 parts
_UPLOADS = 64
_ANSWER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class UploadStage:
    """A running replica, its user's token, and the user's uploads as they were announced."""

    port: int
    pid: int
    token: str
    uploads: list[dict[str, Any]]

    def sign_parts(self, count: int) -> list[bytes]:
        """Of each upload in turn."""
        body = {"part_numbers": list(range(1, count + 1))}
        return [self._post(f"/v1/uploads/{made['id']}/parts", body) for made in self.uploads]

    def presign(self) -> list[bytes]:
        """One part of each upload, in Uppy's words."""
        bodies = (
            {
                "method": "PUT",
                "key": made["key"],
                "uploadId": made["multipart"]["upload_id"],
                "partNumber": 1,
            }
            for made in self.uploads
        )
        return [self._post("/v1/s3/presign", body) for body in bodies]

    def create(self, size: int) -> list[bytes]:
        """`size` in bytes: what takes one PUT, or what goes in parts."""
        body = {
            "filename": "holiday.mp4",
            "size": size,
            "content_type": "video/mp4",
            "transport": "presigned",
        }
        return [self._post("/v1/uploads", body)]

    def _post(self, path: str, content: Mapping[str, Any]) -> bytes:
        """As it goes over the wire."""
        body = json.dumps(content).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Authorization: Bearer {self.token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


@contextlib.asynccontextmanager
async def running(
    cloud: LocalCloud, database_url: str, directory: Path, *, log_level: str = "warning"
) -> AsyncIterator[UploadStage]:
    port = free_port()
    environment = cloud.environment() | {
        "PATH": os.environ["PATH"],
        "UPLOADGATE_ENVIRONMENT": "development",
        "UPLOADGATE_DATABASE__URL": database_url,
        "UPLOADGATE_AUTH__SIGNING_KEY": secrets.token_urlsafe(32),
        "UPLOADGATE_HTTP__PORT": str(port),
        "UPLOADGATE_LOG_LEVEL": log_level,
        "UPLOADGATE_DRAIN_SECONDS": "0",
    }
    url, command = f"http://127.0.0.1:{port}", (sys.executable, "-m", "cli.main", "serve")
    log = directory / f"{port}.log"
    async with served(command, environment, f"{url}/readyz", log=log, core=cores()[0]) as pid:
        async with httpx.AsyncClient(base_url=url, timeout=_ANSWER_SECONDS) as client:
            token = await _log_in(client, environment)
            client.headers["Authorization"] = f"Bearer {token}"
            uploads = [await _announced(client) for _ in range(_UPLOADS)]
        yield UploadStage(port, pid, token, uploads)


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
    """Under way: a part of it has been signed."""
    wanted = {"filename": "holiday.mp4", "size": LARGE, "transport": "presigned"}
    answer = await client.post("/v1/uploads", json=wanted)
    answer.raise_for_status()
    made: dict[str, Any] = answer.json()
    signed = await client.post(f"/v1/uploads/{made['id']}/parts", json={"part_numbers": [1]})
    signed.raise_for_status()
    return made
