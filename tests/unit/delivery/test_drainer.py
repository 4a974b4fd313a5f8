import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook
from structlog.testing import capture_logs

from errors import UnavailableError
from service.delivery import drainer as drainer_module
from service.delivery import signing
from service.delivery.drainer import Drainer, DrainLimits
from service.delivery.ports import Answer, Delivery, NoAnswer
from tests.fakes.clock import START, Clock
from tests.fakes.eventually import eventually
from tests.fakes.outbox import SECRET, MemoryOutbox, ScriptedSender, Told, delivery

LEASE = timedelta(seconds=60)


class World:
    def __init__(self, *deliveries: Delivery, **script: Told) -> None:
        self.clock = Clock()
        self.outbox = MemoryOutbox(*deliveries)
        self.sender = ScriptedSender(script)
        self.world: Callable[[], datetime] = self.clock

    def drainer(self, **limits: Any) -> Drainer:
        values: dict[str, Any] = {
            "batch": 100,
            "concurrency": 32,
            "per_endpoint": 8,
            "lease": LEASE,
            "retry_seconds": (5.0, 300.0),
        }
        return Drainer(
            outbox=self.outbox,
            sender=self.sender,
            limits=DrainLimits(**{**values, **limits}),
            clock=self.clock,
            world=self.world,
        )

    def delivered(self) -> set[int]:
        return {number for number, row in self.outbox.rows.items() if row.delivered}

    def under_way(self) -> int:
        return self.sender.at_once.total()


@asynccontextmanager
async def running(drainer: Drainer) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(drainer.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_a_step_spreads_claims_and_delivers() -> None:
    world = World(delivery(1))
    world.outbox.unspread = [delivery(2), delivery(3)]
    drainer = world.drainer()
    assert await drainer.step() == 5
    assert world.delivered() == {1, 2, 3}
    assert await drainer.step() == 0


async def test_no_more_are_spread_at_once_than_may_be() -> None:
    """It is one transaction, which others wait for."""
    world = World()
    world.outbox.unspread = [delivery(number) for number in range(5)]
    drainer = world.drainer(batch=2)
    assert [await drainer.step() for _ in range(4)] == [4, 4, 2, 0]
    assert world.delivered() == set(range(5))


async def test_a_message_is_what_a_receiver_verifies() -> None:
    old = signing.new_secret()
    world = World(delivery(1, payload='{"é":"🎉"}', secrets=(SECRET, old)))
    await world.drainer().step()
    (sent,) = world.sender.sent
    assert sent.headers["webhook-id"] == "evt_1"
    assert sent.headers["webhook-timestamp"] == str(int(START.timestamp()))
    signatures = sent.headers["webhook-signature"].split(" ")
    for secret, signature in zip((SECRET, old), signatures, strict=True):
        assert Webhook(secret).sign("evt_1", START, sent.body.decode()) == signature


async def test_it_bears_the_worlds_time_whatever_the_databases_is() -> None:
    world = World(delivery(1))
    true = START + timedelta(minutes=6)
    world.world = lambda: true
    await world.drainer().step()
    (sent,) = world.sender.sent
    assert sent.headers["webhook-timestamp"] == str(int(true.timestamp()))


async def test_a_retry_has_the_same_id_and_a_time_of_its_own() -> None:
    world = World(delivery(1), a=Answer(500))
    drainer = world.drainer()
    await drainer.step()
    world.clock.advance(6)
    await drainer.step()
    first, second = world.sender.sent
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    times = [int(sent.headers["webhook-timestamp"]) for sent in (first, second)]
    assert times[1] - times[0] == 6
    assert first.body == second.body


@pytest.mark.parametrize(
    ("told", "status", "error"),
    [
        (Answer(500), 500, "http_500"),
        (Answer(302), 302, "http_302"),
        (NoAnswer("timeout"), None, "timeout"),
        (RuntimeError("ours"), None, "internal_error"),
        (UnavailableError(), None, "internal_error"),
    ],
)
async def test_what_fails_is_tried_again_by_the_plan_and_then_given_up(
    told: Told, status: int | None, error: str
) -> None:
    world = World(delivery(1), a=told)
    drainer = world.drainer()
    row = world.outbox.rows[1]
    for planned in (5, 300):
        assert await drainer.step() == 1
        assert (row.leased_by, row.done_at, row.status, row.error) == (None, None, status, error)
        wait = (row.due_at - world.clock()).total_seconds()
        assert planned <= wait <= planned * 1.2
        assert await drainer.step() == 0
        world.clock.advance(wait)
    assert await drainer.step() == 1
    assert (row.done_at, row.delivered, row.status, row.error) == (
        world.clock(),
        False,
        status,
        error,
    )


async def test_those_whom_an_outage_failed_together_do_not_come_back_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chances = iter([0.0, 1.0])
    monkeypatch.setattr("random.random", lambda: next(chances))
    world = World(delivery(1), delivery(2), a=Answer(503))
    await world.drainer().step()
    waits = {(row.due_at - START).total_seconds() for row in world.outbox.rows.values()}
    assert waits == {5.0, 6.0}


async def test_a_wish_to_wait_is_granted() -> None:
    world = World(delivery(1), a=Answer(429, 1000))
    await world.drainer().step()
    assert world.outbox.rows[1].due_at >= START + timedelta(seconds=1000)


async def test_an_endpoint_that_is_gone_is_disabled_and_its_other_messages_wait() -> None:
    world = World(delivery(1), delivery(2), delivery(3, "b"), a=Answer(410))
    drainer = world.drainer(per_endpoint=1)
    await drainer.step()
    world.clock.advance(1000)
    await drainer.step()
    assert set(world.outbox.disabled) == {"a"}
    ended, waiting, other = (world.outbox.rows[number] for number in (1, 2, 3))
    assert (ended.done_at, ended.delivered, ended.error) == (START, False, "http_410")
    assert (waiting.done_at, waiting.delivery.attempts) == (None, 0)
    assert other.delivered


async def test_what_can_never_succeed_is_given_up_and_its_endpoint_kept() -> None:
    world = World(delivery(1), a=NoAnswer("forbidden_url", final=True))
    await world.drainer().step()
    assert world.outbox.rows[1].done_at == START
    assert world.outbox.disabled == {}


async def test_nothing_is_written_when_the_lease_has_passed_to_another() -> None:
    gate = asyncio.Event()
    world = World(delivery(1), a=gate)
    slow, quick = world.drainer(), world.drainer()
    first = asyncio.create_task(slow.step())
    await eventually(lambda: world.under_way() == 1)
    world.clock.advance(61)
    world.sender.script["a"] = Answer(500)
    assert await quick.step() == 1
    row = world.outbox.rows[1]
    before = (row.leased_by, row.due_at, row.error)
    gate.set()
    assert await first == 1
    assert (row.leased_by, row.due_at, row.error) == before
    assert not row.delivered


async def test_two_drainers_are_two_workers() -> None:
    world = World()
    assert world.drainer()._worker != world.drainer()._worker


async def test_an_attempt_that_outlasts_its_lease_is_ended_and_made_again() -> None:
    world = World(delivery(1), a=asyncio.Event())
    drainer = world.drainer(lease=timedelta(milliseconds=10))
    assert await drainer.step() == 1
    assert world.under_way() == 0
    world.clock.advance(1)
    world.sender.script["a"] = Answer(200)
    await drainer.step()
    assert world.delivered() == {1}


async def test_a_slow_endpoint_takes_its_own_places_only() -> None:
    slow = [delivery(number, "slow") for number in range(20)]
    quick = [delivery(number, "quick") for number in range(20, 60)]
    gate = asyncio.Event()
    world = World(*slow, *quick, slow=gate)
    async with running(world.drainer(concurrency=6, per_endpoint=4)):
        await eventually(lambda: len(world.delivered()) == 40)
        assert world.sender.at_once["slow"] == 4
        assert world.sender.most_at_once <= 6
        gate.set()
        await eventually(lambda: len(world.delivered()) == 60)


async def test_the_slowest_of_a_batch_is_not_waited_for() -> None:
    gate = asyncio.Event()
    world = World(delivery(1, "slow"), *(delivery(n) for n in range(2, 40)), slow=gate)
    async with running(world.drainer(concurrency=3, per_endpoint=3)):
        await eventually(lambda: len(world.delivered()) == 38)
    assert 1 not in world.delivered()


async def test_places_that_were_all_taken_are_filled_as_they_become_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drainer_module, "_POLL_SECONDS", 3600)
    world = World(*(delivery(number) for number in range(30)))
    async with running(world.drainer(concurrency=2, per_endpoint=2)):
        await eventually(lambda: len(world.delivered()) == 30)
    assert world.sender.most_at_once == 2


async def test_it_idles_until_there_is_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drainer_module, "_POLL_SECONDS", 3600)
    world = World()
    drainer = world.drainer()
    async with running(drainer):
        await eventually(lambda: world.outbox.claims == 1)
        world.outbox.unspread = [delivery(1)]
        for _ in range(20):
            await asyncio.sleep(0)
        assert world.delivered() == set()
        drainer.news()
        await eventually(lambda: world.delivered() == {1})
        await eventually(lambda: not world.under_way())
        for _ in range(20):
            await asyncio.sleep(0)
    assert world.outbox.claims <= 4


async def test_news_that_come_while_it_looks_are_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drainer_module, "_POLL_SECONDS", 3600)
    world = World()
    drainer = world.drainer()
    claim = world.outbox.claim

    async def committed_meanwhile(*args: Any, **values: Any) -> Sequence[Delivery]:
        found = await claim(*args, **values)
        if world.outbox.claims == 1:
            world.outbox.unspread = [delivery(1)]
            drainer.news()
        return found

    monkeypatch.setattr(world.outbox, "claim", committed_meanwhile)
    async with running(drainer):
        await eventually(lambda: world.delivered() == {1})


async def test_it_looks_by_itself_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drainer_module, "_POLL_SECONDS", 0.001)
    world = World()
    async with running(world.drainer()):
        await eventually(lambda: world.outbox.claims > 3)


async def test_a_database_that_is_away_pauses_it_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drainer_module, "_PAUSE_AFTER_FAILURE", 0.001)
    world = World(delivery(1))
    world.outbox.away = True
    with capture_logs() as logs:
        async with running(world.drainer()) as task:
            await eventually(lambda: any(log["event"] == "delivery.paused" for log in logs))
            assert not task.done()
            world.outbox.away = False
            await eventually(lambda: world.delivered() == {1})


async def test_replicas_do_not_come_back_to_the_database_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chances = iter([0.0, 1.0])
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    drainer = World().drainer()
    monkeypatch.setattr("random.random", lambda: next(chances))
    monkeypatch.setattr("asyncio.sleep", sleep)
    for _ in range(2):
        await drainer._pause("unavailable", None)
    assert slept == [1.0, 3.0]


async def test_a_database_that_goes_away_during_an_attempt_costs_a_repetition() -> None:
    world = World(delivery(1))
    drainer = world.drainer()

    def go_away() -> None:
        world.outbox.away = True

    world.sender.script["a"] = go_away
    with capture_logs() as logs:
        assert await drainer.step() == 1
    assert [log["event"] for log in logs] == ["webhook.delivered", "webhook.lost"]
    world.outbox.away = False
    assert world.delivered() == set()
    assert await drainer.step() == 0
    world.clock.advance(60)
    del world.sender.script["a"]
    assert await drainer.step() == 1
    assert world.delivered() == {1}


async def test_a_fault_of_ours_is_told_and_does_not_end_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drainer_module, "_PAUSE_AFTER_FAILURE", 0.001)
    world = World(delivery(1))
    claim, faults = world.outbox.claim, [RuntimeError("a fault"), RuntimeError("another")]

    async def faulty(*args: Any, **kwargs: Any) -> Any:
        if faults:
            raise faults.pop()
        return await claim(*args, **kwargs)

    monkeypatch.setattr(world.outbox, "claim", faulty)
    with capture_logs() as logs:
        async with running(world.drainer()):
            await eventually(lambda: world.delivered() == {1})
    assert [log["cause"] for log in logs if log["event"] == "delivery.paused"] == [
        "internal_error"
    ] * 2


async def test_a_secret_that_is_none_costs_its_own_endpoint_alone() -> None:
    world = World(delivery(1, "bad", secrets=("whsec_?",)), delivery(2))
    await world.drainer().step()
    assert world.delivered() == {2}
    assert world.outbox.rows[1].error == "internal_error"


async def test_cancelling_ends_it_and_its_attempts() -> None:
    world = World(*(delivery(number) for number in range(4)), a=asyncio.Event())
    async with running(world.drainer()) as task:
        await eventually(lambda: world.under_way() == 4)
        task.cancel()
        await asyncio.wait([task], timeout=60)
        assert task.cancelled()
    assert world.under_way() == 0


async def test_cancelling_ends_it_although_something_fails_at_that_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Libraries tell of a failure instead of the cancellation that caused it."""
    world = World()
    claiming = asyncio.Event()

    async def fails_when_cancelled(*_args: Any, **_kwargs: Any) -> Any:
        first = not claiming.is_set()
        claiming.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if first:
                raise UnavailableError from None
            raise

    monkeypatch.setattr(world.outbox, "claim", fails_when_cancelled)
    async with running(world.drainer()) as task:
        await claiming.wait()
        task.cancel()
        await asyncio.wait([task], timeout=60)
        assert task.cancelled()


@pytest.mark.parametrize("told", [Answer(200), Answer(500), Answer(410), RuntimeError("ours")])
async def test_each_attempt_is_told_without_what_is_secret(told: Told) -> None:
    world = World(delivery(1, payload='{"secret":"payload"}'), a=told)
    with capture_logs() as logs:
        await world.drainer().step()
    attempt = logs[-1]
    assert attempt["event_id"] == "evt_1"
    assert (attempt["endpoint_id"], attempt["host"], attempt["attempt"]) == ("a", "a.example", 1)
    assert attempt["status"] == (told.status if isinstance(told, Answer) else None)
    assert attempt["milliseconds"] >= 0
    told_text = str(logs)
    for hidden in ("hooks", "token", "hidden", "payload", SECRET, "whsec_", "v1,"):
        assert hidden not in told_text
