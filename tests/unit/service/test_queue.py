"""The queue's consumer: what is committed is deleted, what is not comes again."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest

from errors import InvalidRequestError, OverloadedError, UnavailableError
from service.completion import queue as module
from service.completion.events import ObjectEvent
from service.completion.queue import ConsumerLimits, Queue, QueueConsumer
from tests.fakes.eventually import eventually
from tests.fakes.house import captured_logs
from tests.fakes.inbox import MemoryInbox
from tests.fakes.queue import MemoryQueue, s3_body, sns_body

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EVENTBRIDGE = json.dumps(
    {
        "id": "e-1",
        "source": "aws.s3",
        "detail-type": "Object Created",
        "detail": {"bucket": {"name": "uploads"}, "object": {"key": "u/bridge", "etag": "e1"}},
    }
)
POISON = json.dumps({"Records": "the-body-of-a-stranger"})


class Accepting:
    """`accept` into an inbox; each of `failures` is raised once, before anything is kept."""

    def __init__(self, *failures: Exception, always: Exception | None = None) -> None:
        self.inbox = MemoryInbox()
        self.failures = list(failures)
        self.always = always
        self.calls = 0

    async def __call__(self, events: Sequence[ObjectEvent]) -> int:
        self.calls += 1
        if self.always is not None:
            raise self.always
        if self.failures:
            raise self.failures.pop(0)
        return len(await self.inbox.put(events, NOW))

    @property
    def keys(self) -> list[str]:
        return [row.event.key for row in self.inbox.rows]


@asynccontextmanager
async def consuming(
    queue: Queue, accept: Any, *, receivers: int = 1, visibility_seconds: Any = 60
) -> AsyncIterator[None]:
    limits = ConsumerLimits(
        receivers=receivers,
        visibility_seconds=visibility_seconds,
        first_pause=0.001,
        longest_pause=0.002,
    )
    consumer = QueueConsumer(queue=queue, accept=accept, limits=limits)
    running = asyncio.create_task(consumer.run())
    try:
        yield
        assert not running.done(), "a consumer never ends by itself"
    finally:
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()


async def test_each_shape_arrives_and_is_deleted() -> None:
    raw = s3_body("u/direct")
    queue = MemoryQueue(raw, sns_body(s3_body("u/wrapped")), EVENTBRIDGE, sns_body(EVENTBRIDGE))
    accept = Accepting()
    async with consuming(queue, accept):
        await eventually(lambda: len(queue.deleted) == 4)
    assert accept.keys == ["u/direct", "u/wrapped", "u/bridge"], "one event by two ways is one"
    assert {row.event.source for row in accept.inbox.rows} == {"sqs"}


async def test_a_batch_is_committed_at_once_and_then_deleted_at_once() -> None:
    queue = MemoryQueue(*(s3_body(f"u/{number}") for number in range(25)))
    accept = Accepting()
    async with consuming(queue, accept):
        await eventually(lambda: len(queue.deleted) == 25)
    assert accept.calls == 3
    assert queue.calls.count("delete") == 3


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "uploads"}),
        sns_body(json.dumps({"Event": "s3:TestEvent"})),
        json.dumps({"Records": []}),
        json.dumps({"source": "aws.ec2", "detail-type": "x", "detail": {}}),
    ],
)
async def test_what_tells_of_no_object_is_deleted(body: str) -> None:
    queue = MemoryQueue(body)
    accept = Accepting()
    async with consuming(queue, accept):
        await eventually(lambda: queue.deleted == ["m0"])
    assert accept.calls == 0


async def test_nothing_is_deleted_before_it_is_committed() -> None:
    queue, committing, go_on = MemoryQueue(s3_body("u/a")), asyncio.Event(), asyncio.Event()

    async def accept(_events: Sequence[ObjectEvent]) -> int:
        committing.set()
        await go_on.wait()
        return 1

    async with consuming(queue, accept):
        await committing.wait()
        assert "delete" not in queue.calls
        go_on.set()
        await eventually(lambda: queue.deleted == ["m0"])


@pytest.mark.parametrize("error", [UnavailableError(), OverloadedError(retry_after=30)])
async def test_while_the_database_is_away_messages_are_kept_hidden_and_none_is_deleted(
    error: Exception,
) -> None:
    queue, accept = MemoryQueue(s3_body("u/a"), s3_body("u/b")), Accepting(always=error)
    async with consuming(queue, accept, visibility_seconds=0.03):
        await eventually(lambda: len(queue.hides) >= 3 and accept.calls >= 3)
        assert set(map(str, queue.hides)) == {str((["m0", "m1"], 0.03))}
        assert (queue.deleted, queue.calls.count("receive")) == ([], 1)
        accept.always = None
        await eventually(lambda: queue.deleted == ["m0", "m1"])
    assert accept.keys == ["u/a", "u/b"]


async def test_a_crash_between_commit_and_deletion_doubles_nothing() -> None:
    queue, accept = MemoryQueue(s3_body("u/a")), Accepting()
    queue.failing = {"delete"}
    async with consuming(queue, accept):
        await eventually(lambda: "delete" in queue.calls)
    assert (accept.keys, queue.deleted) == (["u/a"], [])

    queue.failing = set()
    queue.show_hidden()
    async with consuming(queue, accept):
        await eventually(lambda: queue.deleted == ["m0"])
    assert accept.keys == ["u/a"]


async def test_what_a_batch_could_not_delete_comes_again_and_doubles_nothing() -> None:
    queue, accept = MemoryQueue(s3_body("u/a"), s3_body("u/b")), Accepting()
    queue.undeletable = {"m1"}
    async with consuming(queue, accept):
        await eventually(lambda: queue.deleted == ["m0"])
        queue.undeletable = set()
        queue.show_hidden()
        await eventually(lambda: queue.deleted == ["m0", "m1"])
    assert accept.keys == ["u/a", "u/b"]


async def test_poison_is_left_for_the_dead_letter_queue_and_holds_up_nothing() -> None:
    queue, accept = MemoryQueue(POISON, s3_body("u/a"), "no json"), Accepting()
    with captured_logs() as written:
        async with consuming(queue, accept):
            await eventually(lambda: len(queue.hides) == 2)
            assert queue.hides == [(["m0"], 1), (["m2"], 1)], "shown again at once, nearly"
            queue.show_hidden()
            await eventually(lambda: len(queue.hides) == 4)
    assert queue.hides[2:] == [(["m0"], 2), (["m2"], 2)]
    assert queue.deleted == ["m1"]
    told = _told(written, "queue.poison")
    assert [line["message_id"] for line in told] == ["m0", "m2"], "once each"
    assert "stranger" not in written.getvalue()


async def test_poison_without_a_dead_letter_queue_comes_ever_later() -> None:
    queue = MemoryQueue(POISON)
    queue.visible[0] = _received(queue.visible[0], 100)
    async with consuming(queue, Accepting()):
        await eventually(lambda: bool(queue.hides))
    assert queue.hides == [(["m0"], 900)]


async def test_a_fault_in_one_message_costs_the_others_nothing() -> None:
    queue = MemoryQueue(s3_body("u/a"), s3_body("u/bad"), s3_body("u/b"))
    inbox = MemoryInbox()

    async def accept(events: Sequence[ObjectEvent]) -> int:
        if any(event.key == "u/bad" for event in events):
            raise ValueError("what no database takes")
        return len(await inbox.put(events, NOW))

    with captured_logs() as written:
        async with consuming(queue, accept):
            await eventually(lambda: queue.deleted == ["m0", "m2"])
    assert [row.event.key for row in inbox.rows] == ["u/a", "u/b"]
    assert queue.hides == [(["m1"], 1)]
    assert [line["message_id"] for line in _told(written, "queue.poison")] == ["m1"]


async def test_an_error_that_waiting_does_not_mend_holds_no_receiver() -> None:
    queue = MemoryQueue(s3_body("u/a"))
    async with consuming(queue, Accepting(InvalidRequestError())):
        await eventually(lambda: queue.hides == [(["m0"], 1)])
    assert queue.deleted == []


async def test_a_queue_that_is_away_is_waited_for() -> None:
    queue, accept = MemoryQueue(s3_body("u/a")), Accepting()
    queue.failing = {"receive"}
    async with consuming(queue, accept):
        await eventually(lambda: queue.calls.count("receive") > 3)
        queue.failing = set()
        await eventually(lambda: queue.deleted == ["m0"])


async def test_a_fault_of_the_queues_own_ends_no_receiver() -> None:
    queue = MemoryQueue(s3_body("u/a"))
    faults = iter([RuntimeError("a bug")])
    receive: Callable[[], Any] = queue.receive

    async def faulty() -> Any:
        for fault in faults:
            raise fault
        return await receive()

    queue.receive = faulty  # type: ignore[method-assign]
    async with consuming(queue, Accepting()):
        await eventually(lambda: queue.deleted == ["m0"])


async def test_messages_that_cannot_be_hidden_are_seen_through_all_the_same() -> None:
    queue, accept = MemoryQueue(s3_body("u/a"), POISON), Accepting(UnavailableError())
    queue.failing = {"hide"}
    async with consuming(queue, accept, visibility_seconds=0.003):
        await eventually(lambda: queue.deleted == ["m0"])


async def test_messages_in_hand_are_hidden_anew_twice_within_their_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.Event().wait()

    monkeypatch.setattr(module, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": sleep}))

    async def accept(_events: Sequence[ObjectEvent]) -> int:
        await asyncio.Event().wait()
        return 0

    async with consuming(MemoryQueue(s3_body("u/a")), accept, visibility_seconds=60):
        await eventually(lambda: bool(pauses))
    assert 0 < pauses[0] <= 30


async def test_what_is_deleted_is_hidden_no_more() -> None:
    queue, accept = MemoryQueue(s3_body("u/a")), Accepting()
    async with consuming(queue, accept, visibility_seconds=0.003):
        await eventually(lambda: queue.deleted == ["m0"])
        before = len(queue.hides)
        accept.always = UnavailableError()
        queue.send(s3_body("u/b"))
        await eventually(lambda: len(queue.hides) >= before + 5)
    assert {name for names, _ in queue.hides[before:] for name in names} == {"m1"}


async def test_several_receivers_work_at_once_and_no_more() -> None:
    queue = MemoryQueue(*(s3_body(f"u/{number}") for number in range(50)))
    busy: list[int] = []
    full, go_on = asyncio.Event(), asyncio.Event()

    async def accept(events: Sequence[ObjectEvent]) -> int:
        busy.append(len(events))
        if len(busy) == 3:
            full.set()
        await go_on.wait()
        return len(events)

    async with consuming(queue, accept, receivers=3):
        await full.wait()
        assert (len(busy), len(queue.visible)) == (3, 20)
        go_on.set()
        await eventually(lambda: len(queue.deleted) == 50)


async def test_being_ended_loses_nothing_in_hand() -> None:
    queue, accept = MemoryQueue(s3_body("u/a")), Accepting(always=UnavailableError())
    async with consuming(queue, accept):
        await eventually(lambda: accept.calls > 0)
    assert (queue.deleted, list(queue.hidden)) == ([], ["m0"])


async def test_a_failure_told_instead_of_the_end_does_not_keep_it_alive() -> None:
    """As a driver may do that is cancelled in the middle of a call."""
    queue, begun = MemoryQueue(s3_body("u/a")), asyncio.Event()

    async def accept(_events: Sequence[ObjectEvent]) -> int:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("connection lost") from None
        return 0

    async with consuming(queue, accept):
        await begun.wait()
    assert (queue.deleted, queue.hides) == ([], [])


def _told(written: StringIO, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in written.getvalue().splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("event") == event]


def _received(message: Any, times: int) -> Any:
    return type(message)(message.id, message.receipt, message.body, times)
