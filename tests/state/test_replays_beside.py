"""Replays beside whoever forgets old events, and beside other replays."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
from sqlalchemy import delete, select, update

from service.delivery.endpoint_ports import Span
from service.delivery.events import DEFAULT_TYPES
from state import replays
from state.database import Database
from state.endpoints import SqlEndpoints
from state.outbox import SqlOutbox
from state.tables import deliveries, events
from tests.fakes.clock import START
from tests.fakes.eventually import eventually
from tests.state import locks
from tests.state.test_outbox import (
    DAY,
    beside_one_another,
    claim,
    given_deliveries,
    given_endpoint,
    given_event,
    rows,
)

Replay = Callable[[SqlEndpoints], Awaitable[int]]
SPAN = Span(since=START - DAY, until=START + DAY, types=DEFAULT_TYPES)


@pytest.fixture
def outbox(database: Database) -> SqlOutbox:
    return SqlOutbox(database)


async def _one(endpoints: SqlEndpoints) -> int:
    return int(await endpoints.replay_event("a", "old", DEFAULT_TYPES, START + DAY) or 0)


async def _all(endpoints: SqlEndpoints) -> int:
    batch = await endpoints.replay("a", SPAN, None, START + DAY, 10)
    return 0 if batch is None else batch.due


both = pytest.mark.parametrize("replay", [_one, _all])


async def _waits(database: Database) -> bool:
    return len(await locks.waiting(database)) == 1


async def given_an_old_event(database: Database, outbox: SqlOutbox) -> None:
    await given_endpoint(database, "a")
    await given_event(database, "old")
    await outbox.fan_out(START, 10)
    async with database.transaction() as connection:
        await connection.execute(delete(deliveries))


@beside_one_another
@both
@pytest.mark.parametrize("gone", [True, False])
async def test_an_event_that_is_looked_at_to_be_forgotten_is_waited_for(
    outbox: SqlOutbox, database: Database, replay: Replay, gone: bool
) -> None:
    await given_an_old_event(database, outbox)
    async with database.transaction() as connection:
        await connection.execute(select(events.c.id).with_for_update())
        replaying = asyncio.ensure_future(replay(SqlEndpoints(database)))
        await eventually(partial(_waits, database))
        if gone:
            await connection.execute(delete(events))
    assert await replaying == int(not gone)
    assert len(await rows(database)) == int(not gone)


@beside_one_another
@both
async def test_an_event_that_another_replay_holds_is_not_waited_for(
    outbox: SqlOutbox, database: Database, replay: Replay
) -> None:
    await given_an_old_event(database, outbox)
    async with asyncio.timeout(60), database.transaction() as connection:
        assert await replays.is_wanted(connection, "old", DEFAULT_TYPES)
        assert await replay(SqlEndpoints(database)) == 1


async def test_what_is_replayed_has_all_its_tries_again(
    outbox: SqlOutbox, database: Database
) -> None:
    await given_deliveries(database, outbox, a=1)
    (failed,) = await claim(outbox)
    await outbox.retry(failed, "w", START, due_at=START, status=500, error="http_500")
    async with database.transaction() as connection:
        await connection.execute(update(deliveries).values(done_at=START))
    assert await _all(SqlEndpoints(database)) == 1
    (again,) = await claim(outbox, seconds=DAY.total_seconds())
    assert (again.attempts, again.failures) == (1, 0)
