"""Valkey tells replicas of each other's news. Without it pages hear all the same, only later."""

import asyncio
import random
import time
from contextlib import AsyncExitStack

from sqlalchemy import select

from state.tables import user_sequences
from torture.ledger import Ledger
from torture.page import Page
from torture.proxy import Fault, FaultProxy
from torture.result import Result, judged
from torture.traffic import Traffic
from torture.valkey import running_valkey
from torture.world import World

NAME = "Valkey away"
_HEARD_SECONDS = 180.0
_FAULTS = (Fault.NONE, Fault.CUT, Fault.DROP, Fault.GARBAGE, Fault.NONE)


async def valkey_away(world: World, *, uploads: int = 4, seed: int = 8) -> Result:
    """A page at one replica hears what the other one does, whatever becomes of Valkey."""
    since, world.doing = time.monotonic(), f"{NAME}: starts with it"
    ledger = Ledger(await world.people(1))
    traffic = Traffic(world, ledger, random.Random(seed))  # noqa: S311 - a repeatable course
    before = [replica.service.environment for replica in world.replicas]
    async with AsyncExitStack() as stack:
        socket = await stack.enter_async_context(running_valkey())
        proxy = await stack.enter_async_context(FaultProxy.serving(socket))
        settings = {
            "UPLOADGATE_REDIS__URL": f"redis://127.0.0.1:{proxy.port}/0",
            "UPLOADGATE_EVENTS__LOOK_SECONDS": "1",
        }
        for replica in world.replicas:
            await replica.restart({**replica.service.environment, **settings})
        here, there = world.replicas
        async with Page.listening(here, ledger.people[0]) as page:
            for fault in _FAULTS:
                world.doing = f"{NAME}: {fault.value}"
                await proxy.set(fault)
                await traffic.tell_thrice(await traffic.mixed(uploads), there)
                await _heard(world, ledger, page, fault)
        if proxy.met == 0:
            ledger.notes.append("nobody noticed that Valkey was away")
        for replica, environment in zip(world.replicas, before, strict=True):
            await replica.restart(environment)
    return await judged(NAME, world, ledger, rounds=len(_FAULTS), since=since)


async def _heard(world: World, ledger: Ledger, page: Page, fault: Fault) -> None:
    """All there is, each once and in order."""
    [person] = ledger.people
    query = select(user_sequences.c.last).where(user_sequences.c.user_id == person.id)
    end, last = time.monotonic() + _HEARD_SECONDS, 0
    while time.monotonic() < end:
        async with world.engine.connect() as connection:
            last = (await connection.execute(query)).scalar_one_or_none() or 0
        if last == len(ledger.expected) and page.heard[-1:] == [last]:
            break
        await asyncio.sleep(0.1)
    else:
        ledger.notes.append(f"{fault.value}: the page heard {page.heard[-1:]} of {last}")
    if page.heard != list(range(1, len(page.heard) + 1)):
        ledger.notes.append(f"{fault.value}: the page heard {page.heard}")
    if page.ended is not None:
        ledger.notes.append(f"{fault.value}: the stream has ended: {page.ended}")
