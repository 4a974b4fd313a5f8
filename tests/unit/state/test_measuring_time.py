"""What becomes of the offset between two clocks, and who is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from sqlalchemy.exc import ProgrammingError
from structlog.testing import capture_logs

from errors import UnavailableError
from state import common_clock
from state.common_clock import CommonClock, _Look
from state.database import Database
from tests.fakes.clock import START, Clock
from tests.fakes.eventually import eventually


class Server:
    """A database in memory that has nothing but a clock, and is away for so many questions."""

    is_postgres = True

    def __init__(self, local: Clock) -> None:
        self.local = local
        self.ahead = timedelta()
        self.away = 0
        self.asked = 0

    @asynccontextmanager
    async def single(self) -> AsyncIterator["Server"]:
        self.asked += 1
        if self.away:
            self.away -= 1
            raise UnavailableError
        yield self

    async def execute(self, _statement: Any) -> "Server":
        return self

    def scalar_one(self) -> datetime:
        return self.local() + self.ahead


class Faulty(Server):
    """Fails at the first question in a way that nobody has foreseen."""

    async def execute(self, statement: Any) -> Server:
        if self.asked == 1:
            raise ProgrammingError("SELECT 1", {}, Exception("prepared statement does not exist"))
        return await super().execute(statement)


class Silent(Server):
    async def execute(self, _statement: Any) -> Server:
        await asyncio.Event().wait()
        return self


@pytest.fixture(autouse=True)
def _in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for pause in ("_EVERY_SECONDS", "_AGAIN_SECONDS"):
        monkeypatch.setattr(common_clock, pause, 0.0)


@pytest.fixture
def server() -> Server:
    return Server(Clock())


@pytest.fixture
def clock(server: Server) -> CommonClock:
    return CommonClock(cast("Database", server), local=server.local)


def is_near(found: datetime, expected: datetime) -> bool:
    """Half of the quickest question's time is guessed."""
    return abs(found - expected) < timedelta(seconds=1)


@pytest.mark.parametrize("minutes", [3, -3])
async def test_it_is_the_servers_time(server: Server, clock: CommonClock, minutes: int) -> None:
    server.ahead = timedelta(minutes=minutes)
    await clock.first()
    assert is_near(clock(), START + server.ahead)
    server.local.advance(5)
    assert is_near(clock(), START + server.ahead + timedelta(seconds=5))


async def test_what_differs_is_told_once_a_change(server: Server, clock: CommonClock) -> None:
    with capture_logs() as logs:
        for ahead in (0.0, 120.0, 120.1, 119.9, 0.1, 0.0):
            server.ahead = timedelta(seconds=ahead)
            await clock.first()
    assert [log["event"] for log in logs] == ["clock.differs", "clock.agrees"]
    assert logs[0]["seconds"] == pytest.approx(-120, abs=1)
    assert logs[0]["log_level"] == "warning"
    assert clock() == START


async def test_it_is_measured_again_and_again(server: Server, clock: CommonClock) -> None:
    measuring = asyncio.create_task(clock.run())
    await eventually(lambda: server.asked > 1)
    server.ahead = timedelta(minutes=3)
    await eventually(lambda: is_near(clock(), START + server.ahead))
    measuring.cancel()
    await asyncio.wait([measuring])
    assert measuring.cancelled()


async def test_what_cannot_be_measured_stays_as_it_was(server: Server, clock: CommonClock) -> None:
    server.ahead = timedelta(minutes=3)
    await clock.measure()
    server.ahead, server.away = timedelta(), 1
    with pytest.raises(UnavailableError):
        await clock.measure()
    assert is_near(clock(), START + timedelta(minutes=3))


async def test_nothing_begins_before_it_was_measured(server: Server, clock: CommonClock) -> None:
    server.ahead, server.away = timedelta(minutes=3), 3
    with capture_logs() as logs:
        await clock.first()
    assert server.asked == 4
    assert is_near(clock(), START + server.ahead)
    assert [log["event"] for log in logs] == ["clock.not_measured"] * 3 + ["clock.differs"]


async def test_a_server_that_falls_silent_is_not_waited_for_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(common_clock, "_MEASURE_SECONDS", 0.01)
    silent = Silent(Clock())
    with pytest.raises(UnavailableError):
        await CommonClock(cast("Database", silent), local=silent.local).measure()


@pytest.mark.parametrize(
    ("offset", "took", "believed"),
    [(0.2, 0.0, 0.0), (0.3, 0.0, 0.3), (2.0, 4.0, 0.0), (2.0, 3.0, 2.0), (-2.0, 3.0, -2.0)],
)
def test_a_slow_answer_says_little(
    clock: CommonClock, offset: float, took: float, believed: float
) -> None:
    clock._believe(_Look(timedelta(seconds=offset), timedelta(seconds=took)))
    assert clock() == START + timedelta(seconds=believed)


def test_a_clock_that_drifts_slowly_does_not_make_it_jump_each_time(clock: CommonClock) -> None:
    quick = timedelta()
    times = []
    for tenths in range(8):
        clock._believe(_Look(timedelta(seconds=tenths / 10), quick))
        times.append(round((clock() - START).total_seconds(), 1))
    assert times == [0, 0, 0, 0.3, 0.3, 0.3, 0.6, 0.6]


async def test_a_fault_is_told_and_asked_again_and_ends_nothing() -> None:
    server = Faulty(Clock())
    server.ahead = timedelta(minutes=3)
    clock = CommonClock(cast("Database", server), local=server.local)
    with capture_logs() as told:
        await clock.first()
    assert is_near(clock(), START + server.ahead)
    assert server.asked == 2
    assert told[0]["event"] == "clock.not_measured"
    server.asked = 0
    task = asyncio.create_task(clock.run())
    await eventually(lambda: server.asked > 2)
    assert not task.done()
    task.cancel()
