"""The inbox, on every database."""

import asyncio
import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from errors import OverloadedError, UnavailableError, WebhookMalformedError
from service.completion.intake import Intake
from service.completion.ports import Claimed
from service.completion.sources import s3
from state import inbox as module
from state.database import Database
from state.inbox import SqlInbox
from state.tables import inbox as table
from tests.fakes.clock import START, Clock
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


async def test_replicas_that_bring_the_same_events_double_none_and_wait_for_no_one_forever(
    database: Database, database_url: str
) -> None:
    """Each in an order of its own: taken as they come, two would wait for each other."""
    events = [event(str(number)) for number in range(300)]
    async with Database.opened(database_url) as other:
        replicas = [SqlInbox(where, limit=10_000) for where in (database, other)]
        turns = [random.Random(turn).sample(events, 200) for turn in range(8)]  # noqa: S311
        puts = (replicas[turn % 2].put(some, START) for turn, some in enumerate(turns))
        found = await asyncio.gather(*puts)
    brought = {given.id for some in turns for given in some}
    assert sum(len(new) for new in found) == len(brought)
    assert set().union(*found) == brought
    assert {(row["source"], row["dedupe_key"]) for row in await rows(database)} == brought


async def test_of_many_at_once_the_new_ones_are_told(inbox: SqlInbox, database: Database) -> None:
    first = [event("a", size=1), event("b", etag="e", raw="x"), event("c", sequencer="07")]
    await inbox.put(first, START)
    more = [event("d", version_id="v"), event("b", source="sns"), *first, event("a", 1)]
    new = await inbox.put(more, START + timedelta(seconds=1))
    assert new == {event("d").id, event("b", source="sns").id, event("a", 1).id}
    kept = {(row["source"], row["dedupe_key"]): row for row in await rows(database)}
    a, b, c = (kept[given.id] for given in first)
    assert (a["size"], b["etag"], b["raw"], c["sequencer"]) == (1, "e", "x", "07")
    assert (b["received_at"], kept[event("d").id]["version_id"]) == (START, "v")


async def test_what_waits_is_not_counted_for_every_message(
    inbox: SqlInbox, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_COUNTED_SECONDS", 1000)
    counts = 0

    def executed(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        nonlocal counts
        counts += "count(" in statement

    listener = (database.engine.sync_engine, "before_cursor_execute", executed)
    sqlalchemy.event.listen(*listener)
    try:
        for number in range(50):
            await inbox.put([event(str(number))], START)
        assert counts == 1
        with pytest.raises(OverloadedError):
            await inbox.put([event("more")], START)
        assert counts == 2  # and before anything is refused
    finally:
        sqlalchemy.event.remove(*listener)


async def test_what_other_replicas_put_counts_too_after_a_while(
    inbox: SqlInbox, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_COUNTED_SECONDS", -1)
    other = SqlInbox(database, limit=50)
    await inbox.put([event(str(number)) for number in range(30)], START)
    await other.put([event(str(number)) for number in range(30, 45)], START)
    with pytest.raises(OverloadedError):
        await inbox.put([event(str(number)) for number in range(45, 55)], START)
    assert len(await inbox.put([event("x")], START)) == 1


async def test_a_crowd_of_senders_is_written_in_few_commits(database: Database) -> None:
    commits = 0

    def committed(_connection: Any) -> None:
        nonlocal commits
        commits += 1

    intake = Intake(SqlInbox(database, limit=10_000), clock=Clock())
    messages = [[event(str(number % 150))] for number in range(200)]
    sqlalchemy.event.listen(database.engine.sync_engine, "commit", committed)
    try:
        found = await asyncio.gather(*(intake.put(message) for message in messages))
    finally:
        sqlalchemy.event.remove(database.engine.sync_engine, "commit", committed)
    assert found == [1] * 150 + [0] * 50
    assert len(await rows(database)) == 150
    assert commits < 5


async def test_what_is_too_long_is_refused_and_not_cut(
    database_url: str, inbox: SqlInbox, database: Database
) -> None:
    if database_url.startswith("sqlite"):
        return  # takes texts of any length
    with pytest.raises(DBAPIError):
        await inbox.put([event("a", bucket="b" * 256)], START)
    assert await rows(database) == []


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


async def test_what_has_waited_longest_is_not_passed_by_what_came_first(inbox: SqlInbox) -> None:
    """Or what is tried again would keep the others from their turn."""
    await inbox.put([event("retried")], START)
    (retried,) = await claim(inbox, "w")
    await inbox.retry(retried, "w", START + timedelta(seconds=2))
    for seconds in (1, 3):
        await inbox.put([event(str(seconds))], START + timedelta(seconds=seconds))
    turns = [await claim(inbox, "w", seconds=4, limit=1) for _ in range(3)]
    assert [claimed.key for turn in turns for claimed in turn] == ["1", "retried", "3"]


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_a_worker_does_not_wait_for_what_another_holds(
    inbox: SqlInbox, database: Database
) -> None:
    """Nor does one that forgets. (With SQLite one at a time writes.)"""
    await inbox.put([event("held"), event("free"), event("old"), event("older")], START)
    for done in (await claim(inbox, "w"))[2:]:
        await inbox.settle(done, "w", "completed", START)
    held = select(table).where(table.c.key.in_(["held", "old"])).with_for_update()
    async with asyncio.timeout(60), database.transaction() as connection:
        await connection.execute(held)
        assert [claimed.key for claimed in await claim(inbox, "w", seconds=60)] == ["free"]
        assert await inbox.forget(START + timedelta(days=1)) == 1
    assert {row["key"] for row in await rows(database)} == {"held", "free", "old"}


async def test_looks_in_vain_are_counted_and_failures_are_not(inbox: SqlInbox) -> None:
    await inbox.put([event("a")], START)
    found = []
    for looked in (True, False, True, False):
        (claimed,) = await claim(inbox, "w")
        found.append((claimed.attempts, claimed.looks))
        await inbox.retry(claimed, "w", START, looked=looked)
    assert found == [(1, 0), (2, 1), (3, 1), (4, 2)]


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
    await inbox.settle(new, "w", "completed", START + timedelta(days=1))
    await inbox.retry(waits, "w", START)
    assert await inbox.forget(START) == 0
    assert await inbox.forget(START + timedelta(days=1)) == 1
    assert len(await inbox.put([event("waits"), event("old"), event("new")], START)) == 1


async def test_many_are_settled_at_once_but_none_that_another_has_by_now(
    inbox: SqlInbox, database: Database
) -> None:
    await inbox.put([event(str(number)) for number in range(5)], START)
    mine = await claim(inbox, "slow")
    others = await claim(inbox, "quick", seconds=60, limit=2)
    await inbox.settle_all(mine, "slow", "completed", START)
    await inbox.settle_all([], "slow", "completed", START)
    found = {row["id"]: (row["leased_by"], row["outcome"]) for row in await rows(database)}
    taken = {event.id for event in others}
    assert found == {
        event.id: ("quick", None) if event.id in taken else (None, "completed") for event in mine
    }


async def test_any_number_is_settled(
    inbox: SqlInbox, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_IDS", 3)
    await inbox.put([event(str(number)) for number in range(8)], START)
    await inbox.settle_all(await claim(inbox, "w"), "w", "completed", START)
    assert [row["outcome"] for row in await rows(database)] == ["completed"] * 8


async def test_a_claim_knows_what_the_source_said(inbox: SqlInbox) -> None:
    await inbox.put([event("a", sequencer="0055AE", etag="e"), event("b")], START)
    found = [(one.sequencer, one.etag) for one in await claim(inbox, "w")]
    assert found == [("0055AE", "e"), (None, None)]


async def test_a_bounded_number_is_forgotten_at_once_the_oldest_first(
    inbox: SqlInbox, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_FORGOTTEN", 3)
    await inbox.put([event(str(number)) for number in range(5)], START)
    for number, claimed in enumerate(reversed(await claim(inbox, "w"))):
        await inbox.settle(claimed, "w", "completed", START + timedelta(seconds=number))
    end = START + timedelta(days=1)
    assert await inbox.forget(end) == 3
    assert [row["key"] for row in await rows(database)] == ["0", "1"]
    assert [await inbox.forget(end), await inbox.forget(end)] == [2, 0]


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


@pytest.mark.parametrize("outcome", ["absent", "gone", "stale", "given up"])
async def test_what_came_to_nothing_is_taken_up_when_it_is_sent_again(
    inbox: SqlInbox, database: Database, outcome: str
) -> None:
    """After a repair somebody sends it again: an answer that it is known would change nothing."""
    await inbox.put([event("a"), event("b"), event("c")], START)
    (tried,) = await claim(inbox, "w", limit=1)
    await inbox.retry(tried, "w", START, looked=True, faulted=True)
    nothing, done, waits = await claim(inbox, "w")
    assert (nothing.attempts, nothing.looks, nothing.faults) == (2, 1, 1)
    if outcome == "given up":
        await inbox.give_up(nothing, "w", "RuntimeError", START)
    else:
        await inbox.settle(nothing, "w", outcome, START)
    await inbox.settle(done, "w", "completed", START)
    await inbox.retry(waits, "w", START + timedelta(days=1), looked=True, faulted=True)
    later = START + timedelta(hours=1)
    again = [event("a"), event("b"), event("c"), event("d")]
    assert await inbox.put(again, later) == {again[0].id, again[3].id}
    first, *_ = await rows(database)
    assert (first["done_at"], first["outcome"], first["failed"]) == (None, None, False)
    assert (first["attempts"], first["looks"], first["faults"]) == (0, 0, 0)
    assert (first["due_at"], first["received_at"]) == (later, START)
    assert [found.key for found in await claim(inbox, "w", seconds=3600)] == ["a", "d"]


async def test_only_what_was_sent_again_is_taken_up(inbox: SqlInbox) -> None:
    """Though another source's has the same key."""
    sent = [event("a", source="sns"), event("b", source="eventbridge"), event("b", source="sns")]
    await inbox.put(sent, START)
    await inbox.settle_all(await claim(inbox, "w"), "w", "absent", START)
    assert await inbox.put(sent[:2], START) == {sent[0].id, sent[1].id}


async def test_faults_of_ours_are_counted_apart_from_looks(inbox: SqlInbox) -> None:
    await inbox.put([event("a")], START)
    for looked, faulted in ((True, False), (False, True), (False, False), (False, True)):
        (claimed,) = await claim(inbox, "w")
        await inbox.retry(claimed, "w", START, looked=looked, faulted=faulted)
    (claimed,) = await claim(inbox, "w")
    assert (claimed.attempts, claimed.looks, claimed.faults) == (5, 1, 2)


async def test_what_is_due_too_far_from_now_is_called_back(
    inbox: SqlInbox, database: Database
) -> None:
    """A clock that was set back, or a replica's that was ahead."""
    far, beyond = timedelta(hours=5), START + timedelta(hours=1)
    await inbox.put([event("near"), event("far"), event("done")], START)
    near, gone, done = await inbox.claim("w", START, until=START + far, limit=3)
    await inbox.retry(near, "w", beyond)
    await inbox.retry(gone, "w", START + far)
    await inbox.settle(done, "w", "completed", START + far)
    assert await inbox.call_back(START, beyond=beyond) == 1
    assert await inbox.call_back(START, beyond=beyond) == 0
    assert [found.key for found in await claim(inbox, "w")] == ["far"]
    assert (await rows(database))[0]["due_at"] == beyond


async def test_a_bounded_number_is_called_back_at_once(
    inbox: SqlInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_FORGOTTEN", 3)
    await inbox.put([event(str(number)) for number in range(5)], START + timedelta(days=1))
    assert [await inbox.call_back(START, beyond=START) for _ in range(3)] == [3, 2, 0]


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_what_another_holds_is_called_back_without_waiting_for_it(
    inbox: SqlInbox, database: Database
) -> None:
    await inbox.put([event("held"), event("free")], START + timedelta(days=1))
    held = select(table).where(table.c.key == "held").with_for_update()
    async with asyncio.timeout(60), database.transaction() as connection:
        await connection.execute(held)
        assert await inbox.call_back(START, beyond=START) == 1
    assert [found.key for found in await claim(inbox, "w")] == ["free"]
