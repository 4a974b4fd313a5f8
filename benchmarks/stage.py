"""What is measured: the real service in its own process, in front of localcloud."""

import asyncio
import contextlib
import functools
import os
import secrets
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from localcloud import LocalCloud, LocalCloudConfig

ROOT = Path(__file__).parents[1]
LARGE = 1_000_000_000  # bytes, 120 parts


@dataclass(frozen=True)
class Stage:
    url: str
    token: str
    webhook_token: str
    bucket: str
    upload_id: str


@functools.cache  # before this process is bound to one of them
def cores() -> tuple[set[int], set[int]]:
    """The service's core, and the one for the load and the embedded cloud."""
    available = sorted(os.sched_getaffinity(0))
    return {available[0]}, {available[-1]}


@contextlib.asynccontextmanager
async def set_up(directory: Path) -> AsyncIterator[Stage]:
    service_cores, other_cores = cores()
    os.sched_setaffinity(0, other_cores)
    config = LocalCloudConfig(data_dir=directory / "cloud")
    async with LocalCloud.running(config) as cloud:
        port = free_port()
        environment = cloud.environment() | {
            "PATH": os.environ["PATH"],
            "UPLOADGATE_ENVIRONMENT": "development",
            "UPLOADGATE_DATABASE__URL": f"sqlite+aiosqlite:///{directory / 'records.db'}",
            "UPLOADGATE_AUTH__SIGNING_KEY": secrets.token_urlsafe(32),
            "UPLOADGATE_HTTP__PORT": str(port),
            "UPLOADGATE_LOG_LEVEL": "warning",
            "UPLOADGATE_DRAIN_SECONDS": "0",
        }
        async with _service(environment, service_cores):
            url = f"http://127.0.0.1:{port}"
            token = await _log_in(url, environment)
            upload_id = await _announce(url, token)
            yield Stage(url, token, cloud.webhook_token, cloud.bucket, upload_id)


@contextlib.asynccontextmanager
async def _service(environment: dict[str, str], cores: set[int]) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.main", "serve"), cwd=ROOT, env=environment
    )
    os.sched_setaffinity(process.pid, cores)
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def _log_in(url: str, environment: dict[str, str]) -> str:
    password = secrets.token_urlsafe(16)
    await ready(url)
    adding = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.main", "user", "add", "bench", "--password-stdin"),
        cwd=ROOT,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    await adding.communicate(password.encode())
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"{url}/v1/auth/login", json={"username": "bench", "password": password}
        ) as answer,
    ):
        answer.raise_for_status()
        token: str = (await answer.json())["access_token"]
        return token


async def _announce(url: str, token: str) -> str:
    """A large upload, whose parts are signed again and again."""
    headers = {"Authorization": f"Bearer {token}"}
    body = {"filename": "holiday.mp4", "size": LARGE, "transport": "presigned"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{url}/v1/uploads", json=body) as answer,
    ):
        answer.raise_for_status()
        upload_id: str = (await answer.json())["id"]
        return upload_id


async def ready(url: str) -> None:
    async with asyncio.timeout(60), aiohttp.ClientSession() as session:
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"{url}/readyz") as answer:
                    if answer.status == 200:  # noqa: PLR2004
                        return
            await asyncio.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
