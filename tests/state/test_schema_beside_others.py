"""Upgrades beside who uses the database, and schemas of other versions."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text

from errors import UnavailableError
from state import schema
from state.database import Database
from state.schema import Standing

PATIENCE = 120.0
POSTGRES = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
READ = text("SELECT count(*) FROM inbox")
WRITE = text(
    "INSERT INTO inbox (source, dedupe_key, bucket, key, raw, received_at, attempts, due_at,"
    " failed) VALUES ('sns', 'k', 'b', 'k', '', now(), 0, now(), false)"
)


@pytest.fixture
async def earlier(database_url: str) -> AsyncIterator[Database]:
    """One revision behind."""
    async with Database.opened(database_url, timeout_seconds=PATIENCE) as opened:
        await schema.upgrade(opened, "0004")
        yield opened


@pytest.fixture
def _in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "_LOCK_SECONDS", 0.01)
    monkeypatch.setattr(schema, "_PASS_SECONDS", 0.01)


@POSTGRES
@pytest.mark.usefixtures("_in_no_time")
async def test_an_upgrade_behind_a_long_reader_lets_the_others_pass(
    earlier: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "_TRIES", 1_000_000)
    waits, told = asyncio.Event(), set()

    def tell(reason: str) -> None:
        told.add(reason)
        waits.set()

    async with asyncio.timeout(PATIENCE), schema.unhurried(earlier) as backup:
        async with backup.transaction() as reader:
            await reader.execute(READ)
            upgrade = asyncio.create_task(schema.upgrade(earlier, tell=tell))
            await waits.wait()
            async with earlier.transaction() as connection:
                await connection.execute(WRITE)
            assert not upgrade.done()
        await upgrade
    assert told == {schema._HELD}
    assert await schema.is_current(earlier)
    async with earlier.transaction() as connection:
        assert (await connection.execute(READ)).scalar_one() == 1


@POSTGRES
@pytest.mark.usefixtures("_in_no_time")
async def test_who_is_in_the_way_for_ever_is_told_of(
    earlier: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "_TRIES", 2)
    async with schema.unhurried(earlier) as backup, backup.transaction() as reader:
        await reader.execute(READ)
        with pytest.raises(UnavailableError, match="open for long"):
            await schema.upgrade(earlier)
    assert await schema.standing(earlier) is Standing.BEHIND
    await schema.upgrade(earlier)
    assert await schema.is_current(earlier)


@POSTGRES
async def test_an_upgrade_has_the_time_that_others_have_not(database: Database) -> None:
    names = ("statement_timeout", "idle_in_transaction_session_timeout", "lock_timeout")
    async with schema.unhurried(database) as patient, patient.transaction() as connection:
        for name in names:
            await connection.execute(text(f"SET {name} = '1min'"))
        await connection.run_sync(schema._begin, 3.0)
        shown = [(await connection.execute(text(f"SHOW {name}"))).scalar_one() for name in names]
    assert shown == ["0", "0", "3s"]


async def stamp(database: Database, revision: str) -> None:
    async with database.transaction() as connection:
        await connection.execute(
            text("UPDATE alembic_version SET version_num = :to"), {"to": revision}
        )


async def test_a_newer_schema_is_gone_on_with_and_left_alone(database: Database) -> None:
    await stamp(database, "0999")
    assert await schema.standing(database) is Standing.AHEAD
    assert await schema.is_current(database)
    await schema.upgrade(database)
    assert await schema.standing(database) is Standing.AHEAD


@pytest.mark.parametrize("revision", ["1001", "abcd", "00051", "0000"])
async def test_a_schema_that_does_more_than_add_or_is_not_ours_is_refused(
    database: Database, revision: str
) -> None:
    await stamp(database, revision)
    for ask in (schema.upgrade, schema.standing, schema.is_current):
        with pytest.raises(UnavailableError, match=revision):
            await ask(database)


async def test_a_database_of_somebody_elses_is_not_taken_for_a_newer_one(
    database: Database,
) -> None:
    await stamp(database, "0999")
    async with database.transaction() as connection:
        await connection.execute(text("DROP TABLE idempotency_keys"))
    with pytest.raises(UnavailableError, match="0999"):
        await schema.standing(database)


@POSTGRES
async def test_who_has_nothing_to_change_waits_for_nobody_who_has(database: Database) -> None:
    lock = text("SELECT pg_advisory_xact_lock(:lock)")
    async with (
        asyncio.timeout(PATIENCE),
        schema.unhurried(database) as other,
        other.transaction() as connection,
    ):
        await connection.execute(lock, {"lock": schema._LOCK})
        await schema.upgrade(database)
