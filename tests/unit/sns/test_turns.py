import asyncio

import pytest

from aws.sns.turns import NewestFirst
from errors import WebhookUnverifiableError
from tests.fakes.eventually import eventually


class Visitor:
    """Goes in, and stays until it is let go."""

    def __init__(self, turns: NewestFirst) -> None:
        self.inside = False
        self.go = asyncio.Event()
        self.task = asyncio.create_task(self._visit(turns))

    async def _visit(self, turns: NewestFirst) -> None:
        async with turns:
            self.inside = True
            await self.go.wait()
        self.inside = False

    async def leaves(self) -> None:
        self.go.set()
        await self.task


async def visitors(turns: NewestFirst, many: int) -> list[Visitor]:
    """One after the other."""
    found = []
    for _ in range(many):
        found.append(Visitor(turns))
        await asyncio.sleep(0)
    return found


async def test_of_those_who_wait_the_newest_is_next() -> None:
    first, *waiting = await visitors(NewestFirst(places=1, most_waiting=9), 4)
    assert [one.inside for one in waiting] == [False] * 3
    leaving = first
    for next_one in reversed(waiting):
        await leaving.leaves()
        await eventually(lambda one=next_one: one.inside)  # type: ignore[misc]
        assert sum(one.inside for one in waiting) == 1
        leaving = next_one
    await leaving.leaves()


async def test_of_too_many_the_oldest_is_turned_away() -> None:
    inside, oldest, *rest = await visitors(NewestFirst(places=1, most_waiting=2), 4)
    with pytest.raises(WebhookUnverifiableError):
        await oldest.task
    for one in (inside, *rest):
        one.go.set()
    await asyncio.gather(inside.task, *(one.task for one in rest))


async def test_who_leaves_while_it_waits_takes_no_place_along() -> None:
    turns = NewestFirst(places=1, most_waiting=9)
    inside, waiting = await visitors(turns, 2)
    waiting.task.cancel()
    await asyncio.wait([waiting.task])
    await inside.leaves()
    (next_one,) = await visitors(turns, 1)
    assert next_one.inside
    await next_one.leaves()


async def test_who_is_cut_off_with_its_turn_in_hand_passes_it_on() -> None:
    inside, other, newest = await visitors(NewestFirst(places=1, most_waiting=9), 3)
    inside.go.set()
    await asyncio.sleep(0)  # the newest has been given the turn, and has not run since
    newest.task.cancel()
    await eventually(lambda: other.inside)
    assert newest.task.cancelled()
    await other.leaves()
