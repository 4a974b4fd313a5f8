"""One replica as its own process, whose every way out leads through a proxy."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.integration.stack import free_port
from torture.process import ServiceProcess
from torture.proxy import FaultProxy


@dataclass
class Replica:
    """`database` and `store` stand between it and what it needs."""

    service: ServiceProcess
    api: httpx.AsyncClient
    database: FaultProxy
    store: FaultProxy

    async def start(self) -> None:
        await self.service.start()

    async def kill(self) -> None:
        """As a machine that loses its power: what it had sent and what the proxies still held
        arrives nowhere.
        """
        await self.service.kill()
        for proxy in (self.database, self.store):
            await proxy.discard()

    async def restart(self, environment: Mapping[str, str]) -> None:
        """Stopped in an orderly way, and started with these settings instead."""
        await self.stop()
        self.service.environment = dict(environment)
        await self.start()

    async def stop(self) -> None:
        for proxy in (self.database, self.store):
            await proxy.heal()
        await self.service.stop()


@dataclass(frozen=True)
class Surroundings:
    """What replicas share. `socket` is the folder of Postgres' socket, `name` the database."""

    directory: Path
    socket: Path
    name: str
    store: tuple[str, int]
    environment: Mapping[str, str] = field(repr=False)


@contextlib.asynccontextmanager
async def opened_replica(around: Surroundings, name: str) -> AsyncIterator[Replica]:
    """Not started yet."""
    async with (
        FaultProxy.serving(around.socket / ".s.PGSQL.5432") as database,
        FaultProxy.serving(around.store) as store,
    ):
        port = free_port()
        environment = {
            **around.environment,
            # Each statement goes with its text, by which a tripwire knows it.
            "UPLOADGATE_DATABASE__URL": f"postgresql+asyncpg://postgres@127.0.0.1:{database.port}"
            f"/{around.name}?ssl=disable&prepared_statement_cache_size=0",
            "UPLOADGATE_STORE__ENDPOINT": f"http://127.0.0.1:{store.port}",
            "UPLOADGATE_HTTP__PORT": str(port),
        }
        service = ServiceProcess(port, around.directory / f"{name}.log", environment)
        limits = httpx.Limits(max_connections=100)
        async with httpx.AsyncClient(
            base_url=service.url, trust_env=False, timeout=120, limits=limits
        ) as api:
            yield Replica(service, api, database, store)
