"""Looks at the database and at what the application heard, when all has become quiet."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from service.delivery.events import DEFAULT_TYPES
from state.tables import deliveries, events, inbox, uploads, usage
from torture.ledger import Ledger
from torture.world import World

_IN_FLIGHT = ("pending", "uploading")
_QUIET_SECONDS = 300.0
_LOOK_SECONDS = 0.25
_TOLD = [kind.value for kind in DEFAULT_TYPES]


@dataclass
class Findings:
    """All but `acknowledged`, `messages` and `repeats` should be nothing. `lost`: acknowledged
    events that the inbox lacks, uploads that are not where they belong, messages that never
    came. `doubled`: transitions written twice, records that share an object, messages of no event
    or with two bodies. `drift`: bytes and uploads by which usage differs from the records.
    """

    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    drift: int = 0
    messages: int = 0
    repeats: int = 0
    notes: list[str] = field(default_factory=list)

    def lose(self, what: str, found: object) -> None:
        self.lost += 1
        self.notes.append(f"lost: {what} {found}")

    def double(self, what: str, found: object) -> None:
        self.doubled += 1
        self.notes.append(f"doubled: {what} {found}")


async def audit(world: World, ledger: Ledger) -> Findings:
    """Of what this ledger is about. Waits until nothing moves any more, but not for ever."""
    findings = Findings(acknowledged=len(ledger.acknowledged), notes=list(ledger.notes))
    if not await quiet(world, ledger):
        findings.notes.append("it never became quiet")
    async with world.engine.connect() as connection:
        await _events_are_kept(connection, ledger, findings)
        await _uploads_have_arrived(connection, ledger, findings)
        await _transitions_are_single(connection, ledger, findings)
        await _sequences_have_no_holes(connection, ledger, findings)
        await _usage_adds_up(connection, ledger, findings)
        await _messages_have_come(connection, ledger, world, findings)
    return findings


async def quiet(world: World, ledger: Ledger, *, heard: bool = True) -> bool:
    """Whether it became so: all that was expected has happened, and nothing waits; `heard` False:
    but messages that are not sent.
    """
    end = time.monotonic() + _QUIET_SECONDS
    waiting = _unfinished(ledger)[: 3 if heard else 2]
    while time.monotonic() < end:
        async with world.engine.connect() as connection:
            left = [await _count(connection, query) for query in waiting]
            found = await _statuses(connection, ledger)
        if not any(left) and found == ledger.expected:
            return True
        await asyncio.sleep(_LOOK_SECONDS)
    return False


def _unfinished(ledger: Ledger) -> list[Select[Any]]:
    """In the inbox, not spread yet, not sent yet."""
    mine = events.c.user_id.in_(ledger.user_ids)
    return [
        select(inbox.c.id).where(inbox.c.done_at.is_(None), inbox.c.key.in_(ledger.expected)),
        select(events.c.id).where(mine, events.c.spread_at.is_(None)),
        select(deliveries.c.id)
        .join(events, events.c.id == deliveries.c.event_id)
        .where(mine, deliveries.c.done_at.is_(None)),
    ]


async def _count(connection: AsyncConnection, query: Select[Any]) -> int:
    counted = select(func.count()).select_from(query.subquery())
    return int((await connection.execute(counted)).scalar_one())


async def _statuses(connection: AsyncConnection, ledger: Ledger) -> dict[str, str]:
    query = select(uploads.c.key, uploads.c.status).where(uploads.c.key.in_(ledger.expected))
    return {row.key: row.status for row in await connection.execute(query)}


async def _events_are_kept(connection: AsyncConnection, ledger: Ledger, found: Findings) -> None:
    query = select(inbox.c.dedupe_key).where(inbox.c.key.in_(ledger.expected))
    kept = Counter((await connection.execute(query)).scalars())
    for missing in ledger.acknowledged - kept.keys():
        found.lose("an acknowledged event", missing)
    for twice in (key for key, times in kept.items() if times > 1):
        found.double("an event in the inbox", twice)


async def _uploads_have_arrived(
    connection: AsyncConnection, ledger: Ledger, found: Findings
) -> None:
    columns = (uploads.c.key, uploads.c.status, uploads.c.etag)
    query = select(*columns).where(uploads.c.user_id.in_(ledger.user_ids))
    rows = (await connection.execute(query)).all()
    records = {row.key: row for row in rows}
    for key, status in ledger.expected.items():
        record = records.get(key)
        if record is None or record.status != status:
            found.lose(f"an upload, {record and record.status} instead of {status}:", key)
        elif record.etag != ledger.etags[key]:
            found.lose("what was written last of", key)
    for key, times in Counter(row.key for row in rows).items():
        if times > 1:
            found.double("the record of", key)


async def _transitions_are_single(
    connection: AsyncConnection, ledger: Ledger, found: Findings
) -> None:
    """Only a replacement may come again, and with other bytes then."""
    columns = (events.c.upload_id, events.c.after, events.c.before, events.c.payload)
    query = select(*columns).where(events.c.user_id.in_(ledger.user_ids))
    rows = (await connection.execute(query)).all()
    moves = Counter(
        (row.upload_id, row.after, row.payload if row.after == "replaced" else None) for row in rows
    )
    for move in (move for move, times in moves.items() if times > 1):
        found.double("a transition", move[:2])
    told = {(row.upload_id, row.after) for row in rows}
    ids = select(uploads.c.id, uploads.c.status, uploads.c.key).where(
        uploads.c.key.in_(ledger.expected), uploads.c.status != "pending"
    )
    for row in await connection.execute(ids):
        if (row.id, row.status) not in told:
            found.lose(f"the event of becoming {row.status} of", row.key)
    begun = Counter((row.upload_id, row.before) for row in rows if row.before != "replaced")
    for left in (left for left, times in begun.items() if times > 1):
        found.double("a transition out of", left)


async def _sequences_have_no_holes(
    connection: AsyncConnection, ledger: Ledger, found: Findings
) -> None:
    query = select(events.c.user_id, events.c.sequence).where(events.c.user_id.in_(ledger.user_ids))
    numbers: dict[str, list[int]] = {}
    for row in await connection.execute(query):
        numbers.setdefault(row.user_id, []).append(row.sequence)
    for user_id, taken in numbers.items():
        if sorted(taken) != list(range(1, len(taken) + 1)):
            found.lose("a number in the sequence of", user_id)


async def _usage_adds_up(connection: AsyncConnection, ledger: Ledger, found: Findings) -> None:
    mine = uploads.c.user_id.in_(ledger.user_ids)
    flying = func.count().filter(uploads.c.status.in_(_IN_FLIGHT))
    summed = (
        select(uploads.c.user_id, uploads.c.profile, func.sum(uploads.c.charged), flying)
        .where(mine)
        .group_by(uploads.c.user_id, uploads.c.profile)
    )
    counted = select(usage).where(usage.c.user_id.in_(ledger.user_ids))
    truth = {tuple(row[:2]): (int(row[2]), row[3]) for row in await connection.execute(summed)}
    told = {tuple(row[:2]): (row[2], row[3]) for row in await connection.execute(counted)}
    for place in truth.keys() | told.keys():
        kept, real = told.get(place, (0, 0)), truth.get(place, (0, 0))
        found.drift += abs(kept[0] - real[0]) + abs(kept[1] - real[1])
        if kept != real:
            found.notes.append(f"drift: {place} counts {kept} and has {real}")


async def _messages_have_come(
    connection: AsyncConnection, ledger: Ledger, world: World, found: Findings
) -> None:
    query = select(events.c.id).where(
        events.c.user_id.in_(ledger.user_ids), events.c.type.in_(_TOLD)
    )
    expected = set((await connection.execute(query)).scalars())
    known = set((await connection.execute(select(events.c.id))).scalars())
    heard = world.receiver
    for missing in expected - heard.accepted.keys():
        found.lose("the message", missing)
    for unknown in heard.arrived.keys() - known:
        found.double("a message of no event", unknown)
    for message in expected & heard.arrived.keys():
        found.messages += 1
        found.repeats += heard.arrived[message] - 1
        if len(heard.bodies[message]) > 1:
            found.double("bodies of the message", message)
    if heard.forged:
        found.notes.append(f"{heard.forged} messages could not be verified")
