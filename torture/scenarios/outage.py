"""The database goes away in the middle of everything, for a while, in both replicas."""

import asyncio
import random
import time

import httpx

from torture.ledger import Ledger
from torture.proxy import Fault
from torture.result import Result, judged
from torture.traffic import Traffic
from torture.world import World

_BEFORE_SECONDS = 0.3
_TOLD_SECONDS = 120.0
_UNREADY = 503


async def database_away(
    world: World, *, seconds: float, fault: Fault = Fault.CUT, uploads: int = 12, seed: int = 3
) -> Result:
    since = time.monotonic()
    name = world.doing = f"database away, {fault.value}, {seconds:g} s"
    ledger = Ledger(await world.people(2))
    traffic = Traffic(world, ledger, random.Random(seed))  # noqa: S311 - a repeatable course
    early, late = await traffic.mixed(uploads), await traffic.mixed(uploads)
    async with asyncio.TaskGroup() as group:
        group.create_task(traffic.tell_thrice(early))
        await asyncio.sleep(_BEFORE_SECONDS)
        for replica in world.replicas:
            await replica.database.set(fault)
        # What the database had committed before may still be answered.
        acknowledged = set(ledger.acknowledged)
        group.create_task(traffic.tell_thrice(late))
        await _is_told(world, ledger)
        await asyncio.sleep(seconds)
        if gained := {e.dedupe_key for e in late} & ledger.acknowledged - acknowledged:
            ledger.notes.append(f"{len(gained)} events were acknowledged without a database")
        await world.heal()
        group.create_task(_come_back(world, ledger))
    said = ", ".join(f"{times} times {answer}" for answer, times in sorted(ledger.answers.items()))
    return await judged(
        name,
        world,
        ledger,
        rounds=1,
        since=since,
        remark=f"senders were answered {said}",
    )


async def _is_told(world: World, ledger: Ledger) -> None:
    """Replicas without a database live, and say that they are not ready."""
    for replica in world.replicas:
        if (await replica.api.get("/livez")).status_code != httpx.codes.OK:
            ledger.notes.append(f"{replica.service.url} does not live")
        end = time.monotonic() + _TOLD_SECONDS
        while (await replica.api.get("/readyz")).status_code != _UNREADY:
            if time.monotonic() > end:
                ledger.notes.append(f"{replica.service.url} says that it is ready")
                break
            await asyncio.sleep(0.1)


async def _come_back(world: World, ledger: Ledger) -> None:
    for replica in world.replicas:
        end = time.monotonic() + _TOLD_SECONDS
        while (await replica.api.get("/readyz")).status_code != httpx.codes.OK:
            if time.monotonic() > end:
                ledger.notes.append(f"{replica.service.url} does not come back")
                break
            await asyncio.sleep(0.1)
