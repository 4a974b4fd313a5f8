"""A user's events by their sequence, and that a reader of them misses none."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from sqlalchemy import delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from errors import UnavailableError
from service.delivery.events import Happening, upload_happening
from service.delivery.ports import FeedEvent
from service.uploads.model import UploadStatus as S
from state import events
from state.database import Database
from state.feed import SqlEventFeed
from state.tables import events as table
from state.uploads import SqlUploadRecords
from tests.fakes.clock import START
from tests.fakes.eventually import eventually
from tests.fakes.records import upload


@pytest.fixture
def feed(database: Database) -> SqlEventFeed:
    return SqlEventFeed(database)


def happening(upload_id: str = "upl_1", user_id: str = "usr_ada") -> Happening:
    after = upload(id=upload_id, user_id=user_id, status=S.RECEIVED)
    return upload_happening(S.PENDING, after, START)


async def written(database: Database, *happenings: Happening) -> None:
    for each in happenings:
        async with database.transaction() as connection:
            await events.write(connection, each)


async def test_of_nobody_there_is_nothing(feed: SqlEventFeed) -> None:
    assert await feed.last("usr_ada") == 0
    assert await feed.after("usr_ada", 0, 10) == []


async def test_a_users_events_come_in_their_order_and_nobody_elses(
    database: Database, feed: SqlEventFeed
) -> None:
    mine = [happening(f"upl_{number}") for number in range(5)]
    await written(database, *mine[:2], happening("theirs", "usr_eve"), *mine[2:])
    found = await feed.after("usr_ada", 0, 10)
    assert found == [
        FeedEvent(number, "upload.received", each.payload(number))
        for number, each in enumerate(mine, 1)
    ]
    assert (await feed.last("usr_ada"), await feed.last("usr_eve")) == (5, 1)


async def test_it_goes_on_after_a_number_and_page_by_page(
    database: Database, feed: SqlEventFeed
) -> None:
    await written(database, *(happening(str(number)) for number in range(7)))

    async def page(after: int, limit: int = 3) -> list[int]:
        return [event.sequence for event in await feed.after("usr_ada", after, limit)]

    assert [await page(0), await page(3), await page(6), await page(7)] == [
        [1, 2, 3],
        [4, 5, 6],
        [7],
        [],
    ]
    assert await page(2**63 - 1) == []


async def test_the_last_number_stays_when_its_event_is_deleted(
    database: Database, feed: SqlEventFeed
) -> None:
    await written(database, happening("a"), happening("b"))
    async with database.transaction() as connection:
        await connection.execute(delete(table))
    assert (await feed.last("usr_ada"), await feed.after("usr_ada", 0, 9)) == (2, [])
    await written(database, happening("c"))
    assert [event.sequence for event in await feed.after("usr_ada", 0, 9)] == [3]


async def test_what_is_rolled_back_leaves_no_gap(database: Database, feed: SqlEventFeed) -> None:
    await written(database, happening("a"))
    async with database.transaction() as connection:
        assert await events.write(connection, happening("b")) == 2
        await connection.rollback()
    await written(database, happening("c"))
    assert [event.sequence for event in await feed.after("usr_ada", 0, 9)] == [1, 2]


async def test_transitions_at_once_leave_no_gap(database: Database, feed: SqlEventFeed) -> None:
    records = SqlUploadRecords(database)
    rows = [upload(id=str(number), key=str(number)) for number in range(20)]
    for row in rows:
        assert await records.add(row)
    await asyncio.gather(*(records.transition(row, S.ABORTED, START) for row in rows))
    found = await feed.after("usr_ada", 0, 100)
    assert [event.sequence for event in found] == list(range(1, 21))


async def test_a_database_that_is_away_is_said() -> None:
    url = "postgresql+asyncpg://postgres@127.0.0.1:1/uploadgate"
    async with Database.opened(url, timeout_seconds=1) as away:
        for call in (SqlEventFeed(away).last("a"), SqlEventFeed(away).after("a", 0, 1)):
            with pytest.raises(UnavailableError):
                await call


# --- commits out of order -------------------------------------------------------------------------
# Only Postgres has two transactions at once. With numbers of a database sequence (tried: `_next` of
# state/events.py as SELECT nextval('…')) the second commits first, the reader sees 2 and goes on
# after it, and the first test fails: of event 1 nobody is ever told.


class Reader:
    """Goes on after the highest number that it has seen, as a page does."""

    def __init__(self, feed: SqlEventFeed) -> None:
        self._feed = feed
        self.seen: list[int] = []

    async def read(self) -> list[int]:
        found = await self._feed.after("usr_ada", max(self.seen, default=0), 100)
        self.seen += [event.sequence for event in found]
        return self.seen


@asynccontextmanager
async def begun(database: Database) -> AsyncIterator[tuple[AsyncConnection, int]]:
    """A transaction that has done something already, and its backend's number."""
    async with database.transaction() as connection:
        pid = (await connection.execute(select(func.pg_backend_pid()))).scalar_one()
        await connection.execute(select(func.txid_current()))
        yield connection, pid


async def _wait_until_it_commits_or_waits_for(
    database: Database, pid: int, second: "asyncio.Task[object]"
) -> bool:
    """Whether it waits for the transaction of that backend."""
    query = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND :pid = ANY(pg_blocking_pids(pid))"
    )

    async def waits() -> bool:
        async with database.transaction() as connection:
            return bool((await connection.execute(query, {"pid": pid})).scalar_one())

    async def either() -> bool:
        return second.done() or await waits()

    await eventually(either)
    return not second.done()


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
@pytest.mark.parametrize("earlier", [0, 3])
async def test_who_would_commit_before_a_lower_number_waits_and_nothing_is_missed(
    database: Database, feed: SqlEventFeed, earlier: int
) -> None:
    """The first takes its number and commits last of all, if it were up to the second."""
    records, reader = SqlUploadRecords(database), Reader(feed)
    first, second = upload(id="first", key="1"), upload(id="second", key="2")
    await records.add(first)
    await records.add(second)
    await written(database, *(happening(str(number)) for number in range(earlier)))
    known = list(range(1, earlier + 1))
    async with begun(database) as (connection, pid):
        number = await events.write(connection, happening("first"))
        moving = asyncio.create_task(records.transition(second, S.ABORTED, START))
        waited = await _wait_until_it_commits_or_waits_for(database, pid, moving)
        assert await reader.read() == known
    assert await moving == replace(second, status=S.ABORTED, charged=0)
    assert await reader.read() == [*known, earlier + 1, earlier + 2]
    assert (waited, number) == (True, earlier + 1)


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_who_began_first_and_commits_last_gets_the_higher_number(
    database: Database, feed: SqlEventFeed
) -> None:
    records, reader = SqlUploadRecords(database), Reader(feed)
    second = upload(id="second", key="2")
    await records.add(second)
    async with begun(database) as (connection, _):
        await records.transition(second, S.ABORTED, START)
        assert await reader.read() == [1]
        assert await events.write(connection, happening("first")) == 2
        assert await reader.read() == [1]
    assert await reader.read() == [1, 2]


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_another_users_transaction_does_not_wait(database: Database) -> None:
    async with begun(database) as (connection, _):
        await events.write(connection, happening("first"))
        async with asyncio.timeout(60):
            await written(database, happening("other", "usr_eve"))
