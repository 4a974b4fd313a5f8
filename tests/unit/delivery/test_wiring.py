"""The room of delivery as the settings have it: nothing mixed up, nobody left untold."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import wiring
from errors import TooManyStreamsError
from service.delivery.drainer import Drainer, DrainLimits
from service.delivery.endpoints import EndpointLimits
from service.delivery.news import News
from service.delivery.retention import Retention
from service.delivery.streams import StreamTimes
from service.delivery.trial import TRIALS_AT_ONCE
from state.database import Database
from tests.fakes import house
from tests.fakes.aws_environment import without_ambient_aws
from tests.fakes.eventually import eventually
from tests.fakes.http_stub import HttpStub
from tests.unit.delivery.listeners import Counting
from wiring.delivery import DeliveryRoom, opened_delivery

DELIVERY = {
    "retry_seconds": [1, 2, 3],
    "timeout_seconds": 4,
    "concurrency": 6,
    "per_endpoint": 5,
    "lease_seconds": 80,
    "rotation_hours": 9,
    "max_endpoints": 10,
    "keep_days": 11,
}
EVENTS = {
    "heartbeat_seconds": 12,
    "max_streams": 2,
    "max_streams_per_user": 1,
    "look_seconds": 13,
    "send_seconds": 14,
}


@asynccontextmanager
async def opened(folder: Path, *, streams: bool = True) -> AsyncIterator[DeliveryRoom]:
    """Nothing of it runs."""
    values = house.settings(folder, "http://127.0.0.1:1", delivery=DELIVERY, events=EVENTS)
    async with (
        Database.opened(values.database.url.get_secret_value()) as database,
        opened_delivery(values, database, "1.2.3", streams=streams) as room,
    ):
        yield room


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[DeliveryRoom]:
    async with opened(tmp_path) as made:
        yield made


async def test_each_setting_reaches_what_it_is_of(room: DeliveryRoom) -> None:
    found: list[Any] = [room.drainer._limits, room.endpoints._limits, room.streams.times]
    assert found == [
        DrainLimits(
            batch=100,
            concurrency=6,
            per_endpoint=5,
            lease=timedelta(seconds=80),
            retry_seconds=(1.0, 2.0, 3.0),
        ),
        EndpointLimits(most=10, rotation=timedelta(hours=9), keep=timedelta(days=11)),
        StreamTimes(heartbeat=12, look=13, send=14),
    ]
    assert room.retention._keep == timedelta(days=11)
    sender: Any = room.drainer._courier._sender
    assert sender._seconds == 4
    assert sender._session.connector.limit == 6


async def test_test_messages_are_sent_as_deliveries_are_over_connections_of_their_own(
    room: DeliveryRoom,
) -> None:
    deliveries: Any = room.drainer._courier._sender
    tests: Any = room.trials._sender
    assert (tests._seconds, tests._guard) == (deliveries._seconds, deliveries._guard)
    assert tests._session.headers == deliveries._session.headers
    assert tests._session.connector is not deliveries._session.connector
    assert tests._session.connector.limit == TRIALS_AT_ONCE
    assert room.trials._endpoints is room.endpoints


async def test_what_happened_is_told_to_the_streams_and_to_the_drainer(
    room: DeliveryRoom,
) -> None:
    hub = room.streams._hub
    with hub.holding("ada", Counting()), pytest.raises(TooManyStreamsError):
        hub._check("ada")
    ada = Counting()
    with hub.holding("ada", ada):
        room.announce("ada")
        assert ada.woken == 1
    assert room.drainer._news.is_set()


async def test_a_worker_has_no_streams_to_tell(tmp_path: Path) -> None:
    async with opened(tmp_path, streams=False) as room:
        ada = Counting()
        with room.streams._hub.holding("ada", ada):
            room.announce("ada")
        assert ada.woken == 0
        assert room.drainer._news.is_set()


@pytest.mark.parametrize(
    ("worker", "in_server", "expected"),
    [
        (False, True, {"drainer", "news", "retention"}),
        (False, False, {"news", "retention"}),
        (True, False, {"drainer", "news", "retention"}),
    ],
)
async def test_all_of_it_runs_where_it_is_to(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    worker: bool,
    in_server: bool,
    expected: set[str],
) -> None:
    begun: set[str] = set()

    def noted(name: str, *, ends: bool = False) -> Callable[[Any], Awaitable[None]]:
        async def run(_: Any) -> None:
            begun.add(name)
            if not ends:
                await asyncio.Event().wait()

        return run

    monkeypatch.setattr(Drainer, "run", noted("drainer"))
    monkeypatch.setattr(News, "run", noted("news"))
    monkeypatch.setattr(Retention, "forget", noted("retention", ends=True))
    without_ambient_aws(monkeypatch)
    async with HttpStub.serving(house.aws) as stub:
        values = house.settings(tmp_path, stub.url, completion={"in_server": in_server})
        opened = wiring.opened_worker if worker else wiring.opened_services
        async with opened(values, "1.2.3"):
            await eventually(lambda: "retention" in begun)
            for _ in range(20):
                await asyncio.sleep(0)
    assert begun == expected
