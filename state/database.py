"""The engine, opened once for the application's life."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Executable, Select, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from errors import UnavailableError
from state import direct, direct_sqlite, postgres_sessions
from state.common_clock import CommonClock

_AWAY = "The database does not answer"
_IDLE_SECONDS = 30.0
_BACK_AT = "back_at"
# A transaction is a few statements. The driver bounds each of them, but not all that it does
# beside them: it closes a statement it no longer needs without any time-out.
_MOST_STATEMENTS = 3


class Database:
    """Short transactions on one engine. No transaction may be open during HTTP."""

    def __init__(self, engine: AsyncEngine, *, longest: float | None = None) -> None:
        """`longest` is how many seconds a transaction may take altogether; None: any number."""
        self.engine = engine
        self.longest = longest
        self.is_postgres = engine.dialect.name == "postgresql"
        self.clock = CommonClock(self)
        self._committing = engine.execution_options(isolation_level="AUTOCOMMIT")

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, url: str, *, pool_size: int = 10, overflow: int = 10, timeout_seconds: float = 10
    ) -> AsyncIterator["Database"]:
        """SQLite gets one connection, whatever is asked: it takes one writer at a time, and
        writers that wait in a queue here are served in turn, while those that wait for its lock
        starve each other (p99 of a small insert, 32 at once: over 1 s).

        Postgres gets up to `pool_size` and `overflow` together, which stay open: to open one for a
        moment costs as much as fifty statements, and what the old one had prepared is lost. The
        one used last is used next, so that a server can close those that idle.
        """
        sqlite = url.startswith("sqlite")
        _make_private(sqlite_file(url))
        engine = create_async_engine(
            url,
            poolclass=AsyncAdaptedQueuePool,
            pool_size=1 if sqlite else pool_size + overflow,
            max_overflow=0,
            pool_timeout=timeout_seconds,
            pool_use_lifo=True,
            connect_args=_connect_args(url, timeout_seconds),
            hide_parameters=True,
        )
        longest = None if sqlite else timeout_seconds * _MOST_STATEMENTS
        if sqlite:
            event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        else:
            postgres_sessions.watch(engine, connect_seconds=timeout_seconds, longest=longest)
            event.listen(engine.sync_engine, "checkin", _note_idle)
            event.listen(engine.sync_engine, "checkout", _check_alive)
        try:
            yield cls(engine, longest=longest)
        finally:
            await engine.dispose()

    def transaction(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Commits at the end. Raises UnavailableError when the database does not answer; an
        IntegrityError is the caller's own to read.
        """
        return self._entered(self.engine.begin())

    def single(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """As `transaction`, for one statement: Postgres is spared BEGIN and COMMIT. What is done is
        done, also should the block fail after it; and where the answer does not come in time, it
        may have been done, as a commit may.
        """
        if not self.is_postgres:
            return self.transaction()
        return self._entered(self._committing.connect())

    async def rows(
        self, statement: Executable, values: Mapping[str, Any]
    ) -> Sequence[Mapping[Any, Any]]:
        """All that one statement gives, which is a transaction of its own and one of a few that
        are made once (state/direct.py, state/direct_sqlite.py).
        """
        found = await self.directly(statement, values)
        if found is not None:
            return found
        async with self.single() as connection:
            return (await connection.execute(statement, values)).mappings().all()

    async def directly(
        self, statement: Executable, values: Mapping[str, Any]
    ) -> Sequence[Mapping[Any, Any]] | None:
        """As `rows`; None, and nothing is done, where the database refuses the statement or it
        cannot be had so.
        """
        try:
            if self.is_postgres:
                return await direct.rows(self.engine, statement, values)
            if isinstance(statement, Select):
                return await direct_sqlite.rows(self.engine, statement, values)
        except (PoolTimeout, OSError) as error:
            raise UnavailableError(_AWAY) from error
        return None

    @asynccontextmanager
    async def _entered(
        self, opening: AbstractAsyncContextManager[AsyncConnection]
    ) -> AsyncIterator[AsyncConnection]:
        try:
            async with asyncio.timeout(self.longest), self._told(opening) as connection:
                yield connection
        except TimeoutError as error:
            raise UnavailableError(_AWAY) from error

    @asynccontextmanager
    async def _told(
        self, opening: AbstractAsyncContextManager[AsyncConnection]
    ) -> AsyncIterator[AsyncConnection]:
        """With the errors of ours."""
        async with AsyncExitStack() as stack:
            try:
                connection = await stack.enter_async_context(opening)
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


# Classes of Postgres' SQLSTATE that pass: lost connections, a primary that became read-only, lost
# races, no room, locks not had in time, an operator's stop or cancellation, faults of the system,
# a transaction that idled for too long.
_PASSING = ("08", "25006", "25P03", "40", "53", "55P03", "57", "58")


def _is_away(error: DBAPIError | OSError) -> bool:
    state = getattr(getattr(error, "orig", None), "sqlstate", None)
    if isinstance(state, str) and state.startswith(_PASSING):
        return True
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


def _note_idle(_connection: Any, record: Any) -> None:
    record.info[_BACK_AT] = time.monotonic()


def _check_alive(connection: Any, record: Any, _proxy: Any) -> None:
    """A server that goes closes its connections, which is known without asking: asking each time
    (pool_pre_ping) took three of the seven answers that a small transaction waits for. One that
    vanished without a word is asked for where it has idled.
    """
    if connection.driver_connection.is_closed():
        raise InvalidatePoolError
    if time.monotonic() - record.info.get(_BACK_AT, time.monotonic()) > _IDLE_SECONDS:
        try:
            connection.ping()
        except Exception as error:
            raise InvalidatePoolError from error
