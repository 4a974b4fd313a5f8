"""When Cognito is left alone, and who tries whether it is back."""

import random
from datetime import timedelta

import pytest

from errors import CognitoThrottledError, CognitoUnavailableError, UploadgateError
from service.grants.breaker import LONGEST, TOLD_FOR, Breaker
from tests.fakes.clock import Clock

PAUSE = 2.0


class Steady(random.Random):
    def random(self) -> float:
        return 0.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(
        clock,
        failures=3,
        pause=timedelta(seconds=PAUSE),
        patience=timedelta(seconds=10),
        jitter=Steady(),
    )


def passes(breaker: Breaker, callers: int = 5) -> int:
    passed = 0
    for _ in range(callers):
        try:
            breaker.enter()
        except CognitoUnavailableError:
            continue
        passed += 1
    return passed


def fails(breaker: Breaker, error: UploadgateError | None = None) -> None:
    breaker.failed(error or CognitoUnavailableError(), breaker.enter())


def opened(breaker: Breaker) -> None:
    for _ in range(3):
        fails(breaker)


def test_closed_everybody_passes(breaker: Breaker) -> None:
    fails(breaker)
    fails(breaker)
    assert passes(breaker) == 5
    assert not breaker.is_open


def test_so_many_in_a_row_open_it(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.advance(PAUSE - 0.001)
    assert (breaker.is_open, passes(breaker)) == (True, 0)


def test_a_success_between_them_starts_the_count_anew(breaker: Breaker) -> None:
    for _ in range(5):
        fails(breaker)
        fails(breaker)
        breaker.succeeded(breaker.enter())
    assert passes(breaker) == 5


def test_half_open_one_tries(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.advance(PAUSE)
    breaker.check_closed()  # takes nobody's turn
    assert passes(breaker) == 1


def test_a_trial_that_succeeds_closes_it(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.advance(PAUSE)
    breaker.succeeded(breaker.enter())
    assert (passes(breaker), breaker.is_open) == (5, False)


def test_each_trial_that_fails_doubles_the_pause_up_to_a_bound(
    breaker: Breaker, clock: Clock
) -> None:
    opened(breaker)
    pause = PAUSE
    for _ in range(8):
        clock.advance(min(pause, LONGEST.total_seconds()))
        fails(breaker)
        pause *= 2
        clock.advance(min(pause, LONGEST.total_seconds()) - 0.001)
        assert passes(breaker) == 0
        clock.advance(0.001 - min(pause, LONGEST.total_seconds()))


def test_calls_that_were_under_way_say_nothing_new(breaker: Breaker, clock: Clock) -> None:
    stragglers = [breaker.enter() for _ in range(30)]
    opened(breaker)
    for era in stragglers[:10]:
        breaker.failed(CognitoUnavailableError(), era)
        breaker.succeeded(era)
    clock.advance(PAUSE - 0.001)
    assert passes(breaker) == 0
    clock.advance(0.001)
    trial = breaker.enter()
    for era in stragglers[10:20]:
        breaker.failed(CognitoUnavailableError(), era)
    breaker.succeeded(trial)
    for era in stragglers[20:]:
        breaker.failed(CognitoUnavailableError(), era)
    assert (passes(breaker), breaker.is_open) == (5, False)


def test_a_trial_that_hangs_stands_in_nobodys_way_for_ever(breaker: Breaker, clock: Clock) -> None:
    opened(breaker)
    clock.advance(PAUSE)
    assert passes(breaker) == 1
    clock.advance(9.999)
    assert passes(breaker) == 0
    clock.advance(0.001)
    assert passes(breaker) == 1


def test_what_is_told_is_the_last_failures_kind_and_nothing_of_its_caller(
    breaker: Breaker, clock: Clock
) -> None:
    for _ in range(3):
        fails(breaker, CognitoThrottledError("for ada", retry_after=5))
    told = []
    for _ in range(2):
        with pytest.raises(CognitoThrottledError) as raised:
            breaker.enter()
        told.append(raised.value)
    assert "ada" not in str(told[0])
    assert told[0] is not told[1]
    assert told[0].retry_after == 2


def test_the_check_tells_of_it_for_a_minute(breaker: Breaker, clock: Clock) -> None:
    breaker.check()
    fails(breaker)
    clock.advance(TOLD_FOR.total_seconds() - 1)
    with pytest.raises(CognitoUnavailableError):
        breaker.check()
    clock.advance(1)
    breaker.check()
    fails(breaker)
    breaker.succeeded(breaker.enter())
    breaker.check()
