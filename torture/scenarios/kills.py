"""A replica is killed at exactly the worst moment, again and again, while both have work to do."""

import asyncio
import random
import struct
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from torture.ledger import Ledger, StoreEvent
from torture.replica import Replica
from torture.result import Result, judged
from torture.traffic import Traffic
from torture.tripwire import Tripwire
from torture.world import World

_TRIP_SECONDS = 3.0
_MOST_BAITS = 10
_PEOPLE = 3


@dataclass(frozen=True)
class Point:
    """Where the replica dies: what it has sent to the database by then on one connection, and what
    it was answered.
    """

    name: str
    patterns: tuple[bytes, ...]
    answer: bytes | None = None

    def arm(self, victim: Replica) -> Tripwire:
        return victim.database.arm(*self.patterns, answer=self.answer)


# Postgres' messages: that which runs the statement whose text went before, and that which says
# that no transaction is open any more.
_EXECUTE = b"E" + struct.pack("!i", 9) + b"\0" + struct.pack("!i", 0)
_IDLE = b"Z" + struct.pack("!i", 5) + b"I"
# The request has been read, and its events are not committed.
RECEIVING = Point("receiving", (b"INTO inbox", _EXECUTE))
# They are, and nobody has been told: the source will send them again.
ANSWERING = Point("answering", (b"INTO inbox", _EXECUTE), _IDLE)
# The store has been asked, and the transition is not committed.
PROCESSING = Point("processing", (b"INTO events", _EXECUTE))
# It is, and nobody knows.
SETTLING = Point("settling", (b"INTO events", _EXECUTE), _IDLE)
# The application has the message, and that is not committed.
DELIVERING = Point("delivering", (b"delivered=", _EXECUTE))
# It is: whoever commits it before the message has gone would never send it.
MARKING = Point("marking", (b"delivered=", _EXECUTE), _IDLE)
POINTS = (RECEIVING, ANSWERING, PROCESSING, SETTLING, DELIVERING, MARKING)


async def kills(
    world: World, *, rounds: int, points: Sequence[Point] = POINTS, uploads: int = 6, seed: int = 1
) -> Result:
    since = time.monotonic()
    chance = random.Random(seed)  # noqa: S311 - a repeatable course, no secret
    ledger = Ledger(await world.people(_PEOPLE))
    traffic = Traffic(world, ledger, chance)
    killed: Counter[str] = Counter()
    name = "kill -9" + (f", {points[0].name}" if len(points) == 1 else "")
    for number in range(rounds):
        world.doing = f"{name}: {number + 1} of {rounds}"
        point, victim = points[number % len(points)], chance.choice(world.replicas)
        if await _round(traffic, victim, point, await traffic.mixed(uploads)):
            killed[point.name] += 1
    missed = rounds - killed.total()
    if missed:
        ledger.notes.append(f"{missed} rounds never came to their point")
    remark = ", ".join(f"{name} {times}" for name, times in sorted(killed.items()))
    return await judged(name, world, ledger, rounds=rounds, since=since, remark=remark)


async def _round(
    traffic: Traffic, victim: Replica, point: Point, events: Sequence[StoreEvent]
) -> bool:
    """Whether it died where it should. One event it alone was told of, and once: no copy makes
    good what it loses.
    """
    lone = await traffic.uploaded()
    wire = point.arm(victim)
    async with asyncio.TaskGroup() as group:
        group.create_task(traffic.tell([lone], victim))
        group.create_task(traffic.tell_thrice(events))
        tripped = await _lured(traffic, victim, wire, group)
        await victim.kill()
        await victim.start()
    return tripped


async def _lured(
    traffic: Traffic, victim: Replica, wire: Tripwire, group: asyncio.TaskGroup
) -> bool:
    """The other replica may have taken all the work: then the victim gets some of its own."""
    for _ in range(_MOST_BAITS):
        if await wire.wait(_TRIP_SECONDS):
            return True
        # A task of its own: when it trips, what the victim has locked may hold this up.
        group.create_task(_baited(traffic, victim))
    return await wire.wait(_TRIP_SECONDS)


async def _baited(traffic: Traffic, victim: Replica) -> None:
    await traffic.tell([await traffic.uploaded()], victim)
