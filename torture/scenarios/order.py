"""Every event three times and shuffled gives the state of once and in order."""

import random
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from state.tables import events, uploads
from torture.audit import quiet
from torture.ledger import Ledger, StoreEvent
from torture.result import Result, judged
from torture.traffic import Traffic
from torture.world import World

NAME = "three times, shuffled"
_PEOPLE = 2


async def order(world: World, *, rounds: int, objects: int = 8, seed: int = 2) -> Result:
    """Two courses of the same things; what was written again is told of among the old events."""
    since = time.monotonic()
    ledgers = [Ledger(await world.people(_PEOPLE)) for _ in range(2)]
    straight, shuffled = [
        Traffic(world, ledger, random.Random(seed))  # noqa: S311 - a repeatable course
        for ledger in ledgers
    ]
    ledger = ledgers[1]
    for number in range(rounds):
        world.doing = f"{NAME}: {number + 1} of {rounds}"
        one = await _course(world, straight, ledgers[0], objects, thrice=False)
        other = await _course(world, shuffled, ledgers[1], objects, thrice=True)
        first, second = await _states(world, one), await _states(world, other)
        ledger.notes += [
            f"once and in order: {a}; thrice and shuffled: {b}"
            for a, b in zip(first, second, strict=True)
            if a != b
        ]
    ledger.notes += (await judged(NAME, world, ledgers[0], rounds=rounds, since=since)).found.notes
    return await judged(NAME, world, ledger, rounds=rounds, since=since)


async def _course(
    world: World, traffic: Traffic, ledger: Ledger, objects: int, *, thrice: bool
) -> Sequence[StoreEvent]:
    """The first event of each object."""
    tell = traffic.tell_thrice if thrice else traffic.tell_in_order
    first = await traffic.mixed(objects)
    await tell(first)
    if not await quiet(world, ledger):
        ledger.notes.append("the first events never came to their end")
    good = [event for event in first if ledger.expected[event.key] == "completed"]
    again = [await traffic.rewritten(event) for event in good[::2]]
    await tell([*first, *again] if thrice else again)
    await quiet(world, ledger)
    return first


async def _states(world: World, told: Sequence[StoreEvent]) -> list[tuple[Any, ...]]:
    """Of each object's record what does not differ by course, and the way it went."""
    found = []
    async with world.engine.connect() as connection:
        for event in told:
            query = select(uploads).where(uploads.c.key == event.key)
            record = (await connection.execute(query)).mappings().one_or_none()
            if record is None:
                found.append((None,))
                continue
            way = (
                select(events.c.before, events.c.after)
                .where(events.c.upload_id == record["id"])
                .order_by(events.c.sequence)
            )
            same = [record[name] for name in ("status", "status_reason", "origin", "size")]
            moves = [(row.before, row.after) for row in await connection.execute(way)]
            found.append((*same, record["charged"], record["profile"], moves))
    return found
