"""A fresh, migrated database for each test, on SQLite and on a real Postgres."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from state import schema
from state.database import Database
from tests.fakes.postgres import postgres_database, running_postgres

IN_MEMORY = "sqlite+aiosqlite://"


@pytest.fixture(scope="session")
def postgres_socket() -> Iterator[Path]:
    with running_postgres() as socket:
        yield socket


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
    async with postgres_database(request.getfixturevalue("postgres_socket")) as url:
        yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database.opened(database_url) as opened:
        await schema.upgrade(opened)
        yield opened
