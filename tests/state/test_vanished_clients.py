"""A replica whose machine vanishes amid a transaction, and says no goodbye."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from errors import UnavailableError
from state import postgres_sessions, schema
from state.database import Database
from tests.fakes.eventually import eventually
from torture.proxy import Fault, FaultProxy

pytestmark = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)

PATIENCE = 120.0
LONGEST = 1.5

TOLD = text("SELECT name, setting FROM pg_settings WHERE source = 'session'")
TCP = {
    "tcp_keepalives_idle",
    "tcp_keepalives_interval",
    "tcp_keepalives_count",
    "tcp_user_timeout",
}
BOUNDS = {"idle_in_transaction_session_timeout", "statement_timeout"}


@pytest.fixture
async def proxy(postgres_socket: Path) -> AsyncIterator[FaultProxy]:
    async with FaultProxy.serving(postgres_socket / ".s.PGSQL.5432") as opened:
        yield opened


@pytest.fixture
async def far(database_url: str, proxy: FaultProxy) -> AsyncIterator[AsyncEngine]:
    """By way of a network that can swallow everything."""
    url = make_url(database_url).set(host="127.0.0.1", port=proxy.port, query={"ssl": "disable"})
    engine = create_async_engine(url, poolclass=NullPool, connect_args={"timeout": PATIENCE})
    postgres_sessions.watch(engine, connect_seconds=PATIENCE, longest=LONGEST)
    yield engine
    await engine.dispose()


async def told(database: Database) -> dict[str, str]:
    async with database.transaction() as connection:
        return {row.name: row.setting for row in await connection.execute(TOLD)}


async def test_every_connection_is_watched(database: Database) -> None:
    found = await told(database)
    assert found.keys() >= TCP | BOUNDS
    assert database.longest == 30
    assert {found[name] for name in BOUNDS} == {"30000"}


async def test_it_holds_after_a_transaction_that_failed(database: Database) -> None:
    async with database.transaction() as connection:
        await connection.rollback()
    assert (await told(database)).keys() >= TCP | BOUNDS


async def test_what_takes_its_time_is_cut_off_by_nothing_but_its_end(database: Database) -> None:
    async with schema.unhurried(database) as patient:
        found = await told(patient)
    assert found.keys() >= TCP
    assert not found.keys() & BOUNDS


async def test_a_setting_that_the_server_does_not_know_is_passed_over(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(postgres_sessions._VANISHED, "tcp_of_a_later_version", "1")
    async with Database.opened(database_url, timeout_seconds=PATIENCE) as database:
        assert (await told(database)).keys() >= TCP | BOUNDS


async def test_the_locks_of_one_that_vanished_are_had_by_the_others(
    database_url: str, far: AsyncEngine, proxy: FaultProxy
) -> None:
    async with (
        Database.opened(database_url, timeout_seconds=PATIENCE) as database,
        asyncio.timeout(PATIENCE),
    ):
        async with database.transaction() as connection:
            await connection.execute(text("CREATE TABLE held (id int)"))
            await connection.execute(text("INSERT INTO held VALUES (1)"))
        vanished = await far.connect()
        await vanished.execute(text("SELECT * FROM held FOR UPDATE"))
        await proxy.set(Fault.HOLD)
        async with database.transaction() as connection:
            found = await connection.execute(text("UPDATE held SET id = 2"))
        assert found.rowcount == 1
        await proxy.heal()
        await vanished.invalidate()
        await vanished.close()


async def test_who_comes_back_too_late_is_told_that_it_is_gone(
    database_url: str, far: AsyncEngine
) -> None:
    async with Database.opened(database_url, timeout_seconds=PATIENCE) as database:

        async def is_gone(pid: int) -> bool:
            query = text("SELECT 1 FROM pg_stat_activity WHERE pid = :pid")
            async with database.transaction() as connection:
                return (await connection.execute(query, {"pid": pid})).first() is None

        async def comes_too_late() -> None:
            async with Database(far).transaction() as connection:
                pid = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
                await eventually(lambda: is_gone(pid))
                await connection.execute(text("SELECT 1"))

        with pytest.raises(UnavailableError):
            await comes_too_late()
