"""The inbox stays small and its times sane, however much there is to do beside."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from structlog.testing import capture_logs

from service.completion.upkeep import Upkeep
from tests.fakes.clock import START
from tests.fakes.completion import World
from tests.fakes.eventually import eventually
from tests.fakes.inbox import event
from tests.unit.service.test_completion import running


async def test_old_events_are_forgotten_however_much_the_sweep_has_to_do() -> None:
    world = World()

    class Busy:
        async def step(self) -> int:
            return 1

    async with running(world.completion(sweep=Busy())):
        await eventually(lambda: world.inbox.forgotten_before != [])
    assert world.inbox.forgotten_before[0] == START - timedelta(days=30)


async def test_what_a_wrong_clock_has_put_off_is_called_back() -> None:
    world = World()
    await world.inbox.put([event("a"), event("b"), event("c")], START)
    times = [timedelta(minutes=10), timedelta(minutes=12), timedelta(days=400)]
    world.inbox.rows = [
        replace(row, due_at=START + time) for row, time in zip(world.inbox.rows, times, strict=True)
    ]
    with capture_logs() as logs:
        await world.upkeep().step()
        await world.upkeep().step()
    due = [row.due_at for row in world.inbox.rows]
    assert due == [START + times[0], START, START]
    assert [(line["event"], line["events"]) for line in logs] == [("events.called_back", 2)]


async def test_what_is_called_back_keeps_nothing_from_being_forgotten() -> None:
    world = World()
    await world.inbox.put([event("a")], START + timedelta(days=400))
    assert await world.upkeep().step() == 0
    assert world.inbox.rows[0].due_at == START
    assert world.inbox.forgotten_before == [START - timedelta(days=30)]


async def test_what_is_claimed_for_long_is_not_called_back() -> None:
    """Or else its worker and another would have it at once."""
    world, lease = World(), timedelta(hours=1)
    await world.inbox.put([event("a")], START)
    await world.inbox.claim("w", START, until=START + lease, limit=1)
    await Upkeep(inbox=world.inbox, keep=lease, lease=lease, clock=world.clock).step()
    assert world.inbox.rows[0].due_at == START + lease


async def test_news_is_the_processors_not_the_upkeeps() -> None:
    world = World()
    completion = world.completion()
    async with running(completion):
        await eventually(lambda: world.inbox.forgotten_before != [])
        await completion.accept([event("a")])
        await eventually(lambda: world.inbox.rows[0].outcome is not None)
        for _ in range(20):
            await asyncio.sleep(0)
    assert len(world.inbox.forgotten_before) == 1
