"""Connections to Valkey or Redis for commands."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from errors import UnavailableError

_AWAY = "Redis does not answer"


@asynccontextmanager
async def opened_client(
    url: str, *, max_connections: int, timeout_seconds: float
) -> AsyncIterator[Redis]:
    """Connects when it is used, answers in bytes. Who finds all connections in use waits for one
    in turn; `timeout_seconds` bounds that wait, connecting, and one command. No command is
    repeated in silence. Raises ValueError for what is no address.
    """
    pool = _InTurn.from_url(
        url,
        protocol=2,  # what every version of either speaks
        max_connections=max_connections,
        wait_seconds=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        socket_timeout=timeout_seconds,
        retry=Retry(NoBackoff(), 0),
    )
    async with Redis.from_pool(pool) as client:
        yield client


@contextmanager
def told() -> Iterator[None]:
    """Raises UnavailableError for whatever keeps Redis from answering."""
    try:
        yield
    except NoTurnError as error:
        busy = UnavailableError(_AWAY)
        busy.busy = True
        raise busy from error
    except (RedisError, OSError) as error:
        raise UnavailableError(_AWAY) from error


class NoTurnError(OSError):
    """All connections were in use for too long."""


class _InTurn(ConnectionPool):
    """The library's own waiting pool lets newcomers overtake those who wait: of a few hundred
    callers at once some never came to their turn.
    """

    def __init__(self, *, max_connections: int, wait_seconds: float, **more: Any) -> None:
        super().__init__(max_connections=max_connections, **more)
        self._free = asyncio.Semaphore(max_connections)
        self._wait_seconds = wait_seconds

    async def get_connection(
        self, command_name: str | None = None, *keys: Any, **options: Any
    ) -> AbstractConnection:
        del command_name, keys, options
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._free.acquire()
        except TimeoutError as error:
            raise NoTurnError from error
        try:
            connection: AbstractConnection = self.get_available_connection()  # type: ignore[no-untyped-call]
        except BaseException:
            self._free.release()
            raise
        try:
            await self.ensure_connection(connection)
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        try:
            await super().release(connection)
        finally:
            self._free.release()
