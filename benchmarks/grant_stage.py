"""The stage of the grants' benchmarks: one server on a core of its own; on the other the load, the
stub Cognito, Postgres (durable, as a server of one's own is) and Valkey or Redis.

Nothing needs a login: the tokens are made with the service's signing key, as it would itself.
"""

import importlib.util
import json
import os
import resource
import secrets
import shutil
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from benchmarks import members
from benchmarks.cognito_stub import POOL
from benchmarks.peers.catalogue import PEERS, Peer
from benchmarks.stage import cores, free_port, served
from benchmarks.webhook_stage import databases
from tests.fakes.redis_server import PROGRAMS, running_redis

_OWN_KEYS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "an example of a secret"}
# As the service's own lock has it: without awscrt, with which botocore signs by other code.
_ALL = {"BOTO_DISABLE_CRT": "true", "AWS_EC2_METADATA_DISABLED": "true"}


@dataclass(frozen=True, slots=True)
class Server:
    port: int
    pid: int


@dataclass(frozen=True, slots=True)
class Upstream:
    """The stub Cognito in a process of its own."""

    url: str

    async def control(self, **told: Any) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            (await client.post(f"{self.url}/_control", json=told)).raise_for_status()

    async def counts(self) -> dict[str, int]:
        async with httpx.AsyncClient(trust_env=False) as client:
            found: dict[str, int] = (await client.get(f"{self.url}/_counts")).json()
            return found


@dataclass
class GrantStage:
    """Servers live until the stage ends. `absent` are sentences about what could not be run."""

    directory: Path
    upstream: Upstream
    key: str
    stack: AsyncExitStack
    absent: list[str] = field(default_factory=list)

    def requests(self, users: range, *, mode: str = "auto") -> list[bytes]:
        """A request for a grant of each of these users."""
        tokens = members.tokens(self.key, users.stop)[users.start :]
        return [
            request(token, f"usr_{number:032x}", mode)
            for number, token in zip(users, tokens, strict=True)
        ]

    async def database(self) -> str:
        return (await self.stack.enter_async_context(databases(["postgres"], self.directory)))[
            "postgres"
        ]

    def redis(self) -> str | None:
        """Its address, or None where neither Valkey nor Redis is installed."""
        if not any(map(shutil.which, PROGRAMS)):
            self.absent.append(f"none of {', '.join(PROGRAMS)} is installed: not measured.")
            return None
        return self.stack.enter_context(running_redis()).url

    async def ours(self, database_url: str, **settings: str) -> Server:
        """`uploadgate serve`; settings as `COGNITO__WAIT_SECONDS="30"`."""
        port = free_port()
        environment = {
            "UPLOADGATE_ENVIRONMENT": "development",
            "UPLOADGATE_DATABASE__URL": database_url,
            "UPLOADGATE_AUTH__SIGNING_KEY": self.key,
            "UPLOADGATE_AWS__ACCESS_KEY_ID": _OWN_KEYS["AWS_ACCESS_KEY_ID"],
            "UPLOADGATE_AWS__SECRET_ACCESS_KEY": _OWN_KEYS["AWS_SECRET_ACCESS_KEY"],
            "UPLOADGATE_COGNITO__ENDPOINT": self.upstream.url,
            "UPLOADGATE_COGNITO__IDENTITY_POOL_ID": POOL,
            "UPLOADGATE_COMPLETION__IN_SERVER": "false",
            "UPLOADGATE_HTTP__PORT": str(port),
            "UPLOADGATE_LOG_LEVEL": "warning",
            "UPLOADGATE_DRAIN_SECONDS": "0",
            **{f"UPLOADGATE_{name}": value for name, value in settings.items()},
        }
        command = (sys.executable, "-m", "cli.main", "serve")
        return await self._served(command, environment, port, "/readyz")

    async def peer(self, name: str) -> Server | None:
        """None where one of its libraries is not installed."""
        peer = PEERS[name]
        missing = [one for one in peer.needs if importlib.util.find_spec(one) is None]
        if missing:
            self.absent.append(f"{peer.title} is absent: {', '.join(missing)} not installed.")
            return None
        port = free_port()
        environment = {
            **_OWN_KEYS,
            "BENCH_COGNITO": self.upstream.url,
            "BENCH_POOL": POOL,
            "BENCH_SIGNING_KEY": self.key,
        }
        return await self._served(_command(peer, port), environment, port, "/livez")

    async def _served(
        self, command: Sequence[str], environment: Mapping[str, str], port: int, path: str
    ) -> Server:
        url, log = f"http://127.0.0.1:{port}{path}", self.directory / f"{port}.log"
        everything = {"PATH": os.environ["PATH"], **environment, **_ALL}
        entered = served(command, everything, url, log=log, core=cores()[0])
        return Server(port, await self.stack.enter_async_context(entered))


@asynccontextmanager
async def grant_stage(
    directory: Path, *, latency_ms: float = 0, cap: int | None = None
) -> AsyncIterator[GrantStage]:
    """This process takes the load's core, and as many open files as it may have."""
    os.sched_setaffinity(0, cores()[1])
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(_upstream(directory, latency_ms, cap))
        yield GrantStage(directory, upstream, secrets.token_urlsafe(32), stack)


@asynccontextmanager
async def _upstream(directory: Path, latency_ms: float, cap: int | None) -> AsyncIterator[Upstream]:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.cognito_stub", "--port", str(port)]
    command += ["--latency-ms", str(latency_ms)]
    command += [] if cap is None else ["--cap", str(cap)]
    upstream = Upstream(f"http://127.0.0.1:{port}")
    environment, log = {"PATH": os.environ["PATH"]}, directory / "stub.log"
    counts = f"{upstream.url}/_counts"
    async with served(command, environment, counts, log=log, core=cores()[1]):
        yield upstream


def _command(peer: Peer, port: int) -> list[str]:
    application = f"benchmarks.peers.{peer.module}:create_app"
    start = [sys.executable, "-m"]
    if peer.server == "gunicorn":
        bind = ["--bind", f"127.0.0.1:{port}"]
        return [*start, "gunicorn", *peer.options, *bind, f"{application}()"]
    listen = ["--host", "127.0.0.1", "--port", str(port)]
    return [*start, "uvicorn", *peer.options, *listen, "--factory", application]


def request(token: str, user_id: str, mode: str) -> bytes:
    """As `uploadgate credentials` sends it. Peers that check nobody read `X-User`."""
    body = json.dumps({"mode": mode}).encode()
    head = (
        f"POST /v1/credentials HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"X-User: {user_id}\r\nAccept: application/json\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
