"""What one stream tells, in which order, and when it ends."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from errors import TooManyStreamsError, UnavailableError
from service.delivery import streams as streams_module
from service.delivery.hub import EndReason, Hub
from service.delivery.ports import FeedEvent
from service.delivery.streams import (
    End,
    Heartbeat,
    Item,
    Ready,
    Reset,
    Stream,
    Streams,
    StreamTimes,
)
from tests.fakes.clock import Clock
from tests.fakes.eventually import eventually
from tests.fakes.feed import MemoryFeed

LONG = 3600.0
PAGE = streams_module._PAGE


class Room:
    """Streams around a feed in memory."""

    def __init__(self, *, heartbeat: float = LONG, look: float = LONG, per_user: int = 50) -> None:
        self.feed = MemoryFeed()
        self.hub = Hub(max_streams=50, max_per_user=per_user)
        self.clock = Clock()
        self.streams = Streams(
            feed=self.feed,
            hub=self.hub,
            times=StreamTimes(heartbeat=heartbeat, look=look, send=LONG),
            clock=self.clock,
        )

    @asynccontextmanager
    async def open(self, after: int | None = None, life: float = LONG) -> AsyncIterator[Stream]:
        expires_at = self.clock() + timedelta(seconds=life)
        async with self.streams.opened("ada", expires_at=expires_at, after=after) as stream:
            yield stream

    def happen(self, times: int = 1) -> None:
        for _ in range(times):
            self.feed.add()
        self.hub.wake("ada")


async def told(stream: Stream, items: int) -> list[Item]:
    found: list[Item] = []
    async with asyncio.timeout(60):
        while len(found) < items:
            found += await stream.next()
    return found


async def nothing_more(stream: Stream) -> None:
    """Not while there is nothing else to do, at least."""
    task = asyncio.create_task(_next(stream))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])


async def _next(stream: Stream) -> Sequence[Item]:
    return await stream.next()


def numbers(items: Sequence[Item]) -> list[int]:
    return [item.sequence for item in items if isinstance(item, FeedEvent)]


async def test_a_new_stream_tells_where_it_begins_and_then_what_happens() -> None:
    room = Room()
    room.happen(2)
    async with room.open() as stream:
        assert await told(stream, 1) == [Ready(position=2, sequence=2)]
        await nothing_more(stream)
        room.happen()
        assert await told(stream, 1) == [FeedEvent(3, "upload.completed", '{"n":3}')]
        await nothing_more(stream)


async def test_of_nobodys_events_it_begins_at_0() -> None:
    async with Room().open() as stream:
        assert await told(stream, 1) == [Ready(0, 0)]


async def test_what_happened_since_the_last_one_seen_is_replayed() -> None:
    room = Room()
    room.happen(4)
    async with room.open(after=1) as stream:
        items = await told(stream, 4)
        assert items[0] == Ready(position=1, sequence=4)
        assert numbers(items) == [2, 3, 4]
        await nothing_more(stream)


@pytest.mark.parametrize("many", [1, PAGE - 1, PAGE, PAGE + 1, 5 * PAGE])
async def test_a_replay_of_any_length_goes_page_by_page(many: int) -> None:
    room = Room()
    room.happen(many)
    async with room.open(after=0) as stream:
        items = await told(stream, many + 1)
        assert numbers(items) == list(range(1, many + 1))
        await nothing_more(stream)


async def test_a_slow_client_holds_one_page_and_costs_no_look() -> None:
    room = Room()
    room.happen(10 * PAGE)
    async with room.open(after=0) as stream:
        await told(stream, 1)
        assert len(await stream.next()) == PAGE
        looks = room.feed.looks
        for _ in range(100):
            room.happen()
            await asyncio.sleep(0)
        assert room.feed.looks == looks


async def test_being_woken_often_is_one_look_more() -> None:
    room = Room()
    async with room.open() as stream:
        await told(stream, 1)
        await nothing_more(stream)
        looks = room.feed.looks
        for _ in range(100):
            room.happen()
        assert numbers(await told(stream, 100)) == list(range(1, 101))
        assert room.feed.looks - looks <= 100 // PAGE + 1


async def test_what_happens_while_it_looks_is_looked_for_again() -> None:
    room = Room()
    async with room.open() as stream:
        await told(stream, 1)
        await nothing_more(stream)
        room.feed.open.clear()
        room.hub.wake("ada")
        asking = asyncio.create_task(_next(stream))
        await eventually(lambda: room.feed.asking == 1)
        room.happen()
        room.feed.open.set()
        assert numbers(await asking) == [1]


async def test_it_looks_by_itself_should_news_get_lost() -> None:
    room = Room(look=0.01)
    async with room.open() as stream:
        await told(stream, 1)
        room.feed.add()
        assert numbers(await told(stream, 1)) == [1]


async def test_streams_that_opened_together_do_not_look_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chances = iter([0.0, 1.0])
    monkeypatch.setattr("random.random", lambda: next(chances))
    room = Room(look=LONG)
    async with room.open() as early, room.open() as late:
        assert late._look_at - early._look_at == pytest.approx(LONG / 2, abs=LONG / 10)


@pytest.mark.parametrize(
    ("after", "deleted"),
    [
        (0, [1]),  # the first of those that were not seen
        (2, [3, 4]),  # some of them
        (3, [5]),  # one in the middle: a delivery of the others still waits
        (2, [3, 4, 5, 6]),  # all of them
        (5, [6]),  # the last
        (7, []),  # numbers of another database
        (2**63 - 1, []),
    ],
)
async def test_where_events_are_gone_the_page_is_told_to_list_again(
    after: int, deleted: list[int]
) -> None:
    room = Room()
    room.happen(6)
    room.feed.delete(*deleted)
    async with room.open(after=after) as stream:
        assert await told(stream, 2) == [Ready(after, 6), Reset(6)]
        await nothing_more(stream)
        room.happen()
        assert numbers(await told(stream, 1)) == [7]


async def test_what_was_seen_may_be_gone() -> None:
    room = Room()
    room.happen(6)
    room.feed.delete(1, 2, 3, 4)
    async with room.open(after=4) as stream:
        assert numbers(await told(stream, 3)) == [5, 6]


async def test_a_number_of_another_database_is_no_number_of_this_one_a_moment_later() -> None:
    room = Room()
    room.happen(2)
    async with room.open(after=3) as stream:
        room.happen(2)  # by now there is a fourth, and the third was never seen
        assert (await told(stream, 2))[1] == Reset(4)


async def test_silence_is_broken_by_heartbeats() -> None:
    async with Room(heartbeat=0.01).open() as stream:
        assert await told(stream, 3) == [Ready(0, 0), Heartbeat(), Heartbeat()]


async def test_a_database_that_hangs_holds_up_neither_heartbeat_nor_end() -> None:
    room = Room(heartbeat=0.01)
    async with room.open() as stream:
        await told(stream, 1)
        room.feed.open.clear()
        room.happen()
        assert await told(stream, 2) == [Heartbeat(), Heartbeat()]
        room.streams.close()
        assert (await told(stream, 1))[-1] == End(EndReason.SERVER_GOING)
        room.feed.open.set()


async def test_a_database_that_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams_module, "_PAUSE_AFTER_FAILURE", 0.001)
    room = Room()
    async with room.open() as stream:
        await told(stream, 1)
        await nothing_more(stream)
        room.feed.away = True
        room.happen()
        asking = asyncio.create_task(_next(stream))
        looks = room.feed.looks
        await eventually(lambda: room.feed.looks > looks + 2)
        room.feed.away = False
        assert numbers(await asking) == [1]


async def test_a_fault_ends_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room()

    async def fails(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(room.feed, "after", fails)
    async with room.open() as stream:
        await told(stream, 1)
        with pytest.raises(ZeroDivisionError):
            await stream.next()
    assert len(room.hub) == 0


async def test_it_ends_with_the_callers_token() -> None:
    room = Room()
    async with room.open(life=0.02) as stream:
        assert await told(stream, 2) == [Ready(0, 0), End(EndReason.TOKEN_EXPIRED)]
        assert await stream.next() == ()


async def test_it_ends_with_the_callers_login_before_it_tells_more() -> None:
    room = Room()
    stands = True
    async with room.streams.opened(
        "ada", expires_at=room.clock() + timedelta(hours=1), after=0, stands=lambda: stands
    ) as stream:
        assert await told(stream, 1) == [Ready(0, 0)]
        stands = False
        room.happen(3)
        assert await told(stream, 1) == [End(EndReason.TOKEN_EXPIRED)]


async def test_a_silent_one_ends_with_a_heartbeat() -> None:
    stands = iter([True, True, False])
    room = Room(heartbeat=0.01)
    async with room.streams.opened(
        "ada",
        expires_at=room.clock() + timedelta(hours=1),
        after=0,
        stands=lambda: next(stands, False),
    ) as stream:
        items = await told(stream, 2)
        while items[-1] == Heartbeat():
            items += await stream.next()
        assert items[-1] == End(EndReason.TOKEN_EXPIRED)


async def test_a_token_in_its_last_grace_gets_no_more_than_a_beginning() -> None:
    room = Room()
    room.happen(3)
    async with room.open(after=1, life=-10) as stream:
        assert await told(stream, 2) == [Ready(1, 3), End(EndReason.TOKEN_EXPIRED)]


async def test_an_endless_replay_ends_with_the_token_all_the_same() -> None:
    room = Room()
    room.happen(PAGE)
    items: list[Item] = []
    async with asyncio.timeout(60), room.open(after=0, life=0.02) as stream:
        while not (items and isinstance(items[-1], End)):
            items += await stream.next()
            room.happen(PAGE)
    assert numbers(items) == list(range(1, len(numbers(items)) + 1))


async def test_a_replica_that_goes_tells_its_streams() -> None:
    room = Room()
    async with room.open() as stream, room.open() as other:
        for each in (stream, other):
            await told(each, 1)
        waiting = asyncio.create_task(_next(stream))
        await asyncio.sleep(0)
        room.streams.close()
        assert await waiting == await other.next() == (End(EndReason.SERVER_GOING),)
        assert await stream.next() == ()
    with pytest.raises(UnavailableError):
        async with room.open():
            pass


async def test_who_has_left_is_told_nothing() -> None:
    room = Room()
    async with room.open() as stream:
        await told(stream, 1)
        waiting = asyncio.create_task(_next(stream))
        await asyncio.sleep(0)
        stream.leave()
        assert await waiting == ()
        room.happen()
        room.streams.close()
        assert await stream.next() == ()


async def test_a_refused_or_failed_opening_holds_no_place() -> None:
    room = Room(per_user=2)
    room.feed.away = True
    for _ in range(5):
        with pytest.raises(UnavailableError):
            async with room.open():
                pass
    room.feed.away = False
    async with room.open(), room.open():
        with pytest.raises(TooManyStreamsError):
            async with room.open():
                pass
        assert len(room.hub) == 2
    assert len(room.hub) == 0


async def test_who_is_refused_costs_no_look() -> None:
    room = Room(per_user=1)
    async with room.open():
        looks = room.feed.looks
        with pytest.raises(TooManyStreamsError):
            async with room.open():
                pass
        assert room.feed.looks == looks


async def test_who_leaves_before_its_turn_to_look_costs_none() -> None:
    room = Room()
    async with AsyncExitStack() as opened:
        streams = [await opened.enter_async_context(room.open()) for _ in range(4)]
        async with room.open() as fifth:
            for stream in (*streams, fifth):
                await told(stream, 1)
            room.feed.open.clear()
            asking = [asyncio.create_task(_next(stream)) for stream in streams]
            await eventually(lambda: room.feed.asking == 4)
            await nothing_more(fifth)
        looks = room.feed.looks
        room.feed.open.set()
        await eventually(lambda: room.feed.asking == 0)
        for stream in streams:
            stream.leave()
        await asyncio.gather(*asking)
    assert room.feed.looks == looks


async def test_who_leaves_while_a_look_is_under_way_breaks_off_no_query() -> None:
    room = Room()
    async with room.open() as stream:
        await told(stream, 1)
        await nothing_more(stream)
        room.feed.open.clear()
        room.happen()
        asking = asyncio.create_task(_next(stream))
        await eventually(lambda: room.feed.asking == 1)
        stream.leave()
        assert await asking == ()
    await asyncio.sleep(0)
    assert room.feed.asking == 1
    room.feed.open.set()
    await eventually(lambda: room.feed.asking == 0)


async def test_many_streams_look_a_few_at_a_time() -> None:
    room = Room()
    async with AsyncExitStack() as opened:
        streams = [await opened.enter_async_context(room.open()) for _ in range(40)]
        for stream in streams:
            await told(stream, 1)
        room.feed.open.clear()
        room.feed.add()
        room.hub.wake_all()
        asking = [asyncio.create_task(told(stream, 1)) for stream in streams]
        await eventually(lambda: room.feed.asking == 4)
        room.feed.open.set()
        assert [numbers(items) for items in await asyncio.gather(*asking)] == [[1]] * 40
    assert room.feed.most == 4


async def test_who_opens_does_not_wait_for_its_turn_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.delivery.looks._OPENING_SECONDS", 0.01)
    room = Room()
    room.feed.open.clear()
    async with AsyncExitStack() as opened:
        first = [asyncio.create_task(opened.enter_async_context(room.open())) for _ in range(4)]
        await eventually(lambda: room.feed.asking == 4)
        with pytest.raises(UnavailableError):
            async with room.open():
                pass
        room.feed.open.set()
        await asyncio.gather(*first)


async def test_a_page_of_large_events_is_small_and_nothing_is_missed() -> None:
    """A stream that nobody reads holds what was read for it."""
    room = Room()
    room.feed.padding = "x" * (100 * 1024)
    async with room.open(after=0) as stream:
        assert isinstance((await stream.next())[0], Ready)
        room.happen(7)
        pages = [[event.sequence for event in await events(stream)] for _ in range(4)]
    assert pages == [[1, 2], [3, 4], [5, 6], [7]]


async def test_an_event_larger_than_a_page_is_told_alone() -> None:
    room = Room()
    room.feed.padding = "x" * (300 * 1024)
    async with room.open(after=0) as stream:
        await stream.next()
        room.happen(2)
        pages = [[event.sequence for event in await events(stream)] for _ in range(2)]
    assert pages == [[1], [2]]


async def events(stream: Stream) -> list[FeedEvent]:
    async with asyncio.timeout(60):
        return [item for item in await stream.next() if isinstance(item, FeedEvent)]
