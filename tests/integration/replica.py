"""A replica of the service with a database and settings of its own, at the stack's store."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import create_async_engine

from cli.users import ensure_user
from service.uploads.quota import Usage
from state.tables import uploads, usage
from tests.integration.sender import Sender, opened_sender
from tests.integration.stack import (
    ServiceProcess,
    Stack,
    User,
    eventually,
    free_port,
    settings_from,
)

_IN_FLIGHT = ("pending", "uploading")


@dataclass
class Replica:
    service: ServiceProcess
    api: httpx.AsyncClient
    database_url: str

    async def user(self, *, admin: bool = False) -> User:
        """A new one."""
        name, password = f"user-{secrets.token_hex(6)}", secrets.token_urlsafe(16)
        settings = settings_from(self.service.environment)
        user_id = await ensure_user(settings, name, password, admin=admin)
        body = {"username": name, "password": password}
        answer = await self.api.post("/v1/auth/login", json=body)
        assert answer.status_code == 200, answer.text
        return User(user_id, name, password, answer.json()["access_token"])

    @asynccontextmanager
    async def sender(self, user: User | None = None) -> AsyncIterator[Sender]:
        """Of a new user, unless another is given."""
        async with opened_sender(self.api, user or await self.user()) as sender:
            yield sender

    async def usage_is(self, user: User, bytes_: int, in_flight: int, profile: str) -> None:
        """Sooner or later, and the records really come to that."""
        expected = (Usage(bytes_, in_flight),) * 2

        async def settled() -> bool:
            return await self.counted(user, profile) == expected

        await eventually(settled, f"{user.id} uses {bytes_} bytes, {in_flight} in flight")

    async def kill(self) -> None:
        """As a machine that loses its power."""
        process = self.service.process
        assert process is not None
        process.kill()
        await process.wait()

    async def counted(self, user: User, profile: str) -> tuple[Usage, Usage]:
        """What the table of usage says, and what the records really come to."""
        engine = create_async_engine(self.database_url)
        kept = select(usage.c.bytes, usage.c.in_flight).where(
            usage.c.user_id == user.id, usage.c.profile == profile
        )
        of_user = (uploads.c.user_id == user.id) & (uploads.c.profile == profile)
        total = select(func.coalesce(func.sum(uploads.c.charged), 0)).where(of_user)
        flying = select(func.count()).where(of_user & uploads.c.status.in_(_IN_FLIGHT))
        async with engine.connect() as connection:
            row = (await connection.execute(kept)).one_or_none() or (0, 0)
            sums: Any = [(await connection.execute(query)).scalar() for query in (total, flying)]
        await engine.dispose()
        return Usage(*row), Usage(int(sums[0]), int(sums[1]))


@asynccontextmanager
async def replica(stack: Stack, database_url: str, **more: str) -> AsyncIterator[Replica]:
    port = free_port()
    environment = stack.service.environment | {
        "UPLOADGATE_DATABASE__URL": database_url,
        "UPLOADGATE_HTTP__PORT": str(port),
        "UPLOADGATE_PUBLIC_URL": f"http://127.0.0.1:{port}",
    }
    service = ServiceProcess(port, environment | more, stack.directory / f"service-{port}.log")
    limits = httpx.Limits(max_connections=200)
    client = httpx.AsyncClient(base_url=service.url, trust_env=False, timeout=60, limits=limits)
    async with client as api:
        try:
            await service.start()
            yield Replica(service, api, database_url)
        finally:
            async with asyncio.timeout(60):
                await service.stop()
