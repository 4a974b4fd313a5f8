import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from errors import OverloadedError, StoreUnavailableError, UnavailableError
from service.completion import completion as module
from service.completion.completion import Completion
from service.uploads.model import UploadStatus
from service.uploads.ports import StoredObject
from tests.fakes.clock import START
from tests.fakes.completion import World
from tests.fakes.eventually import eventually
from tests.fakes.inbox import MemoryInbox, event
from tests.fakes.records import IDENTITY, upload
from tests.fakes.store import stored


@pytest.fixture(autouse=True)
def one_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the steps can be counted."""
    monkeypatch.setattr(module, "LANES", 1)


class Steps:
    """A part that does what it is told at each step, then nothing more."""

    def __init__(self, *script: int | BaseException) -> None:
        self._script = list(script)
        self.taken = 0
        self.idle = asyncio.Event()

    async def step(self) -> int:
        self.taken += 1
        if not self._script:
            self.idle.set()
            return 0
        told = self._script.pop(0)
        if isinstance(told, BaseException):
            raise told
        return told


@asynccontextmanager
async def running(completion: Completion) -> AsyncIterator[None]:
    task = asyncio.create_task(completion.run())
    try:
        yield
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE_AFTER_FAILURE", 0.0)


async def test_an_accepted_event_is_kept_and_wakes_the_processor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_POLL_SECONDS", 3600.0)
    world, processor = World(), Steps()
    completion = world.completion(processor, Steps())
    async with running(completion):
        await eventually(processor.idle.is_set)
        before = processor.taken
        assert await completion.accept([event("a"), event("b")]) == 2
        await eventually(lambda: processor.taken > before)
    assert [row.event.key for row in world.inbox.rows] == ["a", "b"]


async def test_news_wakes_the_processor_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or it would ask the database without a pause from the first event on."""
    monkeypatch.setattr(module, "_POLL_SECONDS", 3600.0)
    processor = Steps()
    completion = World().completion(processor, Steps())
    async with running(completion):
        await eventually(processor.idle.is_set)
        before = processor.taken
        await completion.accept([event("a")])
        await eventually(lambda: processor.taken > before)
        for _ in range(50):
            await asyncio.sleep(0)
    assert processor.taken == before + 1


async def test_it_walks_through_the_bucket_for_orphans() -> None:
    world = World()
    world.multiparts.begin(f"{IDENTITY}/left", initiated=START - timedelta(days=8))
    completion = world.completion(Steps(), Steps())
    completion._orphan_seconds = 0.001
    async with running(completion):
        await eventually(lambda: not world.multiparts.under_way)


async def test_a_repeated_event_is_accepted_but_not_new() -> None:
    completion = World().completion()
    assert await completion.accept([event("a"), event("a")]) == 1
    assert await completion.accept([event("a")]) == 0


async def test_events_of_other_buckets_are_none_of_ours() -> None:
    world = World()
    assert await world.completion().accept([event("a", bucket="other")]) == 0
    assert await world.completion().accept([]) == 0
    assert world.inbox.rows == []
    assert await world.completion().accept([event("a", bucket="other"), event("b")]) == 1
    assert [row.event.key for row in world.inbox.rows] == ["b"]


async def test_a_full_inbox_keeps_nothing_of_a_message() -> None:
    world = World()
    world.inbox = MemoryInbox(limit=2)
    completion = world.completion()
    with pytest.raises(OverloadedError) as caught:
        await completion.accept([event("a"), event("b"), event("c")])
    assert caught.value.retry_after == 30
    assert world.inbox.rows == []
    assert await completion.accept([event("a"), event("b")]) == 2


async def test_as_long_as_there_is_work_nobody_pauses() -> None:
    processor = Steps(1, 1, 1)
    async with running(World().completion(processor, Steps())):
        await eventually(processor.idle.is_set)
    assert processor.taken == 4


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize(
    ("failure", "cause"),
    [
        (UnavailableError(), "unavailable"),
        (ExceptionGroup("batch", [UnavailableError(), UnavailableError()]), "unavailable"),
        (RuntimeError("ours"), "internal_error"),
    ],
)
async def test_a_failure_is_told_and_ends_nothing(failure: Exception, cause: str) -> None:
    processor, sweep = Steps(failure, 1), Steps(failure, 1)
    with capture_logs() as lines:
        async with running(World().completion(processor, sweep)):
            await eventually(lambda: processor.idle.is_set() and sweep.idle.is_set())
    paused = [line for line in lines if line["event"] == "completion.paused"]
    assert sorted((line["part"], *line["causes"]) for line in paused) == [
        ("processor", cause),
        ("sweep", cause),
    ]


@pytest.mark.parametrize("failure", [UnavailableError(), ExceptionGroup("", [UnavailableError()])])
async def test_it_can_be_stopped_while_it_pauses(failure: Exception) -> None:
    processor = Steps(failure)
    async with running(World().completion(processor, Steps())):
        await eventually(lambda: processor.taken == 1)
        await asyncio.sleep(0)


class FailingAsItIsStopped:
    """A step of several tasks at once, one of which fails because of the stop."""

    def __init__(self) -> None:
        self.taken = 0
        self.under_way = asyncio.Event()

    async def step(self) -> int:
        self.taken += 1
        async with asyncio.TaskGroup() as group:
            group.create_task(self._one())
        return 0

    async def _one(self) -> None:
        self.under_way.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise UnavailableError from None


async def test_a_failure_in_the_moment_of_the_stop_does_not_keep_it_going() -> None:
    processor = FailingAsItIsStopped()
    async with running(World().completion(processor, Steps())):
        await processor.under_way.wait()
    assert processor.taken == 1


@pytest.mark.usefixtures("no_pauses")
@pytest.mark.parametrize("part", ["processor", "sweep"])
async def test_a_database_that_blinks_within_a_step_ends_neither(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fails within a task group leaves its task marked as being cancelled: that is no stop."""
    monkeypatch.setattr(module, "_POLL_SECONDS", 0.001)
    world = World()
    world.records.rows["upl_1"] = upload()
    world.store.failures.append(StoreUnavailableError())
    blinks = [UnavailableError()]
    retry, looked = world.inbox.retry, world.records.looked

    async def blinking(*args: Any, **more: Any) -> None:
        if blinks:
            raise blinks.pop()
        await (retry if part == "processor" else looked)(*args, **more)

    if part == "processor":
        world.inbox.retry = blinking  # type: ignore[method-assign]
    else:
        world.records.looked = blinking  # type: ignore[method-assign]
        world.clock.advance(31)
    completion = world.completion()
    completion._sweep_seconds = 0.001
    async with running(completion):
        if part == "processor":
            await completion.accept([event(upload().key)])
        await eventually(lambda: not blinks)
        world.store.put(upload().key, stored())
        world.clock.advance(3600)
        await eventually(lambda: world.records.rows["upl_1"].status is UploadStatus.COMPLETED)


@pytest.mark.usefixtures("no_pauses")
async def test_a_step_that_is_cancelled_by_nobody_is_a_fault_and_ends_nothing() -> None:
    processor = Steps(asyncio.CancelledError(), 1)
    async with running(World().completion(processor, Steps())):
        await eventually(processor.idle.is_set)


async def test_a_key_that_hangs_holds_up_its_own_lane_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LANES", 2)
    world = World()
    world.records.rows["upl_1"] = upload()
    hangs = asyncio.Event()
    head = world.store.head

    async def hanging(bucket: str, key: str) -> StoredObject | None:
        if key == "hangs":
            hangs.set()
            await asyncio.Event().wait()
        return await head(bucket, key)

    world.store.head = hanging  # type: ignore[method-assign]
    world.store.put(upload().key, stored())
    completion = world.completion()
    async with running(completion):
        await completion.accept([event("hangs")])
        await hangs.wait()
        await completion.accept([event(upload().key)])
        await eventually(lambda: world.records.rows["upl_1"].status is UploadStatus.COMPLETED)
