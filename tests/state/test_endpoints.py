"""Webhook endpoints and replays, on every database."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import insert, select

from errors import UnavailableError
from service.delivery.endpoint_ports import Changes, DeliveryStatus, ManagedEndpoint, Mark, Span
from service.delivery.endpoints import EndpointLimits, Endpoints
from service.delivery.events import DEFAULT_TYPES, EventType
from service.delivery.ports import Delivery
from state import replays
from state.database import Database
from state.endpoints import SqlEndpoints
from state.outbox import SqlOutbox
from state.tables import deliveries as deliveries_table
from state.tables import events as events_table
from state.tables import webhook_endpoints
from tests.fakes.clock import START, Clock
from tests.fakes.endpoints import URL, Addresses
from tests.fakes.eventually import eventually
from tests.state import locks

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LEASE = timedelta(seconds=60)
LATER = START + HOUR
SECRET = "whsec_" + "c2VjcmV0" * 4


def endpoint(number: int = 1, **changes: Any) -> ManagedEndpoint:
    made = ManagedEndpoint(
        id=f"whe_{number}",
        url=URL,
        description="é 🎉",
        event_types=None,
        secrets=(SECRET,),
        enabled=True,
        disabled_reason=None,
        created_at=START - 40 * DAY + timedelta(seconds=number),
        updated_at=START,
    )
    return replace(made, **changes)


def span(**changes: Any) -> Span:
    values: dict[str, Any] = {"since": START - DAY, "until": START, "types": DEFAULT_TYPES}
    return Span(**{**values, **changes})


@pytest.fixture
def records(database: Database) -> SqlEndpoints:
    return SqlEndpoints(database)


@pytest.fixture
def outbox(database: Database) -> SqlOutbox:
    return SqlOutbox(database)


async def happen(
    database: Database,
    count: int,
    *,
    first: int = 1,
    at: datetime = START - HOUR,
    kind: EventType = EventType.COMPLETED,
    spread: bool = True,
) -> None:
    rows = [
        {
            "id": f"evt_{number:05}",
            "type": kind.value,
            "user_id": "usr_1",
            "sequence": number,
            "at": at,
            "payload": "{}",
            "spread_at": at if spread else None,
        }
        for number in range(first, first + count)
    ]
    async with database.transaction() as connection:
        await connection.execute(insert(events_table), rows)


async def rows(database: Database) -> list[dict[str, Any]]:
    query = select(deliveries_table).order_by(deliveries_table.c.id)
    async with database.transaction() as connection:
        return [dict(row) for row in (await connection.execute(query)).mappings()]


async def waiting(database: Database) -> list[str]:
    return [row["event_id"] for row in await rows(database) if row["done_at"] is None]


async def replayed(
    records: SqlEndpoints, asked: Span | None = None, *, now: datetime = LATER, limit: int = 1000
) -> int:
    due, after = 0, None
    while True:
        batch = await records.replay("whe_1", asked or span(), after, now, limit)
        assert batch is not None
        due += batch.due
        if (after := batch.last) is None:
            return due


async def claim(outbox: SqlOutbox, now: datetime = LATER, limit: int = 100) -> Sequence[Delivery]:
    return await outbox.claim("w", now, until=now + LEASE, limit=limit, per_endpoint=limit, busy={})


# --- the records ----------------------------------------------------------------------------------


async def test_an_endpoint_is_kept_as_it_is(records: SqlEndpoints) -> None:
    given = [
        endpoint(2, event_types=frozenset({EventType.DELETED, EventType.QUARANTINED})),
        endpoint(1, url="https://app.example/" + "x" * 2000, description="d" * 255),
    ]
    for one in given:
        assert await records.add(one, most=5)
    assert list(await records.all(START)) == given[::-1]
    assert await records.get("whe_2", START) == given[0]
    for unknown in ("whe_3", "", "\0", "é"):
        assert await records.get(unknown, START) is None


async def test_no_types_are_no_value_of_the_column(
    records: SqlEndpoints, database: Database
) -> None:
    await records.add(endpoint(1), most=5)
    await records.add(endpoint(2, event_types=frozenset({EventType.DELETED})), most=5)
    await records.change("whe_2", START, {"event_types": None})
    async with database.transaction() as connection:
        missing = webhook_endpoints.c.event_types.is_(None)
        found = await connection.execute(select(webhook_endpoints.c.id).where(missing))
        assert len(found.all()) == 2


async def test_however_many_come_at_once_there_are_never_too_many(records: SqlEndpoints) -> None:
    added = await asyncio.gather(*(records.add(endpoint(n), most=4) for n in range(20)))
    assert added.count(True) == 4
    assert len(await records.all(START)) == 4
    assert not await records.add(endpoint(30), most=4)
    assert await records.remove((await records.all(START))[0].id)
    assert await records.add(endpoint(30), most=4)


async def test_only_what_is_named_is_changed(records: SqlEndpoints) -> None:
    before = endpoint(1)
    await records.add(before, most=1)
    types = frozenset({EventType.REJECTED})
    changes: list[Changes] = [{"url": "https://b.example/"}, {"event_types": types}]
    for change in changes:
        await records.change("whe_1", LATER, change)
    changed = await records.get("whe_1", LATER)
    assert changed == replace(before, url="https://b.example/", event_types=types, updated_at=LATER)


async def test_enabling_clears_the_reason_and_nothing_else_does(records: SqlEndpoints) -> None:
    await records.add(endpoint(1), most=1)
    await records.change("whe_1", START, {"enabled": False}, disabled_reason="gone")
    changed = await records.change("whe_1", START, {"description": "d"})
    assert changed is not None
    assert (changed.enabled, changed.disabled_reason) == (False, "gone")
    changed = await records.change("whe_1", START, {"enabled": True})
    assert changed is not None
    assert (changed.enabled, changed.disabled_reason) == (True, None)


async def test_a_replaced_secret_signs_until_its_time_is_over(
    records: SqlEndpoints, outbox: SqlOutbox, database: Database
) -> None:
    await records.add(endpoint(1), most=1)
    await records.rotate("whe_1", "whsec_2", START, previous_until=LATER)
    rotated = await records.rotate("whe_1", "whsec_3", START, previous_until=LATER)
    assert rotated is not None
    assert (rotated.secrets, rotated.previous_until) == (("whsec_3", "whsec_2"), LATER)
    later = await records.get("whe_1", LATER)
    assert later is not None
    assert (later.secrets, later.previous_until) == (("whsec_3",), None)
    await happen(database, 1, spread=False)
    await outbox.fan_out(START, 10)
    (claimed,) = await claim(outbox, START)
    assert claimed.secrets == rotated.secrets


async def test_of_rotations_at_once_every_secret_was_the_current_one(
    records: SqlEndpoints,
) -> None:
    await records.add(endpoint(1), most=1)
    done = await asyncio.gather(
        *(records.rotate("whe_1", f"whsec_{n}", START, previous_until=LATER) for n in range(8))
    )
    pairs = {found.secrets for found in done if found is not None}
    assert {current for current, _ in pairs} == {f"whsec_{n}" for n in range(8)}
    assert len({previous for _, previous in pairs}) == 8


async def test_what_is_not_there_is_neither_changed_nor_made(records: SqlEndpoints) -> None:
    for unknown in ("whe_0", "\0"):
        assert await records.change(unknown, START, {"enabled": True}) is None
        assert await records.rotate(unknown, SECRET, START, previous_until=LATER) is None
    assert await records.replay("whe_0", span(), None, START, 10) is None
    assert await records.replay_event("whe_0", "evt_1", DEFAULT_TYPES, START) is None
    assert await records.remove("whe_0")


# --- removing -------------------------------------------------------------------------------------


async def test_an_endpoint_stays_while_it_has_deliveries(
    records: SqlEndpoints, database: Database
) -> None:
    for number in (1, 2):
        await records.add(endpoint(number), most=2)
    await happen(database, 5)
    await replayed(records)
    await records.replay("whe_2", span(), None, LATER, 10)
    assert not await records.remove("whe_1")
    assert [await records.clear("whe_1", 3) for _ in range(3)] == [3, 2, 0]
    assert await records.remove("whe_1")
    assert await records.get("whe_1", START) is None
    assert {row["endpoint_id"] for row in await rows(database)} == {"whe_2"}


async def test_one_that_is_sent_to_and_spread_to_goes_all_the_same(
    records: SqlEndpoints, outbox: SqlOutbox, database: Database
) -> None:
    await records.add(endpoint(1), most=1)
    await happen(database, 200, spread=False)
    limits = EndpointLimits(most=1, rotation=DAY, keep=30 * DAY)
    clock = Clock()
    endpoints = Endpoints(records=records, addresses=Addresses(), limits=limits, clock=clock)

    async def work() -> None:
        for _ in range(20):
            await outbox.fan_out(START, 10)
            for delivery in await claim(outbox, START, 5):
                await outbox.delivered(delivery, "w", START, 200)

    await asyncio.gather(work(), work(), endpoints.delete("whe_1"))
    assert await records.get("whe_1", START) is None
    assert await rows(database) == []


# --- replays --------------------------------------------------------------------------------------


async def test_events_without_a_delivery_get_one_in_their_order(
    records: SqlEndpoints, outbox: SqlOutbox, database: Database
) -> None:
    await records.add(endpoint(1), most=1)
    await happen(database, 3, first=4, at=START - 2 * HOUR)
    await happen(database, 3, first=1, at=START - HOUR)
    assert await replayed(records, limit=2) == 6
    ids = [f"evt_{number:05}" for number in (4, 5, 6, 1, 2, 3)]
    assert [row["event_id"] for row in await rows(database)] == ids
    claimed = await claim(outbox)
    assert sorted(delivery.event_id for delivery in claimed) == sorted(ids)
    assert {delivery.attempts for delivery in claimed} == {1}


async def test_a_delivered_event_goes_out_again_under_its_own_id(
    records: SqlEndpoints, outbox: SqlOutbox, database: Database
) -> None:
    await records.add(endpoint(1), most=1)
    await happen(database, 1, spread=False)
    await outbox.fan_out(START, 10)
    (first,) = await claim(outbox, START)
    await outbox.delivered(first, "w", START, 204)
    assert await claim(outbox) == []
    assert await replayed(records) == 1
    (row,) = await rows(database)
    assert (row["due_at"], row["attempts"], row["delivered"]) == (LATER, 0, False)
    assert (row["done_at"], row["last_status"], row["attempted_at"]) == (None, None, None)
    (again,) = await claim(outbox)
    assert (again.event_id, again.id, again.attempts) == (first.event_id, first.id, 1)


async def test_only_failed_leaves_what_was_delivered_and_what_never_was_for_it(
    records: SqlEndpoints, outbox: SqlOutbox, database: Database
) -> None:
    await records.add(endpoint(1), most=1)
    await happen(database, 3, spread=False)
    await outbox.fan_out(START, 10)
    delivered, failed, retried = sorted(await claim(outbox, START), key=lambda one: one.id)
    await outbox.delivered(delivered, "w", START, 200)
    await outbox.give_up(failed, "w", START, status=500, error="http_500")
    await outbox.retry(failed, "w", START, due_at=START, status=None, error="late")
    await outbox.retry(retried, "w", START, due_at=START + DAY, status=503, error="http_503")
    await happen(database, 1, first=10)
    assert await replayed(records, span(only_failed=True), limit=2) == 2
    assert await waiting(database) == [failed.event_id, retried.event_id]
    assert {one.event_id: one.attempts for one in await claim(outbox)} == {
        failed.event_id: 1,
        retried.event_id: 1,
    }
    assert await replayed(records) == 2


@pytest.mark.parametrize("only_failed", [False, True])
async def test_what_is_being_sent_just_now_is_left_to_its_sender(
    records: SqlEndpoints, outbox: SqlOutbox, database: Database, *, only_failed: bool
) -> None:
    await records.add(endpoint(1), most=1)
    await happen(database, 2, spread=False)
    await outbox.fan_out(START, 10)
    (leased,) = await claim(outbox, START, 1)
    asked = span(only_failed=only_failed)
    assert await replayed(records, asked, now=START + LEASE / 2) == 1
    await outbox.retry(leased, "w", START, due_at=START + DAY, status=500, error="http_500")
    row = next(row for row in await rows(database) if row["id"] == leased.id)
    assert (row["attempts"], row["due_at"], row["last_status"]) == (1, START + DAY, 500)
    assert await replayed(records, asked) == 2
    assert len(await claim(outbox)) == 2


@pytest.mark.parametrize("only_failed", [False, True])
async def test_a_lease_that_ran_out_is_taken_over_and_its_holder_writes_nothing(
    records: SqlEndpoints, outbox: SqlOutbox, database: Database, *, only_failed: bool
) -> None:
    await records.add(endpoint(1), most=1)
    await happen(database, 1, spread=False)
    await outbox.fan_out(START, 10)
    (slow,) = await claim(outbox, START)
    assert await replayed(records, span(only_failed=only_failed), now=START + LEASE) == 1
    await outbox.give_up(slow, "w", LATER, status=500, error="http_500")
    (row,) = await rows(database)
    assert (row["done_at"], row["leased_by"], row["attempts"]) == (None, None, 0)
    (again,) = await claim(outbox)
    assert again.attempts == 1


@pytest.mark.parametrize("only_failed", [False, True])
async def test_a_replay_is_of_one_endpoint(
    records: SqlEndpoints, outbox: SqlOutbox, database: Database, *, only_failed: bool
) -> None:
    for number in (1, 2):
        await records.add(endpoint(number), most=2)
    await happen(database, 1, spread=False)
    await outbox.fan_out(START, 10)
    for delivery in await claim(outbox, START):
        await outbox.give_up(delivery, "w", START, status=500, error="http_500")
    assert await replayed(records, span(only_failed=only_failed)) == 1
    (again,) = await claim(outbox)
    assert again.endpoint_id == "whe_1"


async def test_a_replay_beside_the_drainers_loses_and_doubles_no_delivery(
    records: SqlEndpoints, outbox: SqlOutbox, database: Database
) -> None:
    await records.add(endpoint(1), most=1)
    await happen(database, 60, spread=False)
    sent: list[str] = []

    async def drain(worker: str) -> None:
        for _ in range(12):
            await outbox.fan_out(START, 7)
            claimed = await outbox.claim(
                worker, LATER, until=LATER + DAY, limit=6, per_endpoint=6, busy={}
            )
            for delivery in claimed:
                sent.append(delivery.event_id)
                if delivery.id % 3:
                    await outbox.delivered(delivery, worker, LATER, 200)
                else:
                    await outbox.give_up(delivery, worker, LATER, status=500, error="http_500")

    async def replay(*, only_failed: bool) -> None:
        for _ in range(3):
            await replayed(records, span(only_failed=only_failed), limit=9)

    await asyncio.gather(
        drain("a"), drain("b"), replay(only_failed=False), replay(only_failed=True)
    )
    await outbox.fan_out(START, 100)
    while claimed := await claim(outbox, LATER):
        sent += [delivery.event_id for delivery in claimed]
        for delivery in claimed:
            await outbox.delivered(delivery, "w", LATER, 200)
    everything = await rows(database)
    assert len(everything) == len({row["event_id"] for row in everything}) == 60
    assert set(sent) == {row["event_id"] for row in everything}
    assert all(row["done_at"] is not None and row["leased_by"] is None for row in everything)


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_replays_of_one_endpoint_go_one_by_one_and_hold_up_nothing_else(
    records: SqlEndpoints, outbox: SqlOutbox, database: Database
) -> None:
    """Each makes many deliveries due, in whatever order they lie: at once they could deadlock."""
    for number in (1, 2):
        await records.add(endpoint(number), most=2)
    await happen(database, 2)
    async with database.transaction() as connection:
        assert await replays.hold(connection, "whe_1")
        second = asyncio.create_task(replayed(records))
        one = asyncio.create_task(records.replay_event("whe_1", "evt_00001", DEFAULT_TYPES, LATER))
        await eventually(partial(_wait, database, 2))
        async with asyncio.timeout(60):
            assert await records.replay("whe_2", span(), None, LATER, 10)
            await happen(database, 1, first=3, spread=False)
            assert await outbox.fan_out(START, 10) == 1
        assert not second.done()
        assert not one.done()
    assert (await second, await one) in [(2, True), (3, True)]
    assert len(await rows(database)) == 6


async def _wait(database: Database, many: int) -> bool:
    return len(await locks.waiting(database)) == many


async def test_events_that_are_yet_to_be_spread_are_left_to_that(
    records: SqlEndpoints, outbox: SqlOutbox, database: Database
) -> None:
    await records.add(endpoint(1), most=1)
    await happen(database, 1, spread=False)
    assert await replayed(records) == 0
    assert await records.replay_event("whe_1", "evt_00001", DEFAULT_TYPES, LATER) is False
    assert await outbox.fan_out(START, 10) == 1
    assert await waiting(database) == ["evt_00001"]


async def test_a_replay_takes_the_time_and_the_types_it_was_asked_for(
    records: SqlEndpoints, database: Database
) -> None:
    await records.add(endpoint(1), most=1)
    step = timedelta(microseconds=1)
    times = [START - DAY - step, START - DAY, START, START + step]
    for number, at in enumerate(times, 1):
        await happen(database, 1, first=number, at=at)
    await happen(database, 1, first=9, at=START, kind=EventType.DELETED)
    assert await replayed(records, span(types={EventType.COMPLETED})) == 2
    assert await waiting(database) == ["evt_00002", "evt_00003"]


async def test_a_batch_ends_between_events_of_one_moment(
    records: SqlEndpoints, database: Database
) -> None:
    await records.add(endpoint(1), most=1)
    await happen(database, 5)
    first = await records.replay("whe_1", span(), None, LATER, 2)
    assert first is not None
    assert (first.due, first.last) == (2, Mark(START - HOUR, "evt_00002"))
    assert await waiting(database) == ["evt_00001", "evt_00002"]
    assert await replayed(records, limit=5) == 5


async def test_one_event_of_its_id(
    records: SqlEndpoints, outbox: SqlOutbox, database: Database
) -> None:
    await records.add(endpoint(1), most=1)
    await happen(database, 2)
    for unknown in ("evt_9", "\0"):
        assert await records.replay_event("whe_1", unknown, DEFAULT_TYPES, LATER) is False
    only_deleted = {EventType.DELETED}
    assert await records.replay_event("whe_1", "evt_00001", only_deleted, LATER) is False
    assert await records.replay_event("whe_1", "evt_00001", DEFAULT_TYPES, LATER) is True
    (delivery,) = await claim(outbox)
    assert await records.replay_event("whe_1", "evt_00001", DEFAULT_TYPES, LATER) is False
    await outbox.delivered(delivery, "w", LATER, 200)
    assert await records.replay_event("whe_1", "evt_00001", DEFAULT_TYPES, LATER) is True
    assert await waiting(database) == ["evt_00001"]


async def test_a_disabled_endpoint_gets_its_replay_once_it_is_enabled(
    records: SqlEndpoints, outbox: SqlOutbox, database: Database
) -> None:
    await records.add(endpoint(1), most=1)
    await records.change("whe_1", START, {"enabled": False}, disabled_reason="x")
    await happen(database, 1)
    assert await replayed(records) == 1
    assert await claim(outbox) == []
    await records.change("whe_1", START, {"enabled": True})
    assert len(await claim(outbox)) == 1


# --- what was sent --------------------------------------------------------------------------------


async def test_deliveries_are_told_by_what_became_of_them(
    records: SqlEndpoints, outbox: SqlOutbox, database: Database
) -> None:
    for number in (1, 2):
        await records.add(endpoint(number), most=2)
    await happen(database, 4, kind=EventType.REJECTED)
    await records.replay("whe_1", span(), None, START, 10)
    await records.replay("whe_2", span(), None, START, 10)
    first, second, third, _ = sorted(
        (one for one in await claim(outbox, START) if one.endpoint_id == "whe_1"),
        key=lambda one: one.id,
    )
    await outbox.delivered(first, "w", START, 202)
    await outbox.give_up(second, "w", START, status=None, error="timeout")
    await outbox.retry(third, "w", START, due_at=LATER, status=503, error="http_503")

    async def of(status: DeliveryStatus | None, **place: Any) -> list[Any]:
        values = {"before": None, "limit": 10, **place}
        return list(await records.deliveries("whe_1", status=status, **values))

    newest_first = await of(None)
    assert [one.event_id for one in newest_first] == [f"evt_0000{n}" for n in (4, 3, 2, 1)]
    (delivered,) = await of(DeliveryStatus.DELIVERED)
    assert (delivered.last_status, delivered.due_at, delivered.done_at) == (202, None, START)
    assert (delivered.event_type, delivered.attempts) == (EventType.REJECTED, 1)
    (failed,) = await of(DeliveryStatus.FAILED)
    assert (failed.status, failed.last_error) == (DeliveryStatus.FAILED, "timeout")
    waiting_ones = await of(DeliveryStatus.WAITING)
    assert [one.due_at for one in waiting_ones] == [START + LEASE, LATER]
    assert await of(None, before=newest_first[1].id) == newest_first[2:]
    assert await of(None, limit=1, before=2**63 - 1) == newest_first[:1]


async def test_a_database_that_is_away_is_said() -> None:
    url = "postgresql+asyncpg://postgres@127.0.0.1:1/uploadgate"
    async with Database.opened(url, timeout_seconds=1) as away:
        records = SqlEndpoints(away)
        for call in (records.all(START), records.remove("x"), records.add(endpoint(), most=1)):
            with pytest.raises(UnavailableError):
                await call
