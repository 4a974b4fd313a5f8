"""Which way replicas have to each other: Redis where it is configured, else Postgres' own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.delivery.ports import Bus
from state.bus_postgres import PostgresBus
from state.bus_redis import RedisBus
from state.database import Database


@asynccontextmanager
async def opened_bus(
    database: Database, *, redis_url: str | None, prefix: str, timeout_seconds: float
) -> AsyncIterator[Bus | None]:
    """None on SQLite without Redis: one process, which hears itself."""
    if redis_url is not None:
        async with RedisBus.opened(
            redis_url, prefix=prefix, timeout_seconds=timeout_seconds
        ) as bus:
            yield bus
    elif database.engine.dialect.name == "postgresql":
        yield PostgresBus(database, timeout_seconds=timeout_seconds)
    else:
        yield None
