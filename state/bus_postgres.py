"""Postgres' LISTEN/NOTIFY between replicas.

Who notifies holds a lock of the whole server's while committing, so it is done in transactions of
its own, for many users at once. Listening takes one connection, which is no part of the pool's;
a pooler in transaction mode (PgBouncer) carries no notifications: use Redis then.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import aclosing, asynccontextmanager
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it ships none
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection

from errors import UnavailableError
from state.bus_messages import new_origin, packed, unpacked
from state.database import Database

CHANNEL = "uploadgate_events"
_AWAY = "The database's notifications do not come"
_MOST_WAITING = 10_000
_FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, DBAPIError, PoolTimeout, OSError)


class PostgresBus:
    """Implements service.delivery.ports.Bus. After `silence_seconds` without a notification the
    connection is asked whether it still lives; `timeout_seconds` for the answer.
    """

    def __init__(
        self, database: Database, *, timeout_seconds: float, silence_seconds: float = 30
    ) -> None:
        self._database = database
        self._timeout_seconds = timeout_seconds
        self._silence_seconds = silence_seconds
        self._origin = new_origin()

    async def publish(self, user_ids: Collection[str]) -> None:
        async with self._database.transaction() as connection:
            for message in packed(self._origin, user_ids):
                await connection.execute(select(func.pg_notify(CHANNEL, message)))

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[AsyncIterator[str]]:
        try:
            async with self._database.engine.connect() as connection:
                driver = await _detached(connection)
                try:
                    inflow = _Inflow(driver)
                    await driver.add_listener(CHANNEL, inflow.take)
                    async with aclosing(self._user_ids(inflow)) as user_ids:
                        yield user_ids
                finally:
                    driver.terminate()
        except _FAILURES as error:
            raise UnavailableError(_AWAY) from error

    async def _user_ids(self, inflow: "_Inflow") -> AsyncGenerator[str, None]:
        while True:
            try:
                async with asyncio.timeout(self._silence_seconds):
                    message = await inflow.next()
            except TimeoutError:
                await inflow.driver.execute("SELECT 1", timeout=self._timeout_seconds)
                continue
            for user_id in unpacked(self._origin, message):
                yield user_id


class _Inflow:
    """What has come and was not yet read. More than there is room for ends the connection: then
    everybody looks.
    """

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        self._messages: asyncio.Queue[str | None] = asyncio.Queue(_MOST_WAITING)
        driver.add_termination_listener(self._end)

    def take(self, _driver: Any, _pid: int, _channel: str, message: str) -> None:
        try:
            self._messages.put_nowait(message)
        except asyncio.QueueFull:
            self.driver.terminate()

    def _end(self, _driver: Any) -> None:
        if not self._messages.full():
            self._messages.put_nowait(None)

    async def next(self) -> str:
        """Raises UnavailableError after the last one."""
        if self._messages.empty() and self.driver.is_closed():
            raise UnavailableError(_AWAY)
        message = await self._messages.get()
        if message is None:
            raise UnavailableError(_AWAY)
        return message


async def _detached(connection: AsyncConnection) -> Any:
    """The driver's own connection, which the pool no longer counts."""
    pooled = await connection.get_raw_connection()
    driver = pooled.driver_connection
    pooled.detach()
    return driver
