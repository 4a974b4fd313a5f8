"""What one large upload from a user's machine runs on: the real service, the embedded store, one
user who is logged in, all of them and the client on the same cores, which nobody is kept off.
"""

import asyncio
import contextlib
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from benchmarks.footprint import processes, processor_seconds
from benchmarks.stage import ROOT, free_port, served
from client.session import SessionFile, StoredLogin
from localcloud import LocalCloud, LocalCloudConfig

_MEMORY = Path("/dev/shm")  # noqa: S108 - a directory of its own is made in it
_COMMAND = (sys.executable, "-m", "cli.main")
_USER = "bench"


@dataclass(frozen=True)
class ClientStage:
    """`session` is the login's file, `keys` what AWS's SDKs take from the environment: temporary
    ones of the same user. What is under `prefix` is theirs to write.
    """

    session: Path
    keys: dict[str, str] = field(repr=False)
    bucket: str
    prefix: str
    servers: tuple[int, ...]

    def servers_seconds(self) -> float:
        """What the service and the store have used of the processors so far."""
        return sum(map(processor_seconds, self.servers))


def most_resident(pid: int) -> int:
    """Bytes, so far; 0 of a process that has ended."""
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
    return 0


@contextlib.contextmanager
def workplace(needed: int) -> Iterator[tuple[Path, bool]]:
    """An empty directory, and whether it is in memory: it is where `needed` bytes fit twice, so
    that no disk is what is measured.
    """
    in_memory = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > 2 * needed
    with tempfile.TemporaryDirectory(dir=_MEMORY if in_memory else None) as directory:
        yield Path(directory), in_memory


@contextlib.asynccontextmanager
async def client_stage(directory: Path) -> AsyncIterator[ClientStage]:
    config = LocalCloudConfig(data_dir=directory / "cloud", s3_port=0, cognito_port=0)
    async with LocalCloud.running(config) as cloud:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        environment = cloud.environment() | {
            "PATH": os.environ["PATH"],
            "UPLOADGATE_ENVIRONMENT": "development",
            "UPLOADGATE_DATABASE__URL": f"sqlite+aiosqlite:///{directory / 'records.db'}",
            "UPLOADGATE_AUTH__SIGNING_KEY": secrets.token_urlsafe(32),
            "UPLOADGATE_HTTP__PORT": str(port),
            "UPLOADGATE_DRAIN_SECONDS": "0",
        }
        command, log = (*_COMMAND, "serve"), directory / "log"
        async with served(command, environment, f"{url}/readyz", log=log):
            session = directory / "session.json"
            login = await _logged_in(environment, url, session)
            yield await _staged(login, session, cloud.s3_endpoint)


async def _staged(login: StoredLogin, session: Path, endpoint: str) -> ClientStage:
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {login.access_token}"}) as http,
        http.post(f"{login.url}/v1/credentials/exchange", json={}) as answer,
    ):
        answer.raise_for_status()
        found = await answer.json()
    keys = {
        "AWS_ACCESS_KEY_ID": found["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": found["secret_access_key"],
        "AWS_SESSION_TOKEN": found["session_token"],
        "AWS_DEFAULT_REGION": found["region"],
        "AWS_ENDPOINT_URL_S3": endpoint,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    servers = tuple(processes(os.getpid())[1:])
    return ClientStage(session, keys, found["bucket"], found["key_prefix"], servers)


async def _logged_in(environment: dict[str, str], url: str, session: Path) -> StoredLogin:
    password = secrets.token_urlsafe(16)
    for command in (
        ("user", "add", _USER, "--password-stdin"),
        ("login", url, _USER, "--password-stdin", "--session", str(session)),
    ):
        process = await asyncio.create_subprocess_exec(
            *(*_COMMAND, *command),
            cwd=ROOT,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
        )
        await process.communicate(password.encode())
        if process.returncode != 0:
            raise RuntimeError(f"`uploadgate {command[0]}` ended with {process.returncode}")
    login = await asyncio.to_thread(SessionFile(session).load)
    if login is None:
        raise RuntimeError("there is no login")
    return login
