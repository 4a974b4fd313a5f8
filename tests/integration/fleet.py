"""Replicas of the real service on one Postgres and one Redis, with a stub Cognito and a real load
balancer in front.
"""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from auth.access_tokens import AccessTokens
from auth.callers import UPLOADS
from benchmarks.cognito_stub import POOL, CognitoStub
from tests.fakes.http_stub import HttpStub, Reply
from tests.fakes.postgres import postgres_database, running_postgres
from tests.fakes.redis_server import RedisServer, running_redis
from tests.integration.load_balancer import LoadBalancer
from tests.integration.stack import ServiceProcess, eventually, free_port, settings_from

REPLICAS = 3
DRAIN_SECONDS = 3.0  # the balancer looks fifteen times in it, or once where all is slow
_ROOT = Path(__file__).parents[2]
_START_SECONDS = 120.0  # several at once, on a machine that has much else to do


class Replica(ServiceProcess):
    """In a process group of its own: what ends the tests' does not end it first."""

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "cli.main", "serve"),
                env={"PATH": os.environ["PATH"], **self.environment},
                cwd=_ROOT,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        async with httpx.AsyncClient(trust_env=False) as api:
            await eventually(lambda: self._is_ready(api), "it is ready", _START_SECONDS)

    async def kill(self) -> None:
        """However it is doing."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


@dataclass(frozen=True)
class Newcomer:
    """A user of whom no replica has heard."""

    id: str
    headers: dict[str, str] = field(repr=False)


@dataclass
class Fleet:
    replicas: list[Replica]
    balancer: LoadBalancer
    cognito: CognitoStub
    redis: RedisServer
    prefix: str
    """Of the keys in Redis."""
    api: httpx.AsyncClient
    """By the load balancer."""
    _tokens: AccessTokens = field(repr=False)

    def newcomer(self) -> Newcomer:
        """Without a password: to hash hundreds takes longer than all the rest."""
        user_id = f"usr_{secrets.token_hex(16)}"
        token = self._tokens.issue(user_id, f"user-{user_id[-8:]}", [UPLOADS])
        return Newcomer(user_id, {"Authorization": f"Bearer {token}"})

    @classmethod
    @asynccontextmanager
    async def running(
        cls, directory: Path, settings: Mapping[str, str] | None = None
    ) -> AsyncIterator["Fleet"]:
        """`settings` are the replicas' beside those they need."""
        async with AsyncExitStack() as life:
            socket, redis = life.enter_context(_servers())
            database = await life.enter_async_context(postgres_database(socket))
            cognito = await life.enter_async_context(CognitoStub.running())
            store = await life.enter_async_context(HttpStub.serving(Reply(200)))
            prefix = f"fleet-{secrets.token_hex(4)}"
            environment = _environment(database, redis.url, prefix, cognito.url, store.url)
            environment |= settings or {}
            services = [_replica(directory, environment) for _ in range(REPLICAS)]
            for service in services:
                life.push_async_callback(service.kill)
            await asyncio.gather(*(service.start() for service in services))
            balancer = await life.enter_async_context(
                LoadBalancer.running(directory, [service.port for service in services])
            )
            api = await life.enter_async_context(client(balancer.url))
            tokens = _tokens(environment)
            yield cls(services, balancer, cognito, redis, prefix, api, tokens)


def client(url: str) -> httpx.AsyncClient:
    """With as many connections as there are requests at once, all kept."""
    limits = httpx.Limits(max_connections=1000, max_keepalive_connections=1000)
    return httpx.AsyncClient(base_url=url, trust_env=False, timeout=120, limits=limits)


async def at_once(port: int, users: Sequence[Newcomer], modes: Sequence[str]) -> list[Any]:
    """A grant for each, as httpx.Response: all are connected before the first one asks. A client
    that does more than this makes a trickle of a crowd.
    """
    pipes = [await asyncio.open_connection("127.0.0.1", port) for _ in users]
    for (_, writer), user, mode in zip(pipes, users, modes, strict=True):
        writer.write(_request(user, json.dumps({"mode": mode})))
    async with asyncio.timeout(120):
        answers = await asyncio.gather(*(reader.read() for reader, _ in pipes))
    for _, writer in pipes:
        writer.close()
    return [_response(answer) for answer in answers]


def _request(user: Newcomer, body: str) -> bytes:
    headers = {
        **user.headers,
        "Host": "fleet",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /v1/credentials HTTP/1.1\r\n{lines}\r\n{body}".encode()


def _response(answer: bytes) -> httpx.Response:
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = [tuple(line.split(": ", 1)) for line in lines]
    return httpx.Response(int(status.split(" ")[1]), headers=headers, content=body)  # type: ignore[arg-type]


@contextmanager
def _servers() -> Iterator[tuple[Path, RedisServer]]:
    with running_redis() as redis, running_postgres() as socket:
        yield socket, redis


def _replica(directory: Path, environment: dict[str, str]) -> Replica:
    port = free_port()
    own = {"UPLOADGATE_HTTP__PORT": str(port), "UPLOADGATE_PUBLIC_URL": f"http://127.0.0.1:{port}"}
    return Replica(port, environment | own, directory / f"replica-{port}.log")


def _tokens(environment: dict[str, str]) -> AccessTokens:
    auth = settings_from(environment).auth
    return AccessTokens(
        signing_key=auth.signing_key.get_secret_value(),
        issuer=auth.issuer,
        audience=auth.audience,
        seconds=auth.access_token_seconds,
        leeway_seconds=auth.leeway_seconds,
    )


def _environment(
    database: str, redis: str, prefix: str, cognito: str, store: str
) -> dict[str, str]:
    return {
        "UPLOADGATE_ENVIRONMENT": "development",
        "UPLOADGATE_DATABASE__URL": database,
        "UPLOADGATE_REDIS__URL": redis,
        "UPLOADGATE_REDIS__PREFIX": prefix,
        "UPLOADGATE_AUTH__SIGNING_KEY": secrets.token_urlsafe(32),
        "UPLOADGATE_AWS__ACCESS_KEY_ID": "AKIAEXAMPLE",
        "UPLOADGATE_AWS__SECRET_ACCESS_KEY": secrets.token_urlsafe(32),
        "UPLOADGATE_COGNITO__IDENTITY_POOL_ID": POOL,
        "UPLOADGATE_COGNITO__ENDPOINT": cognito,
        "UPLOADGATE_STORE__ENDPOINT": store,
        "UPLOADGATE_COMPLETION__IN_SERVER": "false",
        "UPLOADGATE_DRAIN_SECONDS": str(DRAIN_SECONDS),
    }
