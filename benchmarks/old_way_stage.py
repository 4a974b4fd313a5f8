"""What the three ways run on: one server on a core of its own, in front of an embedded store."""

import asyncio
import contextlib
import os
import secrets
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import members
from benchmarks.peers import flask_relay
from benchmarks.stage import free_port, served
from localcloud import LocalCloud


@dataclass(frozen=True)
class Server:
    """`folder` holds what an application of the old way has taken and not yet sent on."""

    port: int
    pid: int
    tokens: list[str]
    folder: Path | None = None


@contextlib.asynccontextmanager
async def uploadgate(
    environment: Mapping[str, str],
    directory: Path,
    *,
    core: set[int],
    users: int,
    settings: Mapping[str, str],
) -> AsyncIterator[Server]:
    """`environment` is that of the clouds it works with; everything else is as users run it."""
    port, key = free_port(), secrets.token_urlsafe(32)
    own = {
        "PATH": os.environ["PATH"],
        "UPLOADGATE_ENVIRONMENT": "development",
        "UPLOADGATE_DATABASE__URL": f"sqlite+aiosqlite:///{directory / 'records.db'}",
        "UPLOADGATE_AUTH__SIGNING_KEY": key,
        "UPLOADGATE_HTTP__PORT": str(port),
        "UPLOADGATE_DRAIN_SECONDS": "0",
    }
    command = (sys.executable, "-m", "cli.main", "serve")
    async with _running(command, {**environment, **own, **settings}, port, core, directory) as pid:
        tokens = await asyncio.to_thread(members.tokens, key, users)
        yield Server(port, pid, tokens)


@contextlib.asynccontextmanager
async def flask(cloud: LocalCloud, directory: Path, *, core: set[int]) -> AsyncIterator[Server]:
    port, folder = free_port(), directory / "taken"
    folder.mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        **flask_relay.environment(folder, cloud.s3_endpoint, cloud.region, cloud.bucket),
        "OLD_WAY_KEY": cloud.service_access_key_id,
        "OLD_WAY_SECRET": cloud.service_secret_access_key,
        "TMPDIR": str(directory),
    }
    bind = ("--bind", f"127.0.0.1:{port}")
    start = (sys.executable, "-m", "gunicorn", *flask_relay.GUNICORN, *bind)
    command = (*start, flask_relay.FACTORY)
    async with _running(command, environment, port, core, directory) as pid:
        yield Server(port, pid, [], folder)


def _running(
    command: Sequence[str],
    environment: Mapping[str, str],
    port: int,
    core: set[int],
    directory: Path,
) -> AbstractAsyncContextManager[int]:
    url = f"http://127.0.0.1:{port}/livez"
    return served(command, environment, url, log=directory / "log", core=core)
