"""The timeline's material, on every database."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select

from service.completion.history import History
from service.uploads.model import Origin, Transport, Upload, UploadStatus
from state.database import Database
from state.inbox import SqlInbox
from state.tables import deliveries, events, webhook_endpoints
from state.timeline import SqlTimeline, parsed
from state.uploads import SqlUploadRecords
from tests.fakes.clock import START
from tests.fakes.inbox import event
from tests.fakes.records import upload

S = UploadStatus
LEASE = timedelta(seconds=60)
KEY = upload().key


class World:
    """`at` are seconds after the start."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.records = SqlUploadRecords(database)
        self.inbox = SqlInbox(database, limit=10_000)
        self.timeline = SqlTimeline(database)

    async def add(self, at: float = 0, **changes: Any) -> Upload:
        made = upload(**{"created_at": moment(at), "updated_at": moment(at), **changes})
        assert await self.records.add(made)
        return made

    async def adopt(self, at: float, generation: int = 0, **changes: Any) -> Upload:
        return await self.add(
            at,
            id=f"upl_{generation}",
            generation=generation,
            key=KEY,
            origin=Origin.ADOPTED,
            transport=Transport.CREDENTIALS,
            status=S.COMPLETED,
            **changes,
        )

    async def move(self, seen: Upload, status: S, at: float, **changes: Any) -> Upload:
        found = await self.records.transition(seen, status, moment(at), **changes)
        assert found is not None
        return found

    async def hear(self, number: int, at: float, settled_at: float | None, **changes: Any) -> None:
        """One event of the key, settled then or not at all."""
        assert await self.inbox.put([event(KEY, number, **changes)], moment(at))
        if settled_at is None:
            return
        now = moment(at)
        [claimed] = await self.inbox.claim("w", now, until=now + LEASE, limit=1)
        await self.inbox.settle(claimed, "w", f"outcome-{number}", moment(settled_at))

    async def told(self, row: Upload, *, limit: int = 200, deliveries: bool = True) -> History:
        return await self.timeline.history(row, with_deliveries=deliveries, limit=limit)

    async def outcomes(self, row: Upload) -> Sequence[str | None]:
        return [found.outcome for found in (await self.told(row)).events]


def moment(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


async def test_a_record_to_which_nothing_happened(world: World) -> None:
    row = await world.add()
    assert await world.told(row) == History(transitions=[], events=[], deliveries=[])


async def test_transitions_are_told_with_their_reasons(world: World) -> None:
    row = await world.add()
    received = await world.move(row, S.RECEIVED, 1, etag="one")
    await world.move(received, S.REJECTED, 2, status_reason="too large")
    other = await world.add(id="upl_2")
    await world.move(other, S.ABORTED, 3)
    found = (await world.told(row)).transitions
    assert [(step.before, step.after, step.reason, step.sequence) for step in found] == [
        ("pending", "received", None, 1),
        ("received", "rejected", "too large", 2),
    ]
    assert [step.at for step in found] == [moment(1), moment(2)]


async def test_an_event_is_told_as_it_came_with_what_came_of_it(world: World) -> None:
    row = await world.add()
    said = {
        "source": "sns",
        "size": 2**62,
        "etag": "e",
        "version_id": "v1",
        "sequencer": "0055",
        "event_time": moment(-5),
    }
    await world.hear(1, 1, 2, raw='{"é":[1,null]}', **said)
    [found] = (await world.told(row)).events
    assert {name: getattr(found, name) for name in said} == said
    assert (found.received_at, found.outcome, found.attempts) == (moment(1), "outcome-1", 1)
    assert (found.failed, found.next_attempt_at, found.raw) == (False, None, {"é": [1, None]})


async def test_an_event_that_waits_says_when_it_is_taken_up_next(world: World) -> None:
    row = await world.add()
    await world.hear(1, 1, None)
    assert [found.next_attempt_at for found in (await world.told(row)).events] == [moment(1)]
    [claimed] = await world.inbox.claim("w", moment(2), until=moment(62), limit=1)
    [held] = (await world.told(row)).events
    assert (held.next_attempt_at, held.attempts) == (moment(62), 1)
    await world.inbox.retry(claimed, "w", moment(5))
    assert [found.next_attempt_at for found in (await world.told(row)).events] == [moment(5)]


async def test_an_event_that_was_given_up_says_so(world: World) -> None:
    row = await world.add()
    await world.hear(1, 1, None)
    [claimed] = await world.inbox.claim("w", moment(2), until=moment(62), limit=1)
    await world.inbox.give_up(claimed, "w", "KeyError", moment(3))
    [found] = (await world.told(row)).events
    assert (found.failed, found.outcome, found.waits) == (True, "KeyError", False)


async def test_events_of_other_keys_and_buckets_are_others(world: World) -> None:
    row = await world.add()
    others = [event(f"{KEY}x"), event(KEY, bucket="other"), event(KEY.upper())]
    await world.inbox.put(others, moment(1))
    assert await world.outcomes(row) == []


async def test_each_record_of_a_key_has_the_events_of_its_own_life(world: World) -> None:
    """An event makes a record by adoption: it is received before, and settled after."""
    await world.hear(0, 1, 5)  # nobody's yet
    await world.hear(1, 10, 12)
    first = await world.adopt(11)
    await world.hear(2, 13, 14)
    first = await world.move(first, S.DELETED, 20)
    await world.hear(3, 30, 33)
    await world.hear(4, 31, 34)
    second = await world.adopt(32, generation=1)
    await world.hear(5, 35, 36)
    await world.hear(6, 40, None)
    assert await world.outcomes(first) == ["outcome-1", "outcome-2"]
    assert await world.outcomes(second) == ["outcome-3", "outcome-4", "outcome-5", None]


async def test_what_waits_is_the_newest_records(world: World) -> None:
    first = await world.adopt(11)
    await world.hear(1, 12, None)
    assert await world.outcomes(first) == [None]
    second = await world.adopt(13, generation=1)
    assert (await world.outcomes(first), await world.outcomes(second)) == ([], [None])


async def test_the_newest_are_kept_and_that_there_were_more_is_said(world: World) -> None:
    row = await world.add()
    for number in range(5):
        await world.hear(number, number, number)
    whole, cut = await world.told(row, limit=5), await world.told(row, limit=4)
    assert [found.outcome for found in whole.events] == [f"outcome-{n}" for n in range(5)]
    assert [found.outcome for found in cut.events] == [f"outcome-{n}" for n in range(1, 5)]
    assert (whole.truncated, cut.truncated) == (False, True)


async def test_of_transitions_the_newest_are_kept_too(world: World) -> None:
    row = await world.move(await world.add(), S.RECEIVED, 1, etag="one")
    row = await world.move(row, S.COMPLETED, 2)
    found = await world.told(row, limit=1)
    assert ([step.after for step in found.transitions], found.truncated) == (["completed"], True)


async def _delivered(world: World, row: Upload, **changes: Any) -> str:
    """To an endpoint of its own; the event's id."""
    async with world.database.transaction() as connection:
        query = select(events.c.id).where(events.c.upload_id == row.id)
        event_id = (await connection.execute(query)).scalars().one()
        endpoint = f"ep_{changes['due_at'].timestamp()}"
        await connection.execute(
            insert(webhook_endpoints).values(
                id=endpoint,
                url="https://app.example/hook",
                description="",
                secret="whsec_secret",
                enabled=True,
                created_at=START,
                updated_at=START,
            )
        )
        values = {"event_id": event_id, "endpoint_id": endpoint, "created_at": moment(2), **changes}
        await connection.execute(insert(deliveries).values(values))
    return str(event_id)


async def test_deliveries_are_told_to_who_asks_for_them(world: World) -> None:
    row = await world.move(await world.add(), S.ABORTED, 1)
    other = await world.move(await world.add(id="upl_2"), S.ABORTED, 1)
    event_id = await _delivered(
        world, row, due_at=moment(9), attempts=2, last_status=503, last_error="status"
    )
    await _delivered(world, row, due_at=moment(3), attempts=1, done_at=moment(4), delivered=True)
    await _delivered(world, row, due_at=moment(5), attempts=9, done_at=moment(6), last_error="gone")
    await _delivered(world, other, due_at=moment(7))
    waits, done, given_up = (await world.told(row)).deliveries
    assert {found.event_id for found in (waits, done, given_up)} == {event_id}
    assert waits.endpoint_id == f"ep_{moment(9).timestamp()}"
    assert (waits.attempts, waits.last_status, waits.last_error) == (2, 503, "status")
    assert (waits.next_attempt_at, waits.delivered_at, waits.at) == (moment(9), None, moment(2))
    assert (done.next_attempt_at, done.delivered_at) == (None, moment(4))
    assert (given_up.next_attempt_at, given_up.delivered_at) == (None, None)
    cut = await world.told(row, limit=2)
    assert (len(cut.deliveries), cut.truncated) == (2, True)
    assert (await world.told(row, deliveries=False)).deliveries == []


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ('{"a":[1,"é"]}', {"a": [1, "é"]}),
        ("", None),
        ("not json", "not json"),
        ('"\\ud800"', '"\\ud800"'),
        ('{"\\ud800":1}', '{"\\ud800":1}'),
        ("NaN", "NaN"),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_what_a_source_said_can_always_be_told_again(raw: str, value: Any) -> None:
    found = parsed(raw)
    assert found == value
    json.dumps(found, ensure_ascii=False, allow_nan=False).encode()
