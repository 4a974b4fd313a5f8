"""Waiting for a turn, and not waiting where there is none to be had."""

import pytest

from errors import CognitoThrottledError, UnavailableError
from service.grants.lull import Lull
from service.grants.turns import LATENESS, SPREAD, Turns
from tests.fakes.grants import MemoryRate


class Seconds:
    """A clock; each look takes a moment where it is `slow`."""

    def __init__(self, slow: float = 0) -> None:
        self.now = 100.0
        self.slow = slow

    def __call__(self) -> float:
        self.now += self.slow
        return self.now


class Slow(MemoryRate):
    """Takes its time to answer."""

    def __init__(self, turns: int, now: Seconds, seconds: float) -> None:
        super().__init__(turns)
        self._now = now
        self._seconds = seconds

    async def turn(self, *, within: float, background: bool = False) -> float:
        self._now.now += self._seconds
        return await super().turn(within=within, background=background)


async def test_a_turn_counts_from_when_it_was_answered() -> None:
    now = Seconds()
    rate = Slow(1, now, 10 * LATENESS)
    await Turns(rate, now=now).wait(within=2)
    assert rate.asked == 1


async def test_turns_of_both_rates_do_not_lie_on_top_of_one_another() -> None:
    now, rate, spare = Seconds(), MemoryRate(5), MemoryRate(5)
    turns = Turns(rate, spare=spare, lull=Lull(now, seconds=2), apart=0.5, now=now)
    await turns.wait(within=1)
    rate.away = True
    with pytest.raises(CognitoThrottledError):
        await turns.wait(within=0.4)  # the spare has one at once, half a second too early
    now.now += 1.5
    await turns.wait(within=0)


async def test_without_a_limit_nobody_waits() -> None:
    await Turns(None, now=Seconds()).wait(within=0)


async def test_a_refusal_says_until_when_and_not_the_same_to_all() -> None:
    turns, told = Turns(MemoryRate(0), now=Seconds()), []
    for _ in range(200):
        with pytest.raises(CognitoThrottledError) as refused:
            await turns.wait(within=1)
        assert refused.value.rate_limit is not None
        told.append(refused.value.retry_after)
    assert set(told) == set(range(3, 3 + SPREAD))


async def test_a_turn_that_comes_too_late_is_not_used() -> None:
    rate = MemoryRate(50)
    with pytest.raises(CognitoThrottledError):
        await Turns(rate, now=Seconds(slow=2 * LATENESS)).wait(within=60)
    assert rate.asked == 3


async def test_the_spare_serves_while_the_first_is_away() -> None:
    rate, spare, now = MemoryRate(5), MemoryRate(1), Seconds()
    turns = Turns(rate, spare=spare, lull=Lull(now, seconds=2), now=now)
    rate.away = True
    await turns.wait(within=1)
    assert (rate.asked, spare.turns) == (1, 0)
    rate.away = False
    with pytest.raises(CognitoThrottledError):
        await turns.wait(within=1)  # nobody asks it during the lull
    now.now += 2
    await turns.wait(within=1)
    assert rate.turns == 4


async def test_without_a_spare_its_absence_is_told() -> None:
    rate = MemoryRate(5)
    rate.away = True
    with pytest.raises(UnavailableError):
        await Turns(rate, now=Seconds()).wait(within=1)
