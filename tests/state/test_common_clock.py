"""The time that replicas share, on a real database."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, insert, select

from service.clock import utc_now
from state.common_clock import CommonClock
from state.database import Database
from state.outbox import SqlOutbox
from state.tables import events, webhook_endpoints
from tests.fakes.clock import START, Clock

POSTGRES = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
# A machine that is busy with something else.
HELD_UP = timedelta(minutes=1)


@POSTGRES
async def test_the_database_has_the_time(database: Database) -> None:
    clock = CommonClock(database, local=Clock())
    assert clock() == START
    await clock.measure()
    async with database.transaction() as connection:
        there = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
    assert abs(there - clock()) < HELD_UP
    assert clock().utcoffset() == timedelta()


@POSTGRES
async def test_machines_that_differ_by_nothing_worth_a_jump_keep_their_clocks(
    database: Database,
) -> None:
    clock = CommonClock(database)
    before = utc_now()
    await clock.measure()
    assert before <= clock() <= utc_now()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_sqlite_has_the_time_of_its_process(database: Database) -> None:
    clock = CommonClock(database, local=Clock())
    await clock.first()
    await clock.run()
    assert clock() == START


@POSTGRES
async def test_a_replica_whose_clock_is_ahead_takes_nothing_that_another_holds(
    database: Database,
) -> None:
    early = CommonClock(database, local=lambda: utc_now() + timedelta(hours=1))
    late = CommonClock(database, local=lambda: utc_now() - timedelta(hours=1))
    for clock in (early, late):
        await clock.measure()
    await _add(database, late())
    outbox, lease = SqlOutbox(database), timedelta(minutes=30)
    assert await outbox.fan_out(late(), 10) == 1

    async def claimed(worker: str, clock: CommonClock) -> int:
        now = clock() + HELD_UP  # what was spread a moment ago is due
        found = await outbox.claim(
            worker, now, until=now + lease, limit=10, per_endpoint=10, busy={}
        )
        return len(found)

    assert await claimed("late", late) == 1
    assert await claimed("early", early) == 0


async def _add(database: Database, at: datetime) -> None:
    async with database.transaction() as connection:
        await connection.execute(
            insert(webhook_endpoints).values(
                id="w",
                url="https://example.com/",
                description="",
                secret="whsec_" + "QUFB" * 8,
                enabled=True,
                created_at=at - timedelta(days=1),
                updated_at=at,
            )
        )
        await connection.execute(
            insert(events).values(
                id="evt_1", type="upload.completed", user_id="u", sequence=1, at=at, payload="{}"
            )
        )
