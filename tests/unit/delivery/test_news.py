"""What goes to the other replicas, what comes from them, and a bus that is away."""

import asyncio
import functools
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from errors import UnavailableError
from service.delivery import news as news_module
from service.delivery.hub import Hub
from service.delivery.news import News, pause_seconds
from tests.fakes.bus import MemoryBus
from tests.fakes.eventually import eventually
from tests.unit.delivery.listeners import Counting


def hub() -> Hub:
    return Hub(max_streams=10, max_per_user=10)


@asynccontextmanager
async def running(news: News) -> AsyncIterator[None]:
    task = asyncio.create_task(news.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


@contextmanager
def listening(hub: Hub, user_id: str = "ada") -> Iterator[Counting]:
    listener = Counting()
    with hub.holding(user_id, listener):
        yield listener


async def test_without_other_replicas_only_ones_own_streams_are_woken() -> None:
    here = hub()
    alone = News(hub=here, bus=None)
    with listening(here) as ada, listening(here, "eve") as eve:
        alone.announce("ada")
        assert (ada.woken, eve.woken) == (1, 0)
    await alone.run()


async def test_news_wake_the_streams_here_and_those_of_the_other_replica() -> None:
    here, there = hub(), hub()
    bus = MemoryBus()
    far = MemoryBus(bus)
    one, other = News(hub=here, bus=bus), News(hub=there, bus=far)
    with listening(here) as near_ada, listening(there) as far_ada, listening(there, "eve") as eve:
        async with running(one), running(other):
            await eventually(lambda: far_ada.woken == near_ada.woken == eve.woken == 1)
            one.announce("ada")
            assert near_ada.woken == 2
            await eventually(lambda: far_ada.woken == 2)
            assert eve.woken == 1


async def test_what_is_told_of_at_once_goes_out_at_once_and_each_user_once() -> None:
    bus = MemoryBus()
    news = News(hub=None, bus=bus)
    for _ in range(100):
        for user_id in ("ada", "eve"):
            news.announce(user_id)
    async with running(news):
        await eventually(lambda: bus.published == [{"ada", "eve"}])
    assert bus.entered == 0


async def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(news_module, "_MOST_WAITING", 3)
    bus = MemoryBus()
    news = News(hub=None, bus=bus)
    for number in range(1000):
        news.announce(str(number))
    async with running(news):
        await eventually(lambda: len(bus.published) > 0)
    assert [len(batch) for batch in bus.published] == [3]


class Refusing(MemoryBus):
    """Takes its time to say that it takes nothing, once."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.answers = asyncio.Event(), asyncio.Event()

    async def publish(self, user_ids: Collection[str]) -> None:
        if not self.answers.is_set():
            self.asked.set()
            await self.answers.wait()
            raise UnavailableError
        await super().publish(user_ids)


@pytest.mark.parametrize(("meanwhile", "kept"), [(1, 3), (5, 3)])
async def test_what_a_bus_did_not_take_goes_out_when_it_is_back_within_the_bound(
    monkeypatch: pytest.MonkeyPatch, meanwhile: int, kept: int
) -> None:
    monkeypatch.setattr(news_module, "_MOST_WAITING", 3)
    bus = Refusing()
    news = News(hub=None, bus=bus, retry_seconds=0.001)
    async with running(news):
        for user_id in ("ada", "eve"):
            news.announce(user_id)
        await bus.asked.wait()
        for number in range(meanwhile):
            news.announce(str(number))
        bus.answers.set()
        await eventually(lambda: len(bus.published) > 0)
    assert [len(batch) for batch in bus.published] == [kept]


async def test_a_fault_of_the_bus_is_told_and_ends_nothing() -> None:
    bus = MemoryBus()
    here = hub()
    news = News(hub=here, bus=bus, retry_seconds=0.001)
    with listening(here) as ada:
        async with running(news):
            await eventually(lambda: ada.woken == 1)
            bus.fault = RuntimeError()
            news.announce("ada")
            await asyncio.sleep(0.01)
            bus.fault = None
            await eventually(lambda: bus.published == [{"ada"}])
            bus.hear("ada")
            await eventually(lambda: ada.woken == 3)


class Away(MemoryBus):
    """Counts how often it was tried."""

    tried = 0

    async def publish(self, user_ids: Collection[str]) -> None:
        self.tried += 1
        raise UnavailableError


async def test_a_bus_that_is_away_is_given_its_time() -> None:
    bus = Away()
    news = News(hub=None, bus=bus, retry_seconds=3600)
    news.announce("ada")
    async with running(news):
        await eventually(lambda: bus.tried == 1)
        for _ in range(20):
            news.announce("eve")
            await asyncio.sleep(0)
    assert bus.tried == 1


class Flapping(MemoryBus):
    """Is lost as soon as somebody listens."""

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[AsyncIterator[str]]:
        async with super().listening() as user_ids:
            for inbox in self._inboxes:
                inbox.put_nowait(None)
            yield user_ids


@pytest.mark.parametrize(("long", "failures"), [(30.0, [1, 2, 3]), (-1.0, [1, 1, 1])])
async def test_only_a_way_that_held_for_long_counts_as_one(
    monkeypatch: pytest.MonkeyPatch, long: float, failures: list[int]
) -> None:
    """Else one that comes and goes would wake all streams all the time."""
    told: list[int] = []

    def pause(failures: int, _first: float, _jitter: float) -> float:
        told.append(failures)
        return 0

    monkeypatch.setattr(news_module, "_LONGEST_PAUSE", long)
    monkeypatch.setattr(news_module, "pause_seconds", pause)
    async with running(News(hub=hub(), bus=Flapping())):
        await eventually(lambda: len(told) > 2)
    assert told[:3] == failures


async def test_after_a_lost_connection_everybody_looks() -> None:
    bus = MemoryBus()
    here = hub()
    news = News(hub=here, bus=bus, retry_seconds=0.001)
    with listening(here) as ada, listening(here, "eve") as eve:
        async with running(news):
            await eventually(lambda: ada.woken == 1)
            bus.cut()
            await asyncio.sleep(0.01)
            assert (ada.woken, bus.entered) == (1, 1)
            bus.away = False
            await eventually(lambda: ada.woken == eve.woken == 2)
            bus.hear("eve")
            await eventually(lambda: eve.woken == 3)
            assert (ada.woken, bus.entered) == (2, 2)


@pytest.mark.parametrize(("failures", "longest"), [(1, 0.5), (2, 1), (3, 2), (7, 30), (9999, 30)])
def test_pauses_grow_and_have_a_bound(failures: int, longest: float) -> None:
    assert pause_seconds(failures, 0.5, 0) == longest
    assert pause_seconds(failures, 0.5, 1) == longest / 2


async def test_marked_words_are_for_whoever_asked_for_them() -> None:
    here, there = hub(), hub()
    bus = MemoryBus()
    far = MemoryBus(bus)
    one, other = News(hub=here, bus=bus), News(hub=there, bus=far)
    heard: list[list[str]] = [[], []]
    missed: list[list[None]] = [[], []]
    for each, news in enumerate((one, other)):
        news.on("!", heard[each].append, functools.partial(missed[each].append, None))
    with listening(there, "!x") as odd, listening(there) as ada:
        async with running(one), running(other):
            await eventually(lambda: missed == [[None], [None]])
            before = odd.woken
            one.announce("!x")
            one.announce("ada")
            await eventually(lambda: ada.woken > 1)
            assert heard == [[], ["!x"]]
            assert odd.woken == before


async def test_after_the_way_was_cut_marked_words_may_be_lost() -> None:
    bus = MemoryBus()
    news = News(hub=hub(), bus=bus, retry_seconds=0.001)
    missed: list[None] = []
    news.on("!", lambda _: None, lambda: missed.append(None))
    async with running(news):
        await eventually(lambda: len(missed) == 1)
        bus.cut()
        bus.away = False
        await eventually(lambda: len(missed) == 2)
