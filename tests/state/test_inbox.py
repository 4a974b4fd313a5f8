"""The inbox, on every database."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from errors import OverloadedError, UnavailableError, WebhookMalformedError
from service.completion.ports import Claimed
from service.completion.sources import s3
from state.database import Database
from state.inbox import SqlInbox
from state.tables import inbox as table
from tests.fakes.clock import START
from tests.fakes.inbox import event

LEASE = timedelta(seconds=60)


@pytest.fixture
def inbox(database: Database) -> SqlInbox:
    return SqlInbox(database, limit=50)


async def rows(database: Database) -> list[dict[str, Any]]:
    async with database.transaction() as connection:
        found = await connection.execute(select(table).order_by(table.c.id))
        return [dict(row) for row in found.mappings()]


async def claim(
    inbox: SqlInbox, worker: str, *, seconds: float = 0, limit: int = 100
) -> list[Claimed]:
    now = START + timedelta(seconds=seconds)
    return list(await inbox.claim(worker, now, until=now + LEASE, limit=limit))


async def test_an_event_is_kept_as_it_came(inbox: SqlInbox, database: Database) -> None:
    given = event(
        "us-east-1:0/é 🎉+%\x01",
        size=2**62,
        etag="e",
        version_id="v" * 1024,
        sequencer="0055AED6DCD90281E5",
        event_time=datetime(2029, 1, 1, tzinfo=UTC),
        raw='{"é": "🎉"}',
    )
    assert len(await inbox.put([given], START)) == 1
    (row,) = await rows(database)
    for name in ("source", "dedupe_key", "bucket", "key", "size", "etag", "version_id", "raw"):
        assert row[name] == getattr(given, name)
    assert (row["sequencer"], row["event_time"]) == (given.sequencer, given.event_time)
    assert (row["received_at"], row["attempts"], row["failed"]) == (START, 0, False)


async def test_an_event_is_taken_once_however_often_it_comes(inbox: SqlInbox) -> None:
    assert len(await inbox.put([event("a"), event("a"), event("b")], START)) == 2
    assert len(await inbox.put([event("a")], START)) == 0
    assert len(await inbox.put([event("a", source="sns"), event("a", 1)], START)) == 2
    assert len(await claim(inbox, "w")) == 4


async def test_an_event_that_was_done_is_not_taken_again(inbox: SqlInbox) -> None:
    await inbox.put([event("a")], START)
    (claimed,) = await claim(inbox, "w")
    await inbox.settle(claimed, "w", "completed", START)
    assert len(await inbox.put([event("a")], START)) == 0
    assert await claim(inbox, "w", seconds=1000) == []


async def test_of_many_deliveries_at_once_one_is_new(inbox: SqlInbox) -> None:
    puts = (inbox.put([event("a")], START) for _ in range(20))
    assert sum(len(new) for new in await asyncio.gather(*puts)) == 1


async def test_the_inbox_is_bounded_and_keeps_nothing_beyond(inbox: SqlInbox) -> None:
    assert len(await inbox.put([event(str(number)) for number in range(49)], START)) == 49
    with pytest.raises(OverloadedError) as caught:
        await inbox.put([event("x"), event("y")], START)
    assert caught.value.retry_after is not None
    assert len(await inbox.put([event("x")], START)) == 1
    with pytest.raises(OverloadedError):
        await inbox.put([event("y")], START)
    (claimed,) = await claim(inbox, "w", limit=1)
    await inbox.settle(claimed, "w", "completed", START)
    assert len(await inbox.put([event("y")], START)) == 1


async def test_workers_never_share_an_event(inbox: SqlInbox) -> None:
    await inbox.put([event(str(number)) for number in range(40)], START)
    claims = await asyncio.gather(*(claim(inbox, f"w{n}", limit=10) for n in range(8)))
    ids = [claimed.id for batch in claims for claimed in batch]
    assert len(ids) == len(set(ids))
    left = await claim(inbox, "last")
    assert len(ids) + len(left) == 40
    assert all(len(batch) <= 10 for batch in claims)


async def test_the_oldest_due_come_first_and_none_before_its_time(inbox: SqlInbox) -> None:
    for number in range(3):
        await inbox.put([event(str(number))], START + timedelta(seconds=number))
    assert [claimed.key for claimed in await claim(inbox, "w", seconds=1)] == ["0", "1"]
    assert [claimed.key for claimed in await claim(inbox, "w", seconds=2)] == ["2"]


async def test_a_lease_that_ran_out_is_free_again_and_the_late_worker_writes_nothing(
    inbox: SqlInbox, database: Database
) -> None:
    await inbox.put([event("a")], START)
    (slow,) = await claim(inbox, "slow")
    assert (slow.attempts, await claim(inbox, "quick", seconds=59)) == (1, [])
    (again,) = await claim(inbox, "quick", seconds=60)
    assert (again.id, again.attempts) == (slow.id, 2)
    await inbox.settle(slow, "slow", "completed", START)
    await inbox.retry(slow, "slow", START)
    await inbox.give_up(slow, "slow", "lost", START)
    (row,) = await rows(database)
    assert (row["leased_by"], row["done_at"], row["failed"]) == ("quick", None, False)
    await inbox.settle(again, "quick", "completed", START)
    (row,) = await rows(database)
    assert (row["outcome"], row["done_at"], row["leased_by"]) == ("completed", START, None)


async def test_a_retry_comes_due_again_and_what_is_given_up_does_not(
    inbox: SqlInbox, database: Database
) -> None:
    await inbox.put([event("a")], START)
    (first,) = await claim(inbox, "w")
    await inbox.retry(first, "w", START + timedelta(seconds=5))
    assert await claim(inbox, "w", seconds=4) == []
    (second,) = await claim(inbox, "w", seconds=5)
    assert second.attempts == 2
    await inbox.give_up(second, "w", "store_unavailable", START)
    assert await claim(inbox, "w", seconds=10_000) == []
    (row,) = await rows(database)
    assert (row["failed"], row["outcome"]) == (True, "store_unavailable")


async def test_only_what_was_done_before_then_is_forgotten(inbox: SqlInbox) -> None:
    await inbox.put([event("waits"), event("old"), event("new")], START)
    claimed = {found.key: found for found in await claim(inbox, "w")}
    waits, old, new = (claimed[key] for key in ("waits", "old", "new"))
    await inbox.settle(old, "w", "completed", START)
    await inbox.give_up(new, "w", "x", START + timedelta(days=1))
    await inbox.retry(waits, "w", START)
    assert await inbox.forget(START) == 0
    assert await inbox.forget(START + timedelta(days=1)) == 1
    assert len(await inbox.put([event("waits"), event("old"), event("new")], START)) == 1


@pytest.mark.parametrize("longest", [255, 256, 1024, 1025])
@pytest.mark.parametrize("field", ["eTag", "sequencer", "versionId"])
async def test_what_a_source_says_is_refused_or_fits(
    inbox: SqlInbox, field: str, longest: int
) -> None:
    found = {"key": "a", "size": 1, "sequencer": "0", field: "x" * longest}
    record = {
        "eventVersion": "2.1",
        "eventName": "ObjectCreated:Put",
        "eventTime": "2030-01-01T00:00:00.000Z",
        "s3": {"bucket": {"name": "uploads"}, "object": found},
    }
    try:
        (parsed,) = s3.parse(json.dumps({"Records": [record]}), fallback_id="m", source="sqs")
    except WebhookMalformedError:
        return
    assert len(await inbox.put([parsed], START)) == 1


async def test_a_database_that_is_away_is_said() -> None:
    url = "postgresql+asyncpg://postgres@127.0.0.1:1/uploadgate"
    async with Database.opened(url, timeout_seconds=1) as away:
        inbox = SqlInbox(away, limit=1)
        for call in (inbox.put([event("a")], START), claim(inbox, "w"), inbox.forget(START)):
            with pytest.raises(UnavailableError):
                await call
