"""The whole of it on real parts: SeaweedFS and Cognito of localcloud, the service as its own
process under a real uvicorn.
"""

import asyncio
import contextlib
import os
import random
import secrets
import socket
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

from cli.users import ensure_user
from localcloud import LocalCloud, LocalCloudConfig
from settings import Settings

ORIGIN = "http://127.0.0.1:5173"
_PATIENCE = 120.0  # on a machine that has much else to do
# Below the range from which systems draw ports by themselves, and beside the store's own: what is
# free now is still free when somebody listens there.
_PORTS = range(10_000, 12_000)
_given: set[int] = set()


def free_port() -> int:
    """Given to nobody else in this process."""
    for port in random.sample(_PORTS, len(_PORTS)):
        if port not in _given and _is_free(port):
            _given.add(port)
            return port
    raise AssertionError("no port is free")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@dataclass
class ServiceProcess:
    """`uploadgate serve` with these settings; its log goes to a file."""

    port: int
    environment: dict[str, str]
    log: Path
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "cli.main", "serve"),
                env={"PATH": os.environ["PATH"], **self.environment},
                cwd=Path(__file__).parents[2],
                stdout=log,
                stderr=log,
            )
        async with httpx.AsyncClient(trust_env=False) as client:
            await eventually(lambda: self._is_ready(client), "the service is ready")

    async def _is_ready(self, client: httpx.AsyncClient) -> bool:
        assert self.process is not None
        assert self.process.returncode is None, self.log.read_text()[-3000:]
        with contextlib.suppress(httpx.TransportError):
            return (await client.get(f"{self.url}/readyz")).status_code == 200
        return False

    async def stop(self) -> int:
        """SIGTERM, as an orchestrator stops it; the exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.terminate()
        async with asyncio.timeout(_PATIENCE):
            return await self.process.wait()


async def eventually(check: Callable[[], Any], what: str, seconds: float = _PATIENCE) -> Any:
    """Asks until the answer is true. For what tells nobody when it happens: other processes."""
    async with asyncio.timeout(seconds):
        while True:
            if found := await check():
                return found
            await asyncio.sleep(0.05)
    raise AssertionError(what)


@dataclass
class User:
    """A user who is logged in."""

    id: str
    name: str
    password: str = field(repr=False)
    token: str = field(repr=False)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@dataclass
class Stack:
    cloud: LocalCloud
    service: ServiceProcess
    api: httpx.AsyncClient
    directory: Path

    @classmethod
    @contextlib.asynccontextmanager
    async def running(
        cls, directory: Path, *, origin: str = ORIGIN, **more: str
    ) -> AsyncIterator[Self]:
        port = free_port()
        config = LocalCloudConfig(
            data_dir=directory / "cloud",
            webhook_url=f"http://127.0.0.1:{port}/v1/webhooks/seaweedfs",
            cors_origins=(origin,),
            s3_port=free_port(),
            cognito_port=free_port(),
            count_requests=True,
        )
        async with LocalCloud.running(config) as cloud:
            environment = cloud.environment() | _settings(directory, port, origin) | more
            service = ServiceProcess(port, environment, directory / "service.log")
            await service.start()
            async with httpx.AsyncClient(base_url=service.url, trust_env=False, timeout=60) as api:
                yield cls(cloud, service, api, directory)
            await service.stop()

    async def user(self) -> User:
        """A new one."""
        name, password = f"user-{secrets.token_hex(6)}", secrets.token_urlsafe(16)
        settings = settings_from(self.service.environment)
        user_id = await ensure_user(settings, name, password)
        answer = await self.api.post(
            "/v1/auth/login", json={"username": name, "password": password}
        )
        assert answer.status_code == 200, answer.text
        return User(user_id, name, password, answer.json()["access_token"])

    async def upload_becomes(self, user: User, upload_id: str, status: str) -> dict[str, Any]:
        async def reached() -> dict[str, Any] | None:
            answer = await self.api.get(f"/v1/uploads/{upload_id}", headers=user.headers)
            upload: dict[str, Any] = answer.json()
            return upload if upload.get("status") == status else None

        found: dict[str, Any] = await eventually(reached, f"{upload_id} is {status}")
        return found


def settings_from(environment: dict[str, str]) -> Settings:
    """As the process reads them, without touching this process's own environment."""
    from pydantic_settings import EnvSettingsSource  # noqa: PLC0415 - used here only

    class _Source(EnvSettingsSource):
        def _load_env_vars(self) -> dict[str, str | None]:
            return {name.lower(): value for name, value in environment.items()}

    return Settings(**_Source(Settings)())


def _settings(directory: Path, port: int, origin: str) -> dict[str, str]:
    return {
        "UPLOADGATE_ENVIRONMENT": "development",
        "UPLOADGATE_DATABASE__URL": f"sqlite+aiosqlite:///{directory / 'records.db'}",
        "UPLOADGATE_AUTH__SIGNING_KEY": secrets.token_urlsafe(32),
        "UPLOADGATE_HTTP__PORT": str(port),
        "UPLOADGATE_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "UPLOADGATE_HTTP__CORS_ORIGINS": f'["{origin}"]',
        "UPLOADGATE_DRAIN_SECONDS": "0",
        "UPLOADGATE_COMPLETION__OVERDUE_SECONDS": "1",
        "UPLOADGATE_COMPLETION__SWEEP_INTERVAL_SECONDS": "0.5",
        # A machine that is busy is not one whose store, Cognito or database is away: those refuse
        # connections here, or break them off.
        "UPLOADGATE_DATABASE__TIMEOUT_SECONDS": "60",
        "UPLOADGATE_AWS__CONNECT_TIMEOUT_SECONDS": "30",
        "UPLOADGATE_AWS__READ_TIMEOUT_SECONDS": "30",
        "UPLOADGATE_AWS__CALL_TIMEOUT_SECONDS": "60",
        "UPLOADGATE_COGNITO__WAIT_SECONDS": "30",
        "UPLOADGATE_COGNITO__CALL_TIMEOUT_SECONDS": "30",
        "UPLOADGATE_REDIS__TIMEOUT_SECONDS": "20",
    }
