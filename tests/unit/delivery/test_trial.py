"""A test message, without a database and without a network."""

import asyncio
import json
from typing import Any

import pytest
from standardwebhooks import Webhook
from structlog.testing import capture_logs

from errors import EndpointNotFoundError, OverloadedError
from service.delivery.endpoints import Endpoints
from service.delivery.events import EventType
from service.delivery.ports import Answer, NoAnswer
from service.delivery.trial import TRIALS_AT_ONCE, Trials
from tests.fakes.clock import START, Clock
from tests.fakes.endpoints import URL, Addresses, MemoryEndpoints
from tests.fakes.eventually import eventually
from tests.fakes.outbox import ScriptedSender, Told
from tests.unit.delivery.test_endpoints import LIMITS


class World:
    """`told` is what the receiver says."""

    def __init__(self, told: Told | None = None) -> None:
        clock = Clock()
        self.sender = ScriptedSender({} if told is None else {"app": told})
        self.records = MemoryEndpoints()
        self.endpoints = Endpoints(
            records=self.records, addresses=Addresses(), limits=LIMITS, clock=clock
        )
        self.trials = Trials(endpoints=self.endpoints, sender=self.sender, clock=clock)

    async def endpoint(self, **more: Any) -> str:
        return (await self.endpoints.create(URL, **more)).id


async def test_the_message_is_of_its_own_type_and_names_the_endpoint() -> None:
    world = World()
    endpoint_id = await world.endpoint()
    trial = await world.trials.make(endpoint_id)
    (sent,) = world.sender.sent
    assert sent.url == URL
    assert json.loads(sent.body) == {
        "type": "webhook.test",
        "timestamp": "2030-01-01T00:00:00Z",
        "data": {"endpoint_id": endpoint_id},
    }
    assert sent.headers["webhook-id"] == trial.event_id
    assert sent.headers["webhook-timestamp"] == str(int(START.timestamp()))
    prefix, digits = trial.event_id[:9], trial.event_id[9:]
    assert prefix == "evt_test_"
    assert int(digits, 16) >= 0


async def test_each_has_an_id_of_its_own() -> None:
    world = World()
    endpoint_id = await world.endpoint()
    ids = {(await world.trials.make(endpoint_id)).event_id for _ in range(3)}
    assert ids == {sent.headers["webhook-id"] for sent in world.sender.sent}
    assert len(ids) == 3


async def test_during_a_rotation_both_secrets_sign() -> None:
    world = World()
    endpoint_id = await world.endpoint()
    await world.endpoints.rotate(endpoint_id)
    secrets = (await world.endpoints.get(endpoint_id)).secrets
    await world.trials.make(endpoint_id)
    (sent,) = world.sender.sent
    signatures = sent.headers["webhook-signature"].split(" ")
    assert signatures == [
        Webhook(secret).sign(sent.headers["webhook-id"], START, sent.body.decode())
        for secret in secrets
    ]
    assert len(signatures) == 2


async def test_it_goes_to_whom_no_event_would_go() -> None:
    world = World()
    endpoint_id = await world.endpoint(event_types=[EventType.DELETED])
    await world.endpoints.change(endpoint_id, {"enabled": False})
    assert (await world.trials.make(endpoint_id)).delivered
    assert len(world.sender.sent) == 1


@pytest.mark.parametrize(
    ("told", "status", "error"),
    [
        (Answer(200), 200, None),
        (Answer(299), 299, None),
        (Answer(302), 302, "http_302"),
        (Answer(410), 410, "http_410"),
        (Answer(429, retry_after=60), 429, "http_429"),
        (Answer(500), 500, "http_500"),
        (NoAnswer("timeout"), None, "timeout"),
        (NoAnswer("forbidden_address"), None, "forbidden_address"),
        (NoAnswer("forbidden_url", final=True), None, "forbidden_url"),
        (RuntimeError("ours"), None, "internal_error"),
    ],
)
async def test_what_came_of_it_is_told_and_nothing_follows(
    told: Told, status: int | None, error: str | None
) -> None:
    world = World(told)
    endpoint_id = await world.endpoint()
    before = await world.endpoints.get(endpoint_id)
    with capture_logs() as logs:
        trial = await world.trials.make(endpoint_id)
    assert (trial.delivered, trial.status, trial.error) == (error is None, status, error)
    assert trial.milliseconds >= 0
    assert len(world.sender.sent) == 1
    assert await world.endpoints.get(endpoint_id) == before
    assert all(secret not in str(logs) for secret in (*before.secrets, "v1,", URL))


async def test_an_endpoint_that_there_is_not() -> None:
    world = World()
    with pytest.raises(EndpointNotFoundError):
        await world.trials.make("whe_0")
    assert world.sender.sent == []


async def test_receivers_that_hang_do_not_pile_up() -> None:
    answers = asyncio.Event()
    world = World(answers)
    endpoint_id = await world.endpoint()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(world.trials.make(endpoint_id)) for _ in range(TRIALS_AT_ONCE)]
        await eventually(lambda: world.sender.at_once.total() == TRIALS_AT_ONCE)
        with pytest.raises(OverloadedError) as refused:
            await world.trials.make(endpoint_id)
        assert refused.value.retry_after
        with pytest.raises(EndpointNotFoundError):
            await world.trials.make("whe_0")
        answers.set()
    assert all(task.result().delivered for task in tasks)
    assert len(world.sender.sent) == TRIALS_AT_ONCE
    assert (await world.trials.make(endpoint_id)).delivered


@pytest.mark.parametrize("told", [RuntimeError("ours"), Answer(500)])
async def test_a_trial_that_fails_gives_its_place_back(told: Told) -> None:
    world = World(told)
    endpoint_id = await world.endpoint()
    for _ in range(TRIALS_AT_ONCE + 1):
        assert not (await world.trials.make(endpoint_id)).delivered


async def test_one_that_is_cancelled_gives_its_place_back() -> None:
    answers = asyncio.Event()
    world = World(answers)
    endpoint_id = await world.endpoint()
    for _ in range(TRIALS_AT_ONCE + 1):
        task = asyncio.create_task(world.trials.make(endpoint_id))
        await eventually(lambda: world.sender.at_once.total() == 1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
    answers.set()
    assert (await world.trials.make(endpoint_id)).delivered
