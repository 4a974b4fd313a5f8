"""The receiving application is down, slow, broken, gone, or asks for time; and then it is well."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from sqlalchemy import select

from state.tables import deliveries, webhook_endpoints
from torture.audit import quiet
from torture.ledger import Ledger
from torture.proxy import Fault
from torture.result import Result, judged
from torture.traffic import Traffic
from torture.world import ENDPOINT, World

_FELT_SECONDS = 120.0
_LOOK_SECONDS = 0.1
_ASKED_SECONDS = 3
_GONE = 410
_TOO_MANY = 429


Step = Callable[[World, Ledger, datetime], Awaitable[None]]


async def _nothing(_world: World, _ledger: Ledger, _since: datetime) -> None:
    pass


@dataclass(frozen=True)
class Trouble:
    """`begin` brings it about, and `felt` attempts at least are made while it lasts; `look` is
    what must be so then; `cure` is what an administrator does when it is over.
    """

    name: str
    begin: Callable[[World], Awaitable[None]]
    felt: int = 3
    look: Step = _nothing
    cure: Step = _nothing


async def _down(world: World) -> None:
    await world.application.set(Fault.CUT)


async def _mute(world: World) -> None:
    await world.application.set(Fault.DROP)


async def _slow(world: World) -> None:
    world.receiver.behave(seconds=6)  # longer than the service waits


async def _broken(world: World) -> None:
    world.receiver.behave(status=500)


async def _elsewhere(world: World) -> None:
    world.receiver.behave(status=302)


async def _gone(world: World) -> None:
    world.receiver.behave(status=_GONE)


async def _busy(world: World) -> None:
    world.receiver.behave(status=_TOO_MANY, retry_after=str(_ASKED_SECONDS))


async def _disabled(world: World, ledger: Ledger, _since: datetime) -> None:
    query = select(webhook_endpoints.c.enabled).where(webhook_endpoints.c.id == ENDPOINT)
    end = time.monotonic() + _FELT_SECONDS
    while time.monotonic() < end:
        async with world.engine.connect() as connection:
            if not (await connection.execute(query)).scalar_one():
                return
        await asyncio.sleep(_LOOK_SECONDS)
    ledger.notes.append("an endpoint that is gone is still enabled")


async def _enable(world: World, ledger: Ledger, since: datetime) -> None:
    """What it has missed is sent by a replay."""
    await quiet(world, ledger, heard=False)
    admin = await world.person(admin=True)
    api, path = world.replicas[0].api, f"/v1/admin/webhook-endpoints/{ENDPOINT}"
    enabled = await api.patch(path, headers=admin.headers, json={"enabled": True})
    body = {"since": since.isoformat()}
    replayed = await api.post(f"{path}/replay", headers=admin.headers, json=body)
    for answer in (enabled, replayed):
        if answer.status_code != httpx.codes.OK:
            ledger.notes.append(f"{answer.request.url.path}: {answer.status_code} {answer.text}")


async def _was_given_time(world: World, ledger: Ledger, since: datetime) -> None:
    """No attempt is planned earlier than it asked for."""
    query = select(deliveries.c.attempted_at, deliveries.c.due_at).where(
        deliveries.c.last_status == _TOO_MANY,
        deliveries.c.done_at.is_(None),
        deliveries.c.leased_by.is_(None),
        deliveries.c.created_at >= since,
    )
    end, planned = time.monotonic() + _FELT_SECONDS, list[Any]()
    # Just now all of them may be tried again.
    while not planned and time.monotonic() < end:
        async with world.engine.connect() as connection:
            planned = list(await connection.execute(query))
        await asyncio.sleep(_LOOK_SECONDS)
    if not planned:
        ledger.notes.append("nothing waits for as long as was asked for")
    least = timedelta(seconds=_ASKED_SECONDS)
    early = [row for row in planned if row.due_at - row.attempted_at < least]
    ledger.notes += [f"planned after {row.due_at - row.attempted_at}" for row in early]


TROUBLES = (
    Trouble("down", _down),
    Trouble("mute", _mute),
    Trouble("slow", _slow),
    Trouble("500", _broken),
    Trouble("302", _elsewhere),
    Trouble("410", _gone, 1, _disabled, _enable),
    Trouble("429", _busy, look=_was_given_time),
)


async def application(world: World, trouble: Trouble, *, uploads: int = 6, seed: int = 7) -> Result:
    since, began = time.monotonic(), datetime.now(UTC)
    name = world.doing = f"application {trouble.name}"
    ledger = Ledger(await world.people(1))
    traffic = Traffic(world, ledger, random.Random(seed))  # noqa: S311 - a repeatable course
    await trouble.begin(world)
    events = await traffic.mixed(uploads)
    await traffic.tell_thrice(events)
    await _felt(world, ledger, began, trouble.felt)
    await trouble.look(world, ledger, began)
    await world.heal()
    await trouble.cure(world, ledger, began)
    return await judged(name, world, ledger, rounds=1, since=since)


async def _felt(world: World, ledger: Ledger, began: datetime, least: int) -> None:
    """A few attempts were made, and none of them succeeded."""
    tried = select(deliveries.c.delivered).where(
        deliveries.c.created_at >= began, deliveries.c.attempted_at.is_not(None)
    )
    end = time.monotonic() + _FELT_SECONDS
    while time.monotonic() < end:
        async with world.engine.connect() as connection:
            found = (await connection.execute(tried)).scalars().all()
        if len(found) >= least:
            if any(found):
                ledger.notes.append("a message counts as delivered that nobody took")
            return
        await asyncio.sleep(_LOOK_SECONDS)
    ledger.notes.append("too few attempts were made")
