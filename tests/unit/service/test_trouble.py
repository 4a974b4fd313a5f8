"""Who finds out whether Cognito is well again, and who need not wait for it."""

import pytest

from errors import CognitoThrottledError, CognitoUnavailableError
from service.grants.trouble import LASTS, PROBE_EVERY, Trouble
from tests.fakes.clock import Clock

EVERY = PROBE_EVERY.total_seconds()


def tries(trouble: Trouble, callers: int) -> int:
    """How many of these are let pass."""
    passed = 0
    for _ in range(callers):
        try:
            trouble.check_or_probe()
        except CognitoUnavailableError:
            continue
        passed += 1
    return passed


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def trouble(clock: Clock) -> Trouble:
    return Trouble(clock)


def test_without_trouble_everybody_passes(trouble: Trouble) -> None:
    trouble.check()
    assert tries(trouble, 5) == 5


def test_right_after_a_failure_nobody_does(trouble: Trouble, clock: Clock) -> None:
    trouble.met(CognitoUnavailableError())
    clock.advance(EVERY - 0.001)
    assert tries(trouble, 5) == 0


def test_one_at_a_time_tries_again(trouble: Trouble, clock: Clock) -> None:
    trouble.met(CognitoUnavailableError())
    for _ in range(3):
        clock.advance(EVERY)
        assert tries(trouble, 5) == 1


def test_a_try_that_fails_prolongs_the_trouble(trouble: Trouble, clock: Clock) -> None:
    trouble.met(CognitoUnavailableError())
    clock.advance(LASTS.total_seconds() - 1)
    trouble.met(CognitoUnavailableError())
    clock.advance(2)
    assert tries(trouble, 5) == 0


def test_a_try_that_succeeds_ends_it(trouble: Trouble) -> None:
    trouble.met(CognitoUnavailableError())
    trouble.over()
    trouble.check()
    assert tries(trouble, 5) == 5


def test_nobody_remembers_it_for_ever(trouble: Trouble, clock: Clock) -> None:
    trouble.met(CognitoUnavailableError())
    clock.advance(LASTS.total_seconds())
    trouble.check()
    assert tries(trouble, 5) == 5


def test_a_check_takes_nobodys_turn_and_never_passes_as_one(trouble: Trouble, clock: Clock) -> None:
    trouble.met(CognitoUnavailableError())
    clock.advance(EVERY)
    for _ in range(2):
        with pytest.raises(CognitoUnavailableError):
            trouble.check()
    assert tries(trouble, 5) == 1


def test_what_is_told_is_the_last_failures_kind_and_nothing_of_its_caller(trouble: Trouble) -> None:
    trouble.met(CognitoUnavailableError())
    trouble.met(CognitoThrottledError("for ada", retry_after=5))
    told = []
    for _ in range(2):
        with pytest.raises(CognitoThrottledError) as raised:
            trouble.check()
        told.append(raised.value)
    assert "ada" not in str(told[0])
    assert told[0] is not told[1]
