"""What runs beside the requests: when it begins, what it survives, and how it ends."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

import background
from errors import UnavailableError
from service.readiness import Readiness
from state import schema
from state.database import Database
from tests.fakes.eventually import eventually


@pytest.fixture(autouse=True)
def _in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_SCHEMA_RETRY_SECONDS", 0.001)
    monkeypatch.setattr(background, "_HOUSEKEEPING_SECONDS", 0.001)


@pytest.fixture
def readiness() -> Readiness:
    return Readiness(checks={}, required=frozenset(), believe_seconds=0, check_seconds=5)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """An empty one."""
    async with Database.opened(f"sqlite+aiosqlite:///{tmp_path / 'test.db'}") as opened:
        yield opened


async def status(readiness: Readiness) -> str:
    return (await readiness.report()).status


async def stamp(database: Database, revision: str) -> None:
    async with database.transaction() as connection:
        await connection.execute(
            text("UPDATE alembic_version SET version_num = :to"), {"to": revision}
        )


class Told:
    """Writes down what is called, in order. The works run on."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def work(self) -> None:
        self.calls.append("work")
        await asyncio.Event().wait()

    async def first(self) -> None:
        self.calls.append("first")

    async def chore(self) -> None:
        self.calls.append("chore")

    async def breaks(self) -> None:
        self.calls.append("breaks")
        raise RuntimeError("ours")

    async def away(self) -> None:
        self.calls.append("away")
        raise UnavailableError

    async def live(self, database: Database, readiness: Readiness, **changes: Any) -> None:
        values: dict[str, Any] = {
            "migrate": True,
            "works": [self.work],
            "chores": [],
            "first": None,
            **changes,
        }
        await background.live(database, readiness=readiness, who={}, **values)


async def test_nothing_begins_before_the_schema_is_there(
    database: Database, readiness: Readiness
) -> None:
    told = Told()
    with capture_logs() as logs:
        living = told.live(database, readiness, migrate=False, first=told.first)
        async with background.running(living, readiness):
            await eventually(lambda: len(logs) > 2)
            assert {log["event"] for log in logs} == {"database.outdated"}
            assert (await status(readiness), told.calls) == ("starting", [])
            await schema.upgrade(database)
            await eventually(lambda: told.calls == ["first", "work"])
            assert await status(readiness) == "ready"


async def test_it_is_not_ready_before_what_comes_first_is_done(
    database: Database, readiness: Readiness
) -> None:
    told, begun, done = Told(), asyncio.Event(), asyncio.Event()

    async def first() -> None:
        begun.set()
        await done.wait()

    async with background.running(told.live(database, readiness, first=first), readiness):
        await begun.wait()
        assert (await status(readiness), told.calls) == ("starting", [])
        done.set()
        await eventually(lambda: told.calls == ["work"])
        assert await status(readiness) == "ready"


async def test_a_schema_that_a_newer_version_has_added_to_is_told_of_once(
    database: Database, readiness: Readiness
) -> None:
    await schema.upgrade(database)
    await stamp(database, "0999")
    told = Told()
    with capture_logs() as logs:
        async with background.running(told.live(database, readiness), readiness):
            await eventually(lambda: told.calls == ["work"])
            assert await status(readiness) == "ready"
    assert [log["event"] for log in logs] == ["database.newer", "ready"]


async def test_a_schema_that_it_cannot_work_with_keeps_it_unready_and_is_named(
    database: Database, readiness: Readiness
) -> None:
    await schema.upgrade(database)
    await stamp(database, "1001")
    told = Told()
    with capture_logs() as logs:
        async with background.running(told.live(database, readiness), readiness):
            await eventually(lambda: len(logs) > 2)
            assert (await status(readiness), told.calls) == ("starting", [])
    assert {log["event"] for log in logs} == {"database.unavailable"}
    assert all("revision 1001" in log["reason"] for log in logs)


@pytest.mark.parametrize("failure", [UnavailableError(), OSError("read-only")])
async def test_a_database_that_cannot_be_migrated_yet_is_tried_again(
    database: Database,
    readiness: Readiness,
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
) -> None:
    told, upgrade, failures = Told(), schema.upgrade, [failure, failure]

    async def fails_twice(database: Database) -> None:
        if failures:
            raise failures.pop()
        await upgrade(database)

    monkeypatch.setattr(schema, "upgrade", fails_twice)
    async with background.running(told.live(database, readiness), readiness):
        await eventually(lambda: told.calls == ["work"])
    assert failures == []


async def test_house_is_kept_again_and_again_whatever_fails_of_it(
    database: Database, readiness: Readiness
) -> None:
    told = Told()
    chores = [told.breaks, told.away, told.chore]
    async with background.running(told.live(database, readiness, chores=chores), readiness):
        await eventually(lambda: told.calls.count("chore") > 2)
        assert await status(readiness) == "ready"
    assert told.calls[:4] == ["work", "breaks", "away", "chore"]


async def test_work_that_ends_by_a_fault_is_told_and_the_replica_gets_no_more_traffic(
    database: Database, readiness: Readiness
) -> None:
    told, fault = Told(), asyncio.Event()

    async def fails() -> None:
        await fault.wait()
        raise RuntimeError("ours")

    living = told.live(database, readiness, works=[told.work, fails])
    with capture_logs() as logs:
        async with background.running(living, readiness) as task:
            await eventually(lambda: told.calls == ["work"])
            assert await status(readiness) == "ready"
            fault.set()
            await asyncio.wait([task])
            await eventually(lambda: any(log["log_level"] == "critical" for log in logs))
            assert await status(readiness) == "failed"


async def test_what_is_ended_with_the_replica_has_not_failed(
    database: Database, readiness: Readiness
) -> None:
    told = Told()
    with capture_logs() as logs:
        async with background.running(told.live(database, readiness), readiness) as task:
            await eventually(lambda: told.calls == ["work"])
    assert task.cancelled()
    assert [log["event"] for log in logs] == ["ready"]
    assert await status(readiness) == "ready"


async def test_work_that_does_not_end_is_not_waited_for_without_end(
    readiness: Readiness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "_END_SECONDS", 0.01)
    begun, ended = asyncio.Event(), asyncio.Event()

    async def hangs() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await ended.wait()

    with capture_logs() as logs:
        async with background.running(hangs(), readiness) as task:
            await begun.wait()
    assert [log["event"] for log in logs] == ["background work does not end"]
    ended.set()
    await asyncio.wait([task])
