"""Questions that come together make one trip."""

import asyncio
from collections.abc import Collection, Mapping

import pytest

from errors import UnavailableError
from service.grants.gathering import Gathering
from tests.fakes.eventually import eventually


class Library:
    def __init__(self) -> None:
        self.trips: list[list[str]] = []
        self.hold = asyncio.Event()
        self.failure: Exception | None = None

    async def ask(self, keys: Collection[str]) -> Mapping[str, str]:
        self.trips.append(list(keys))
        await self.hold.wait()
        if self.failure is not None:
            raise self.failure
        return {key: key.upper() for key in keys if key != "unknown"}


async def asked(gathering: Gathering[str], *keys: str) -> list["asyncio.Task[str | None]"]:
    tasks = [asyncio.create_task(gathering.of(key)) for key in keys]
    await asyncio.sleep(0)
    return tasks


async def test_what_comes_together_goes_together_and_the_rest_after_it() -> None:
    library = Library()
    gathering: Gathering[str] = Gathering(library.ask, most=3)
    first = await asked(gathering, "a", "b", "a")
    await eventually(lambda: len(library.trips) == 1)
    later = await asked(gathering, "c", "d", "a", "e", "unknown")
    library.hold.set()
    answers = [await each for each in first + later]
    assert answers == ["A", "B", "A", "C", "D", "A", "E", None]
    assert library.trips == [["a", "b"], ["c", "d", "a"], ["e", "unknown"]]


async def test_a_failure_is_that_of_all_who_went_and_of_nobody_else() -> None:
    library = Library()
    library.failure = UnavailableError()
    gathering: Gathering[str] = Gathering(library.ask)
    tasks = await asked(gathering, "a", "b")
    library.hold.set()
    for task in tasks:
        with pytest.raises(UnavailableError):
            await task
    library.failure = None
    assert await gathering.of("a") == "A"


async def test_one_who_leaves_takes_nothing_from_the_others() -> None:
    library = Library()
    gathering: Gathering[str] = Gathering(library.ask)
    leaving, staying = await asked(gathering, "a", "a")
    leaving.cancel()
    await asyncio.wait([leaving])
    library.hold.set()
    assert await staying == "A"
