"""The outbox, on every database."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Table, insert, select, update

from errors import UnavailableError
from service.delivery.events import DEFAULT_TYPES, EventType, Happening
from service.delivery.ports import Delivery, Forgotten
from state import events as event_rows
from state import spreading
from state.claiming import shares
from state.database import Database
from state.endpoints import SqlEndpoints
from state.outbox import SqlOutbox
from state.tables import deliveries, events, webhook_endpoints
from tests.fakes.clock import START

LEASE = timedelta(seconds=60)
DAY = timedelta(days=1)
# SQLite has one connection, which is waited for.
beside_one_another = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)


@pytest.fixture
def outbox(database: Database) -> SqlOutbox:
    return SqlOutbox(database)


async def given_endpoint(database: Database, name: str, **changes: Any) -> None:
    row = {
        "id": name,
        "url": f"https://{name}.example/hook",
        "description": "",
        "secret": f"whsec_{name}",
        "enabled": True,
        "created_at": START - DAY,
        "updated_at": START - DAY,
    }
    async with database.transaction() as connection:
        await connection.execute(insert(webhook_endpoints).values({**row, **changes}))


async def given_event(
    database: Database, name: str, kind: EventType = EventType.COMPLETED, *, seconds: float = 0
) -> None:
    happening = Happening(
        id=name,
        type=kind,
        user_id="ada",
        at=START + timedelta(seconds=seconds),
        data={"name": name},
    )
    async with database.transaction() as connection:
        await event_rows.write(connection, happening)


async def given_deliveries(database: Database, outbox: SqlOutbox, **counts: int) -> None:
    """So many events for each endpoint alone, one a second."""
    for endpoint, count in counts.items():
        await given_endpoint(database, endpoint)
        for number in range(count):
            await given_event(database, f"{endpoint}{number}", seconds=number)
            await outbox.fan_out(START + timedelta(seconds=number), 100)
        await changed(database, endpoint, enabled=False)
    for endpoint in counts:
        await changed(database, endpoint, enabled=True)


async def changed(database: Database, endpoint: str, **values: Any) -> None:
    statement = update(webhook_endpoints).where(webhook_endpoints.c.id == endpoint)
    async with database.transaction() as connection:
        await connection.execute(statement.values(values))


async def rows(database: Database, table: Table = deliveries) -> list[dict[str, Any]]:
    async with database.transaction() as connection:
        found = await connection.execute(select(table).order_by(table.c.id))
        return [dict(row) for row in found.mappings()]


async def pairs(database: Database) -> set[tuple[str, str]]:
    found = [(row["event_id"], row["endpoint_id"]) for row in await rows(database)]
    assert len(found) == len(set(found))
    return set(found)


async def claim(
    outbox: SqlOutbox,
    worker: str = "w",
    *,
    seconds: float = 100,
    limit: int = 100,
    per_endpoint: int = 100,
    busy: Mapping[str, int] | None = None,
) -> list[Delivery]:
    now = START + timedelta(seconds=seconds)
    return list(
        await outbox.claim(
            worker,
            now,
            until=now + LEASE,
            limit=limit,
            per_endpoint=per_endpoint,
            busy=busy or {},
        )
    )


def names(claimed: Sequence[Delivery]) -> list[str]:
    return [delivery.event_id for delivery in claimed]


# --- spreading ------------------------------------------------------------------------------------


async def test_an_event_goes_to_each_enabled_endpoint_that_wants_it(
    outbox: SqlOutbox, database: Database
) -> None:
    await given_endpoint(database, "default")
    await given_endpoint(database, "scanner", event_types=["upload.quarantined"])
    await given_endpoint(database, "none", event_types=[])
    await given_endpoint(database, "off", enabled=False)
    await given_event(database, "done")
    await given_event(database, "held", EventType.QUARANTINED)
    await given_event(database, "begun", EventType.UPLOADING)
    assert await outbox.fan_out(START + DAY, 100) == 3
    assert await pairs(database) == {("done", "default"), ("held", "scanner")}
    assert {row["spread_at"] for row in await rows(database, events)} == {START + DAY}
    assert {(row["due_at"], row["attempts"]) for row in await rows(database)} == {(START + DAY, 0)}
    assert await outbox.fan_out(START + DAY, 100) == 0


async def test_without_endpoints_events_are_spread_over_none(
    outbox: SqlOutbox, database: Database
) -> None:
    await given_event(database, "done")
    assert await outbox.fan_out(START, 100) == 1
    await given_endpoint(database, "late", created_at=START)
    assert await outbox.fan_out(START, 100) == 0
    assert await pairs(database) == set()


async def test_an_endpoint_gets_nothing_older_than_itself(
    outbox: SqlOutbox, database: Database
) -> None:
    """But for some minutes, by which two machines' clocks may differ."""
    await given_endpoint(database, "new", created_at=START + timedelta(seconds=301))
    for second in range(3):
        await given_event(database, f"e{second}", seconds=second)
    await outbox.fan_out(START + DAY, 100)
    assert await pairs(database) == {("e1", "new"), ("e2", "new")}


async def test_the_oldest_events_are_spread_first_and_a_few_at_once(
    outbox: SqlOutbox, database: Database
) -> None:
    await given_endpoint(database, "a")
    for second in (2, 0, 1):
        await given_event(database, f"e{9 - second}", seconds=second)
    assert await outbox.fan_out(START, 2) == 2
    assert await pairs(database) == {("e9", "a"), ("e8", "a")}
    assert await outbox.fan_out(START, 2) == 1
    assert await outbox.fan_out(START, 2) == 0


async def test_many_that_spread_at_once_double_nothing_and_skip_nothing(
    outbox: SqlOutbox, database: Database
) -> None:
    for endpoint in "abc":
        await given_endpoint(database, endpoint)
    for number in range(60):
        await given_event(database, f"e{number}")

    async def spread_all() -> int:
        count = 0
        while found := await outbox.fan_out(START, 7):
            count += found
        return count

    counts = await asyncio.gather(*(spread_all() for _ in range(6)))
    assert sum(counts) == 60
    expected = {(f"e{number}", endpoint) for number in range(60) for endpoint in "abc"}
    assert await pairs(database) == expected


@beside_one_another
async def test_what_another_has_in_its_hands_comes_back_when_that_one_fails(
    outbox: SqlOutbox, database: Database
) -> None:
    """A replica that dies in the middle takes no event with it."""
    await given_endpoint(database, "a")
    for number in range(4):
        await given_event(database, f"e{number}", seconds=number)

    async def dies() -> None:
        async with database.transaction() as connection:
            assert await spreading.spread(connection, START, 2) == 2
            assert await outbox.fan_out(START, 100) == 2
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await dies()
    assert await pairs(database) == {("e2", "a"), ("e3", "a")}
    assert await outbox.fan_out(START, 100) == 2
    assert len(await pairs(database)) == 4


async def test_an_event_that_was_replayed_meanwhile_is_not_doubled(
    outbox: SqlOutbox, database: Database
) -> None:
    await given_endpoint(database, "a")
    await given_event(database, "e")
    row = {"event_id": "e", "endpoint_id": "a", "created_at": START, "due_at": START}
    async with database.transaction() as connection:
        await connection.execute(insert(deliveries).values(row))
    assert await outbox.fan_out(START, 100) == 1
    assert await pairs(database) == {("e", "a")}


# --- claims ---------------------------------------------------------------------------------------


async def test_a_claim_has_all_that_an_attempt_needs(outbox: SqlOutbox, database: Database) -> None:
    await given_deliveries(database, outbox, a=1)
    (claimed,) = await claim(outbox, "worker")
    (row,) = await rows(database)
    (event,) = await rows(database, events)
    assert claimed == Delivery(
        id=row["id"],
        event_id="a0",
        endpoint_id="a",
        url="https://a.example/hook",
        secrets=("whsec_a",),
        payload=event["payload"],
        attempts=1,
    )
    until = START + timedelta(seconds=100) + LEASE
    assert (row["leased_by"], row["due_at"], row["attempts"]) == ("worker", until, 1)


async def test_a_replaced_secret_signs_until_its_time_is_over(
    outbox: SqlOutbox, database: Database
) -> None:
    await given_deliveries(database, outbox, a=2)
    until = START + timedelta(seconds=101)
    await changed(database, "a", previous_secret="whsec_old", previous_until=until)
    (before,) = await claim(outbox, seconds=100, limit=1)
    (after,) = await claim(outbox, seconds=101, limit=1)
    assert before.secrets == ("whsec_a", "whsec_old")
    assert after.secrets == ("whsec_a",)


async def test_of_an_endpoint_the_longest_due_come_first_and_none_before_its_time(
    outbox: SqlOutbox, database: Database
) -> None:
    await given_deliveries(database, outbox, a=3)
    assert await claim(outbox, seconds=-1) == []
    assert names(await claim(outbox, seconds=1)) == ["a0", "a1"]
    assert names(await claim(outbox, seconds=2)) == ["a2"]


async def test_no_endpoint_gets_more_than_its_share(outbox: SqlOutbox, database: Database) -> None:
    await given_deliveries(database, outbox, a=10, b=10, c=1)
    claimed = await claim(outbox, limit=12, per_endpoint=3)
    assert sorted(names(claimed)) == ["a0", "a1", "a2", "b0", "b1", "b2", "c0"]
    more = await claim(outbox, limit=12, per_endpoint=3, busy={"a": 3, "b": 1})
    assert names(more) == ["b3", "b4"]
    assert await claim(outbox, limit=12, per_endpoint=3, busy={"a": 3, "b": 4}) == []


async def test_the_endpoint_with_the_fewest_under_way_comes_first(
    outbox: SqlOutbox, database: Database
) -> None:
    await given_deliveries(database, outbox, backlog=10, other=1)
    assert names(await claim(outbox, limit=1, per_endpoint=8, busy={"backlog": 4})) == ["other0"]


async def test_a_disabled_endpoint_waits_and_goes_on_once_enabled(
    outbox: SqlOutbox, database: Database
) -> None:
    await given_deliveries(database, outbox, a=1)
    await changed(database, "a", enabled=False)
    assert await claim(outbox) == []
    await changed(database, "a", enabled=True)
    assert names(await claim(outbox)) == ["a0"]


async def test_workers_at_once_never_share_a_delivery_and_leave_none(
    outbox: SqlOutbox, database: Database
) -> None:
    await given_deliveries(database, outbox, a=30, b=30)

    async def all_of(worker: str) -> list[int]:
        found = []
        while claimed := await claim(outbox, worker, limit=5, per_endpoint=4):
            found += [delivery.id for delivery in claimed]
        return found

    claims = await asyncio.gather(*(all_of(f"w{number}") for number in range(6)))
    ids = [number for each in claims for number in each]
    assert len(ids) == len(set(ids))
    left = [delivery.id for delivery in await claim(outbox, "last")]
    assert len(ids) + len(left) == 60
    assert left == []


async def test_a_lease_that_ran_out_is_free_again_and_the_late_worker_writes_nothing(
    outbox: SqlOutbox, database: Database
) -> None:
    await given_deliveries(database, outbox, a=1)
    (slow,) = await claim(outbox, "slow")
    assert await claim(outbox, "quick", seconds=159) == []
    (again,) = await claim(outbox, "quick", seconds=160)
    assert (again.id, again.attempts) == (slow.id, 2)
    (before,) = await rows(database)
    await outbox.delivered(slow, "slow", START, 200)
    await outbox.retry(slow, "slow", START, due_at=START, status=500, error="x")
    await outbox.give_up(slow, "slow", START, status=None, error="x")
    assert await rows(database) == [before]
    await outbox.delivered(again, "quick", START, 204)
    (row,) = await rows(database)
    assert (row["done_at"], row["delivered"], row["last_status"]) == (START, True, 204)
    assert (row["leased_by"], row["attempted_at"], row["last_error"]) == (None, START, None)


async def test_two_leases_of_one_worker_are_told_apart(
    outbox: SqlOutbox, database: Database
) -> None:
    await given_deliveries(database, outbox, a=1)
    (first,) = await claim(outbox, "w")
    (second,) = await claim(outbox, "w", seconds=160)
    await outbox.give_up(first, "w", START, status=500, error="http_500")
    (row,) = await rows(database)
    assert (row["done_at"], row["leased_by"]) == (None, "w")
    await outbox.delivered(second, "w", START, 200)
    await outbox.retry(second, "w", START, due_at=START, status=500, error="http_500")
    (row,) = await rows(database)
    assert (row["delivered"], row["last_error"]) == (True, None)


async def test_what_came_of_an_attempt_is_kept(outbox: SqlOutbox, database: Database) -> None:
    await given_deliveries(database, outbox, a=1)
    (first,) = await claim(outbox)
    due = START + timedelta(seconds=500)
    await outbox.retry(first, "w", START, due_at=due, status=503, error="http_503")
    (row,) = await rows(database)
    assert (row["last_status"], row["last_error"]) == (503, "http_503")
    assert (row["due_at"], row["attempted_at"], row["done_at"]) == (due, START, None)
    assert await claim(outbox, seconds=499) == []
    (second,) = await claim(outbox, seconds=500)
    assert second.attempts == 2
    await outbox.give_up(second, "w", due, status=None, error="timeout")
    (row,) = await rows(database)
    assert (row["last_status"], row["last_error"]) == (None, "timeout")
    assert (row["done_at"], row["delivered"]) == (due, False)
    assert await claim(outbox, seconds=10_000) == []


async def test_attempts_of_which_nothing_was_noted_are_no_failures(
    outbox: SqlOutbox, database: Database
) -> None:
    """A crash or an outage of the database cut them short: the receiver did not fail."""
    await given_deliveries(database, outbox, a=1)
    for seconds in (100, 200):
        (cut_short,) = await claim(outbox, seconds=seconds)
        assert cut_short.failures == 0
    for failures in range(3):
        (failed,) = await claim(outbox, seconds=300)
        assert (failed.attempts, failed.failures) == (3 + failures, failures)
        await outbox.retry(failed, "w", START, due_at=START, status=500, error="http_500")


async def test_an_endpoint_is_disabled_unless_it_was_moved_meanwhile(
    outbox: SqlOutbox, database: Database
) -> None:
    await given_deliveries(database, outbox, a=1)
    (claimed,) = await claim(outbox)
    await outbox.disable(replace(claimed, url="https://elsewhere.example/"), START, "gone")
    (row,) = await rows(database, webhook_endpoints)
    assert row["enabled"]
    await outbox.disable(claimed, START, "gone")
    (row,) = await rows(database, webhook_endpoints)
    assert (row["enabled"], row["disabled_reason"], row["updated_at"]) == (False, "gone", START)
    await outbox.disable(claimed, START + DAY, "again")
    assert await rows(database, webhook_endpoints) == [row]


busy_counts = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 10))


@given(
    endpoints=st.lists(st.sampled_from("abcdef"), unique=True),
    busy=busy_counts,
    limit=st.integers(0, 40),
    most=st.integers(1, 10),
)
def test_places_are_shared_out_evenly(
    endpoints: list[str], busy: dict[str, int], limit: int, most: int
) -> None:
    shared = shares(endpoints, busy, limit, most)
    assert set(shared) == set(endpoints)
    assert all(share >= 0 for share in shared.values())
    room = sum(max(0, most - busy.get(endpoint, 0)) for endpoint in endpoints)
    total, kept_free = sum(shared.values()), (limit + sum(busy.values())) // 4
    assert min(limit - kept_free, room) <= total <= min(limit, room)
    if total < min(limit, room):
        assert all(busy.get(endpoint, 0) + shared[endpoint] > 0 for endpoint in endpoints)
    levels = {endpoint: busy.get(endpoint, 0) + shared[endpoint] for endpoint in endpoints}
    for endpoint in endpoints:
        if shared[endpoint]:
            assert levels[endpoint] <= most
            assert levels[endpoint] <= min(levels.values()) + 1


# --- forgetting -----------------------------------------------------------------------------------


async def test_old_events_are_forgotten_with_their_deliveries_unless_one_waits(
    outbox: SqlOutbox, database: Database
) -> None:
    await given_deliveries(database, outbox, a=4)
    done, failed, waits, _ = await claim(outbox)
    await outbox.delivered(done, "w", START, 200)
    await outbox.give_up(failed, "w", START, status=None, error="timeout")
    await outbox.retry(waits, "w", START, due_at=START, status=500, error="http_500")
    assert (await outbox.forget(START, 100)).count == 0
    assert (await outbox.forget(START + DAY, 100)).count == 2
    assert {row["id"] for row in await rows(database, events)} == {"a2", "a3"}
    assert {row["event_id"] for row in await rows(database)} == {"a2", "a3"}


async def test_what_was_never_spread_is_never_forgotten(
    outbox: SqlOutbox, database: Database
) -> None:
    await given_event(database, "e")
    assert (await outbox.forget(START + DAY, 100)).count == 0
    await outbox.fan_out(START, 100)
    assert (await outbox.forget(START + DAY, 100)).count == 1


async def test_no_more_are_forgotten_at_once_than_asked_and_the_oldest_first(
    outbox: SqlOutbox, database: Database
) -> None:
    for number in range(5):
        await given_event(database, f"e{number}", seconds=number)
    await outbox.fan_out(START, 100)
    assert (await outbox.forget(START + DAY, 2)).count == 2
    assert [row["id"] for row in await rows(database, events)] == ["e2", "e3", "e4"]
    assert (await outbox.forget(START + timedelta(seconds=3), 100)).count == 1
    assert [row["id"] for row in await rows(database, events)] == ["e3", "e4"]


async def test_those_that_are_waited_for_are_passed_over(
    outbox: SqlOutbox, database: Database
) -> None:
    await given_deliveries(database, outbox, a=7)
    claimed = {found.event_id: found for found in await claim(outbox)}
    for name in ("a3", "a6"):
        await outbox.delivered(claimed[name], "w", START, 200)
    after, counts = None, []
    while True:
        batch = await outbox.forget(START + DAY, 2, after=after)
        after = batch.after
        counts.append(batch.count)
        if after is None:
            break
    assert counts == [0, 1, 0, 1]
    assert {row["id"] for row in await rows(database, events)} == {"a0", "a1", "a2", "a4", "a5"}


async def test_of_one_moment_none_is_passed_over(outbox: SqlOutbox, database: Database) -> None:
    """An outage's events may all have the time of its end; their ids are in no order."""
    await given_endpoint(database, "a")
    for number in reversed(range(5)):
        await given_event(database, f"e{number}")
    await outbox.fan_out(START, 100)
    for delivery in await claim(outbox):
        if delivery.event_id in ("e1", "e4"):
            await outbox.delivered(delivery, "w", START, 200)
    first = await outbox.forget(START + DAY, 2)
    second = await outbox.forget(START + DAY, 2, after=first.after)
    third = await outbox.forget(START + DAY, 2, after=second.after)
    assert (first, second) == (Forgotten(1, (START, "e1")), Forgotten(0, (START, "e3")))
    assert third == Forgotten(1, None)
    assert {row["id"] for row in await rows(database, events)} == {"e0", "e2", "e3"}


async def test_an_endpoint_that_stays_disabled_does_not_keep_its_events_for_ever(
    outbox: SqlOutbox, database: Database
) -> None:
    await given_deliveries(database, outbox, off=1, other=1)
    await changed(database, "off", enabled=False, updated_at=START + 2 * DAY)
    assert (await outbox.forget(START + DAY, 100)).count == 0
    assert (await outbox.forget(START + 3 * DAY, 100)).count == 1
    assert [row["id"] for row in await rows(database, events)] == ["other0"]


@beside_one_another
async def test_what_somebody_writes_just_now_is_not_waited_for(
    outbox: SqlOutbox, database: Database
) -> None:
    await given_deliveries(database, outbox, a=2)
    for delivery in await claim(outbox):
        await outbox.delivered(delivery, "w", START, 200)
    (first, _) = await rows(database)
    async with database.transaction() as connection:
        touch = update(deliveries).where(deliveries.c.id == first["id"]).values(attempts=7)
        await connection.execute(touch)
        assert (await outbox.forget(START + DAY, 100)).count == 1
    assert [row["id"] for row in await rows(database, events)] == [first["event_id"]]
    assert (await outbox.forget(START + DAY, 100)).count == 1
    assert await rows(database) == []


async def test_a_database_that_is_away_is_said() -> None:
    url = "postgresql+asyncpg://postgres@127.0.0.1:1/uploadgate"
    async with Database.opened(url, timeout_seconds=1) as away:
        outbox = SqlOutbox(away)
        for call in (outbox.fan_out(START, 1), claim(outbox), outbox.forget(START, 1)):
            with pytest.raises(UnavailableError):
                await call


def test_the_last_quarter_of_all_places_is_for_those_that_have_none() -> None:
    hanging = dict.fromkeys("abcd", 6)
    assert shares([*"abcd"], hanging, 8, 8) == dict.fromkeys("abcd", 0)
    assert shares([*"abcde"], hanging, 8, 8) == {**dict.fromkeys("abcd", 0), "e": 1}


@beside_one_another
@pytest.mark.parametrize("delivery", [True, False])
async def test_what_is_replayed_just_now_is_not_forgotten_or_not_replayed(
    outbox: SqlOutbox, database: Database, delivery: bool
) -> None:
    """Whoever comes second sees what the first has done."""
    await given_endpoint(database, "a")
    await given_event(database, "old")
    await outbox.fan_out(START, 10)
    async with database.transaction() as connection:
        await connection.execute(
            update(deliveries).values(done_at=START, delivered=True)
            if delivery
            else deliveries.delete()
        )
    endpoints = SqlEndpoints(database)
    replaying = asyncio.gather(
        endpoints.replay_event("a", "old", DEFAULT_TYPES, START + DAY),
        outbox.forget(START + DAY, 10),
    )
    replayed, forgotten = await replaying
    assert replayed is not (forgotten.count == 1)
    assert len(await rows(database, events)) == len(await rows(database)) == int(bool(replayed))
