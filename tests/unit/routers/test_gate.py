"""A gate admits in order and bounded, and never many in one turn of the loop."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import pytest

from routers.middleware.gate import Gate
from tests.fakes.eventually import eventually

AT_ONCE = 64


class Crowd:
    """Those who are in, in the order in which they came in; each stays until told to go."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.inside: list[int] = []
        self.refused: list[int] = []
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self._go: dict[int, asyncio.Event] = {}

    def come(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._go[number] = asyncio.Event()
            self.tasks[number] = asyncio.create_task(self._visit(number))

    def leave(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._go[number].set()

    async def settled(self, inside: int) -> None:
        await eventually(lambda: len(self.inside) == inside)
        await turns(3)
        assert len(self.inside) == inside

    async def _visit(self, number: int) -> None:
        if not await self.gate.admit():
            self.refused.append(number)
            return
        self.inside.append(number)
        try:
            await self._go[number].wait()
        finally:
            self.gate.leave()


@asynccontextmanager
async def crowd(*, places: int, waiting: int = 1000, seconds: float = 60) -> AsyncIterator[Crowd]:
    made = Crowd(Gate(places=places, max_waiting=waiting, wait_seconds=seconds))
    try:
        yield made
    finally:
        for task in made.tasks.values():
            task.cancel()
        await asyncio.gather(*made.tasks.values(), return_exceptions=True)


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_who_comes_first_is_served_first() -> None:
    async with crowd(places=2) as people:
        people.come(range(6))
        await people.settled(2)
        for leaving in range(4):
            people.leave([leaving])
            await people.settled(leaving + 3)
        assert people.inside == [0, 1, 2, 3, 4, 5]


async def test_who_comes_later_does_not_overtake_those_who_wait() -> None:
    async with crowd(places=1) as people:
        people.come([0, 1])
        await people.settled(1)
        people.leave([0])
        people.come([2])
        await people.settled(2)
        assert people.inside == [0, 1]


async def test_however_many_places_are_free_few_are_let_in_at_a_turn() -> None:
    async with crowd(places=400) as people:
        people.come(range(500))
        counts = [0]
        while counts[-1] < 400:
            await turns(1)
            counts.append(len(people.inside))
            assert len(counts) < 100
        steps = [after - before for before, after in itertools.pairwise(counts)]
        assert max(steps) <= AT_ONCE
        assert people.inside == list(range(400))


async def test_however_many_leave_at_once_few_are_let_in_at_a_turn() -> None:
    async with crowd(places=300) as people:
        people.come(range(600))
        await people.settled(300)
        people.leave(range(300))
        counts = [300]
        while counts[-1] < 600:
            await turns(1)
            counts.append(len(people.inside))
            assert len(counts) < 100
        steps = [after - before for before, after in itertools.pairwise(counts)]
        assert max(steps) <= AT_ONCE
        assert people.inside == list(range(600))


async def test_so_many_wait_and_no_more() -> None:
    async with crowd(places=2, waiting=3) as people:
        people.come(range(10))
        await eventually(lambda: people.refused == [5, 6, 7, 8, 9])
        assert people.inside == [0, 1]


async def test_where_none_may_wait_all_places_are_given_nevertheless() -> None:
    async with crowd(places=200, waiting=0) as people:
        people.come(range(205))
        await people.settled(200)
        assert people.refused == [200, 201, 202, 203, 204]


async def test_who_has_waited_too_long_is_refused_and_the_next_goes_on_waiting() -> None:
    async with crowd(places=1, seconds=0.05) as people:
        people.come([0, 1])
        await eventually(lambda: people.refused == [1])
        people.come([2])
        await turns(2)
        people.leave([0])
        await people.settled(2)
        assert (people.inside, people.refused) == ([0, 2], [1])


@pytest.mark.parametrize("cut_off", [[1], [2], [1, 2]])
async def test_who_leaves_the_queue_holds_up_nobody(cut_off: list[int]) -> None:
    async with crowd(places=1, waiting=3) as people:
        people.come(range(4))
        await people.settled(1)
        for number in cut_off:
            people.tasks[number].cancel()
        await turns(2)
        people.come(range(4, 4 + len(cut_off)))  # their places in the queue are free again
        await turns(2)
        assert people.refused == []
        expected = [number for number in range(4 + len(cut_off)) if number not in cut_off]
        for number in expected:
            people.leave([number])
        await eventually(lambda: people.inside == expected)


async def test_who_is_cut_off_while_being_let_in_gives_the_place_back() -> None:
    async with crowd(places=1) as people:
        people.come([0, 1, 2])
        await people.settled(1)
        people.leave([0])
        await turns(2)  # the place is given to 1, who has not gone on yet or just has
        people.tasks[1].cancel()
        await eventually(lambda: people.inside[-1] == 2)


async def test_who_has_left_the_queue_is_not_kept() -> None:
    async with crowd(places=1, seconds=0.01) as people:
        people.come(range(50))
        await eventually(lambda: len(people.refused) == 49)
        people.come([50])
        await turns(1)
        people.tasks[50].cancel()
        await turns(2)
        assert len(people.gate._queue) == 0


async def test_all_places_are_there_again_afterwards() -> None:
    async with crowd(places=70, waiting=10) as people:
        for _ in range(3):
            people.come(range(100))
            await people.settled(70)
            people.leave(range(100))
            await asyncio.gather(*people.tasks.values())
            assert len(people.refused) == 20
            people.inside.clear()
            people.refused.clear()
