"""The counts of all replicas, and those of one while they are away."""

import pytest

from auth.attempts import Attempt, Attempts, MemoryCounts, Outcome
from auth.shared_attempts import CountsWithSpare
from errors import TooManyAttemptsError, UnavailableError
from tests.unit.auth.fakes import Clock
from tests.unit.auth.test_attempts import HERE, fail, succeed, wait_of


class Shared(MemoryCounts):
    """As Redis has them, for several replicas; can be away."""

    away = False
    asked = 0

    async def begin(self, attempt: Attempt) -> float:
        self._ask()
        return await super().begin(attempt)

    async def end(self, attempt: Attempt, outcome: Outcome) -> None:
        self._ask()
        await super().end(attempt, outcome)

    def _ask(self) -> None:
        self.asked += 1
        if self.away:
            raise UnavailableError


@pytest.fixture
def shared(clock: Clock) -> Shared:
    return Shared(per_account=3, per_address=5, window_seconds=60, now=clock.seconds)


@pytest.fixture
def replicas(shared: Shared, clock: Clock) -> list[Attempts]:
    return [Attempts(counts_of(shared, clock)) for _ in range(3)]


def counts_of(shared: Shared, clock: Clock) -> CountsWithSpare:
    spare = MemoryCounts(per_account=3, per_address=5, window_seconds=60, now=clock.seconds)
    return CountsWithSpare(shared, spare, away_seconds=5, now=clock.seconds)


async def test_replicas_count_together(replicas: list[Attempts]) -> None:
    for replica in replicas:
        await fail(replica, "ada", HERE)
    for replica in replicas:
        assert await wait_of(replica, "ada", HERE) == 60


async def test_what_another_replica_cleared_is_cleared(replicas: list[Attempts]) -> None:
    one, other, _ = replicas
    await fail(one, "ada", HERE, 2)
    await succeed(other, "ada", HERE)
    await fail(one, "ada", HERE, 2)
    await succeed(one, "ada", HERE)


async def test_while_they_are_away_each_counts_for_itself_and_goes_on_from_what_it_saw(
    replicas: list[Attempts], shared: Shared
) -> None:
    one, other, _ = replicas
    await fail(one, "ada", HERE, 2)
    shared.away = True
    await succeed(other, "bob", HERE)
    await fail(one, "ada", HERE)
    await wait_of(one, "ada", HERE)
    await fail(other, "ada", HERE, 3)
    await wait_of(other, "ada", HERE)


async def test_they_are_not_asked_all_the_time_while_away(
    replicas: list[Attempts], shared: Shared, clock: Clock
) -> None:
    one = replicas[0]
    shared.away = True
    for name in ("ada", "bob", "eve"):
        await succeed(one, name, HERE)
    assert shared.asked == 1
    clock.advance(5)
    shared.away = False
    await fail(one, "ada", HERE)
    assert shared.asked == 3


async def test_they_go_away_in_the_middle_of_an_attempt(
    replicas: list[Attempts], shared: Shared, clock: Clock
) -> None:
    one = replicas[0]
    async with one.counted("ada", HERE):
        shared.away = True
    await fail(one, "ada", HERE, 3)
    with pytest.raises(TooManyAttemptsError):
        await succeed(one, "ada", HERE)
