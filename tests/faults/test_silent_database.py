"""A database that falls silent where the driver itself would wait for ever."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from errors import UnavailableError
from state.database import Database
from tests.fakes.postgres import postgres_database, running_postgres
from torture.proxy import FaultProxy

SECONDS = 2.0  # in which a busy machine still connects
PATIENCE = 120


@pytest.fixture(scope="module")
def socket() -> Iterator[Path]:
    with running_postgres() as folder:
        yield folder


@pytest.fixture
async def proxy(socket: Path) -> AsyncIterator[FaultProxy]:
    async with FaultProxy.serving(socket / ".s.PGSQL.5432") as opened:
        yield opened


@pytest.fixture
async def database(socket: Path, proxy: FaultProxy) -> AsyncIterator[Database]:
    async with postgres_database(socket) as direct:
        # Without a cache a statement is closed as soon as it is not needed any more.
        url = make_url(direct).set(
            host="127.0.0.1",
            port=proxy.port,
            query={"ssl": "disable", "prepared_statement_cache_size": "0"},
        )
        address = url.render_as_string(hide_password=False)
        async with Database.opened(address, timeout_seconds=SECONDS) as opened:
            yield opened


def swallow_closings(sent: bytes) -> bytes | None:
    """Postgres' message that closes a statement."""
    return b"" if sent.startswith(b"C") else None


async def _three(database: Database) -> None:
    async with database.transaction() as connection:
        for number in range(3):
            await connection.execute(text(f"SELECT {number}"))


async def test_a_transaction_ends_though_the_driver_waits_without_a_time_out(
    proxy: FaultProxy, database: Database
) -> None:
    await database.ping()
    proxy.answers = swallow_closings
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(UnavailableError):
            await _three(database)
    assert proxy.met > 0
    await proxy.heal()
    await database.ping()
