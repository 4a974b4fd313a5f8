"""A rate that replicas share, on every server that may keep it."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import pytest
from sqlalchemy import text

from errors import CognitoThrottledError, UnavailableError
from service.grants.fleet_rate import FleetRate
from service.grants.pacing import Answer, MemoryTurns, Pace, Turns
from state import schema
from state.database import Database
from state.rate_postgres import PostgresTurns
from state.rate_redis import RedisTurns
from state.redis_clients import opened_client
from tests.fakes.postgres import postgres_database
from tests.fakes.redis_server import RedisServer, running_redis

# So slow that a test is over before the next turn is free.
SLOW = Pace(0.01, 1)
SPACING = 100.0
NAME = "test:rate:calls"


class Server(Protocol):
    """Each `turns` is another replica's."""

    async def turns(self, pace: Pace) -> Turns: ...

    async def set_back(self, seconds: float) -> None:
        """The server's clock, as it looks to what was kept before."""
        ...


class Memory:
    """One process, so all have the same."""

    def __init__(self) -> None:
        self._now = 1e6
        self._kept: dict[Pace, MemoryTurns] = {}

    async def turns(self, pace: Pace) -> Turns:
        return self._kept.setdefault(pace, MemoryTurns(pace, lambda: self._now + time.monotonic()))

    async def set_back(self, seconds: float) -> None:
        self._now -= seconds


class Redis:
    def __init__(self, stack: AsyncExitStack, server: RedisServer) -> None:
        self._stack = stack
        self._server = server

    async def turns(self, pace: Pace) -> Turns:
        client = await self._stack.enter_async_context(
            opened_client(self._server.url, max_connections=3, timeout_seconds=30)
        )
        return RedisTurns(client, pace, key=NAME)

    async def set_back(self, seconds: float) -> None:
        async with opened_client(self._server.url, max_connections=1, timeout_seconds=30) as client:
            await client.incrby(NAME, int(seconds * 1e6))


class Postgres:
    def __init__(self, stack: AsyncExitStack, url: str) -> None:
        self._stack = stack
        self._url = url

    async def turns(self, pace: Pace) -> Turns:
        return PostgresTurns(await self.database(), pace, key=NAME)

    async def database(self) -> Database:
        return await self._stack.enter_async_context(Database.opened(self._url, pool_size=3))

    async def set_back(self, seconds: float) -> None:
        statement = text("UPDATE rates SET next_turn = next_turn + make_interval(secs => :more)")
        async with (await self.database()).transaction() as connection:
            await connection.execute(statement, {"more": seconds})


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.fixture(params=["memory", "redis", "postgres"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            yield Memory()
        elif request.param == "redis":
            running: RedisServer = request.getfixturevalue("redis_server")
            async with opened_client(running.url, max_connections=1, timeout_seconds=30) as client:
                await client.flushall()
            yield Redis(stack, running)
        else:
            socket: Path = request.getfixturevalue("postgres_socket")
            postgres = Postgres(stack, await stack.enter_async_context(postgres_database(socket)))
            await schema.upgrade(await postgres.database())
            yield postgres


async def test_the_first_turn_is_now_and_the_next_a_spacing_later(server: Server) -> None:
    turns = await server.turns(SLOW)
    assert await turns.take(within=0, idle=0) == Answer(taken=True, wait=0)
    taken, wait = await turns.take(within=SPACING, idle=0)
    assert taken
    assert SPACING - 10 < wait <= SPACING


async def test_a_turn_beyond_reach_is_not_taken_and_changes_nothing(server: Server) -> None:
    turns = await server.turns(SLOW)
    await turns.take(within=0, idle=0)
    for _ in range(3):
        taken, wait = await turns.take(within=50, idle=0)
        assert not taken
        assert SPACING - 10 < wait <= SPACING
    assert (await turns.take(within=SPACING, idle=0)).taken


async def test_a_rate_has_to_have_been_idle_for_who_asks_so(server: Server) -> None:
    turns = await server.turns(SLOW)
    assert (await turns.take(within=0, idle=SPACING)).taken
    taken, wait = await turns.take(within=0, idle=SPACING)
    assert not taken
    assert 2 * SPACING - 10 < wait <= 2 * SPACING


async def test_what_lies_too_far_ahead_is_of_a_clock_that_was_set_back(server: Server) -> None:
    turns = await server.turns(SLOW)
    await turns.take(within=0, idle=0)
    await server.set_back(3600)
    assert await turns.take(within=0, idle=0) == Answer(taken=True, wait=0)
    assert not (await turns.take(within=0, idle=0)).taken


async def test_replicas_at_once_have_each_turn_once(server: Server) -> None:
    """Three fit into what they would wait for."""
    replicas = [await server.turns(Pace(0.04, 1)) for _ in range(3)]
    answers = await asyncio.gather(
        *(replica.take(within=55, idle=0) for _ in range(20) for replica in replicas)
    )
    waits = sorted(wait for taken, wait in answers if taken)
    assert len(waits) == 3
    for number, wait in enumerate(waits):
        assert max(0, 25 * number - 20) <= wait <= 25 * number


async def test_three_replicas_together_never_exceed_the_rate(server: Server) -> None:
    pace = Pace(100, 1)
    replicas = [FleetRate(await server.turns(pace), pace) for _ in range(3)]
    turns: list[float] = []

    async def call(rate: FleetRate) -> None:
        try:
            wait = await rate.turn(within=0.3)
        except CognitoThrottledError:
            return
        turns.append(time.monotonic() + wait)

    started = time.monotonic()
    for _ in range(10):
        await asyncio.gather(*(call(rate) for _ in range(20) for rate in replicas))
    seconds = time.monotonic() - started + 0.3
    assert 30 <= len(turns) <= seconds * 100 + 1


@pytest.mark.parametrize("kind", ["redis", "postgres"])
async def test_a_server_that_is_away_is_said(kind: str) -> None:
    async with (
        opened_client("redis://127.0.0.1:1", max_connections=1, timeout_seconds=1) as client,
        Database.opened("postgresql+asyncpg://postgres@127.0.0.1:1/none") as database,
    ):
        turns: Turns = RedisTurns(client, SLOW, key=NAME)
        if kind == "postgres":
            turns = PostgresTurns(database, SLOW, key=NAME)
        with pytest.raises(UnavailableError):
            await turns.take(within=0, idle=0)


async def test_redis_forgets_a_rate_that_nothing_depends_on(redis_server: RedisServer) -> None:
    async with opened_client(redis_server.url, max_connections=1, timeout_seconds=30) as client:
        await client.flushall()
        await RedisTurns(client, SLOW, key=NAME).take(within=0, idle=0)
        assert 0 < await client.ttl(NAME) <= 2 * SPACING
        await client.flushall()
