"""Failed logins counted in a real Redis: the same rules as in memory, over all replicas."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

import errors
from auth.attempts import Attempt, Attempts, FailureCounts, MemoryCounts, Outcome
from auth.shared_attempts import CountsWithSpare
from state.attempts_redis import RedisCounts
from tests.fakes.eventually import eventually
from tests.fakes.redis_server import RedisServer, running_redis
from tests.unit.auth.test_attempts import ELSEWHERE, HERE, fail, succeed, wait_of


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


@pytest.fixture(params=[True, False], ids=["text", "bytes"])
async def client(request: pytest.FixtureRequest, redis_server: RedisServer) -> AsyncIterator[Redis]:
    """Whoever shares the connections may want text of them, or bytes."""
    async with Redis.from_url(
        redis_server.url,
        protocol=2,
        decode_responses=request.param,
        socket_timeout=30,
        retry=Retry(NoBackoff(), 0),
    ) as opened:
        await opened.flushall()
        yield opened


def in_memory() -> MemoryCounts:
    return MemoryCounts(per_account=3, per_address=5, window_seconds=60)


def counts(client: Redis, *, window: float = 60, timeout: float = 30) -> RedisCounts:
    return RedisCounts(
        client,
        prefix="test",
        per_account=3,
        per_address=5,
        window_seconds=window,
        timeout_seconds=timeout,
    )


@pytest.fixture
def replicas(client: Redis) -> list[Attempts]:
    return [Attempts(counts(client)) for _ in range(3)]


async def test_replicas_count_together(replicas: list[Attempts]) -> None:
    for replica in replicas:
        await fail(replica, "ada", HERE)
    for replica in replicas:
        wait = await wait_of(replica, "ada", HERE)
        assert wait is not None
        assert 50 < wait <= 60
    await succeed(replicas[0], "ada", ELSEWHERE)
    await succeed(replicas[0], "bob", HERE)


async def test_one_address_over_all_accounts_and_replicas(replicas: list[Attempts]) -> None:
    for number in range(5):
        await fail(replicas[number % 3], f"user{number}", HERE)
    await wait_of(replicas[0], "another", HERE)
    await succeed(replicas[0], "another", ELSEWHERE)


async def test_success_clears_the_account_here_but_not_the_address(
    replicas: list[Attempts],
) -> None:
    one, other, _ = replicas
    await fail(one, "ada", HERE, 2)
    await succeed(other, "ada", HERE)
    await fail(one, "ada", HERE, 2)
    await succeed(one, "ada", HERE)
    await fail(other, "ada", HERE)
    await wait_of(one, "bob", HERE)


async def test_an_overload_is_nobodys_failure(replicas: list[Attempts]) -> None:
    for number in range(9):
        with pytest.raises(errors.OverloadedError):
            async with replicas[number % 3].counted("ada", HERE):
                raise errors.OverloadedError
    await succeed(replicas[0], "ada", HERE)


async def test_many_guesses_at_once_on_many_replicas_are_no_way_around(
    replicas: list[Attempts],
) -> None:
    async with AsyncExitStack() as stack:
        for replica in replicas:
            await stack.enter_async_context(replica.counted("ada", HERE))
        assert await wait_of(replicas[0], "ada", HERE) == 1
    begun = await asyncio.gather(
        *(_begun(replica) for replica in replicas * 10), return_exceptions=True
    )
    assert sum(isinstance(each, errors.TooManyAttemptsError) for each in begun) >= 27


async def _begun(replica: Attempts) -> None:
    with suppress(errors.InvalidCredentialsError):
        async with replica.counted("eve", HERE):
            await asyncio.sleep(0.05)
            raise errors.InvalidCredentialsError


async def test_the_same_steps_give_the_same_as_in_memory(client: Redis) -> None:
    """But for the clock, which is the server's."""
    memory = in_memory()
    shared = counts(client)
    held: list[Attempt] = []
    for step in range(60):
        account, network = "ab"[step % 2], "xy"[step // 7 % 2]
        attempt = Attempt(account, network)
        waits = [await each.begin(attempt) for each in (memory, shared)]
        assert (waits[0] > 0) == (waits[1] > 0)
        assert waits[1] == pytest.approx(waits[0], abs=5)
        if waits[0] == 0:
            held.append(attempt)
        if len(held) > step % 3:
            outcome = list(Outcome)[step % 5 % 3]
            ended = held.pop(0)
            for each in (memory, shared):
                await each.end(ended, outcome)


async def test_failures_grow_old(client: Redis) -> None:
    attempts = Attempts(counts(client, window=0.05))
    await fail(attempts, "ada", HERE, 3)

    async def free() -> bool:
        try:
            await succeed(attempts, "ada", HERE)
        except errors.TooManyAttemptsError:
            return False
        return True

    await eventually(free)


async def test_what_grew_old_makes_room_for_one(client: Redis) -> None:
    attempts = Attempts(counts(client))
    await fail(attempts, "ada", HERE, 3)
    for name in await client.keys("*"):
        oldest: Any = (await client.zrange(name, 0, 0))[0]
        await client.zadd(name, {oldest: 1})
    async with attempts.counted("ada", HERE):
        assert await wait_of(attempts, "ada", HERE) == 1


async def test_nothing_stays_nothing_grows_and_nothing_can_be_read(client: Redis) -> None:
    shared = counts(client)
    for number in range(20):
        attempt = Attempt("ada@example.com", "192.0.2.1", id=str(number))
        await shared.begin(attempt)
        await shared.end(attempt, Outcome.FAILED)
    await shared.begin(Attempt("eve", "198.51.100.7"))
    names = [str(name) for name in await client.keys("*")]
    assert len(names) == 4
    assert not [name for name in names if "ada" in name or "192" in name]
    for name in await client.keys("*"):
        assert 0 < await client.pttl(name) <= 60_000
        assert await client.zcard(name) <= 5


async def test_when_redis_is_away_it_is_said_and_each_counts_for_itself(
    client: Redis, redis_server: RedisServer
) -> None:
    shared: FailureCounts = counts(client)
    spare = in_memory()
    attempts = Attempts(CountsWithSpare(shared, spare, away_seconds=0))
    await fail(attempts, "ada", HERE, 2)
    redis_server.stop()
    try:
        with pytest.raises(errors.UnavailableError):
            await shared.begin(Attempt("ada", HERE))
        with pytest.raises(errors.UnavailableError):
            await shared.end(Attempt("ada", HERE), Outcome.FAILED)
        await fail(attempts, "ada", HERE)
        await wait_of(attempts, "ada", HERE)
        await succeed(attempts, "bob", HERE)
    finally:
        redis_server.start()
    # It came back empty: what is counted now counts.
    await fail(attempts, "bob", HERE, 3)
    await wait_of(attempts, "bob", HERE)


async def test_a_redis_that_answers_nothing_is_away(
    client: Redis, redis_server: RedisServer
) -> None:
    impatient = counts(client, timeout=0.05)
    await client.ping()
    redis_server.freeze()
    try:
        async with asyncio.timeout(60):
            with pytest.raises(errors.UnavailableError):
                await impatient.begin(Attempt("ada", HERE))
    finally:
        redis_server.thaw()
