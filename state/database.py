"""The engine, opened once for the application's life."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from errors import UnavailableError

_AWAY = "The database does not answer"


class Database:
    """Short transactions on one engine. No transaction may be open during HTTP."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, url: str, *, pool_size: int = 10, overflow: int = 10, timeout_seconds: float = 10
    ) -> AsyncIterator["Database"]:
        """SQLite gets one connection, whatever is asked: it takes one writer at a time, and
        writers that wait in a queue here are served in turn, while those that wait for its lock
        starve each other (p99 of a small insert, 32 at once: over 1 s).
        """
        sqlite = url.startswith("sqlite")
        _make_private(sqlite_file(url))
        engine = create_async_engine(
            url,
            poolclass=AsyncAdaptedQueuePool,
            pool_size=1 if sqlite else pool_size,
            max_overflow=0 if sqlite else overflow,
            pool_timeout=timeout_seconds,
            pool_pre_ping=not sqlite,
            connect_args=_connect_args(url, timeout_seconds),
            hide_parameters=True,
        )
        if sqlite:
            event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        try:
            yield cls(engine)
        finally:
            await engine.dispose()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """Commits at the end. Raises UnavailableError when the database does not answer; an
        IntegrityError is the caller's own to read.
        """
        async with AsyncExitStack() as stack:
            try:
                connection = await stack.enter_async_context(self.engine.begin())
            except (DBAPIError, PoolTimeout, OSError) as error:
                # Refused, starting, no such database: whatever it says at the door, it is away.
                raise UnavailableError(_AWAY) from error
            try:
                yield connection
                await stack.aclose()
            except (DBAPIError, OSError) as error:
                if _is_away(error):
                    raise UnavailableError(_AWAY) from error
                raise

    async def ping(self) -> None:
        """Raises UnavailableError."""
        async with self.transaction() as connection:
            await connection.exec_driver_sql("SELECT 1")


def sqlite_file(url: str) -> Path | None:
    """Where SQLite keeps it; None for other databases, in memory, or named by a URI (`uri=true`).

    Unlike the setting's own path it is read as the engine reads it, without the options.
    """
    if not url.startswith("sqlite"):
        return None
    parts = make_url(url)
    if parts.database in {None, "", ":memory:"} or "uri" in parts.query:
        return None
    return Path(str(parts.database))


def _make_private(file: Path | None) -> None:
    """SQLite would make it for everyone to read; its -wal and -shm take over the file's mode.

    Never opens one that exists: closing it again would end SQLite's own locks in this process.
    A folder that is away is told when the database is used.
    """
    if file is not None:
        with suppress(OSError):
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _is_away(error: DBAPIError | OSError) -> bool:
    if isinstance(error, DBAPIError) and not isinstance(error, OperationalError | InterfaceError):
        return error.connection_invalidated
    return True


def _connect_args(url: str, timeout_seconds: float) -> dict[str, Any]:
    if make_url(url).get_backend_name() == "sqlite":
        return {"timeout": timeout_seconds}
    return {"timeout": timeout_seconds, "command_timeout": timeout_seconds}


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """WAL lets readers go on beside the writer; NORMAL is durable enough with it."""
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
