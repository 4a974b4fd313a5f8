"""A few looks at a time, whoever waits for them."""

import asyncio

from service.delivery.looks import Looks
from tests.fakes.eventually import eventually
from tests.fakes.feed import MemoryFeed


async def test_a_look_keeps_its_place_when_its_client_has_left() -> None:
    """The query goes on: so many that left must not ask the database all at once."""
    feed = MemoryFeed()
    feed.open.clear()
    looks = Looks(feed)
    for _ in range(20):
        asking = [asyncio.create_task(looks.after("usr_ada", 0, 9)) for _ in range(4)]
        await eventually(lambda: feed.most >= 4)
        for each in asking:
            each.cancel()
        await asyncio.wait(asking)
    assert feed.most == 4
    feed.open.set()
    assert await looks.after("usr_ada", 0, 9) == []
