"""One finds out that a shared part is away, and one that it is back."""

import asyncio

import pytest

from errors import UnavailableError
from service.grants.lull import Lull
from tests.fakes.eventually import eventually


class Part:
    def __init__(self) -> None:
        self.now = 0.0
        self.asked = 0
        self.error: UnavailableError | None = UnavailableError()
        self.hold = asyncio.Event()
        self.hold.set()
        self.lull = Lull(lambda: self.now, seconds=2)

    async def answer(self) -> str:
        self.asked += 1
        await self.hold.wait()
        if self.error is not None:
            raise self.error
        return "here"

    async def ask(self) -> str:
        return await self.lull.ask(self.answer)


async def test_after_a_failure_nobody_asks_for_a_while() -> None:
    part = Part()
    for _ in range(5):
        with pytest.raises(UnavailableError):
            await part.ask()
    assert part.asked == 1


async def test_then_one_does_and_the_others_go_on_without() -> None:
    part = Part()
    with pytest.raises(UnavailableError):
        await part.ask()
    part.now, part.error = 2.0, None
    part.hold.clear()
    first = asyncio.create_task(part.ask())
    await eventually(lambda: part.asked == 2)
    for _ in range(3):
        with pytest.raises(UnavailableError):
            await part.ask()
    part.hold.set()
    assert await first == "here"
    assert [await part.ask() for _ in range(3)] == ["here"] * 3


async def test_who_got_no_turn_says_nothing_of_the_part() -> None:
    part = Part()
    part.error = UnavailableError()
    part.error.busy = True
    for _ in range(3):
        with pytest.raises(UnavailableError):
            await part.ask()
    assert part.asked == 3
