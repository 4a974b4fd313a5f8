from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

import errors
from auth.attempts import Attempts
from tests.unit.auth.fakes import Clock

HERE, ELSEWHERE = "192.0.2.1", "198.51.100.7"


@pytest.fixture
def attempts(clock: Clock) -> Attempts:
    return Attempts(
        per_account=3, per_address=5, window_seconds=60, max_tracked=50, now=clock.seconds
    )


def fail(attempts: Attempts, account: str, address: str, times: int = 1) -> None:
    for _ in range(times):
        with suppress(errors.InvalidCredentialsError), attempts.counted(account, address):
            raise errors.InvalidCredentialsError


def succeed(attempts: Attempts, account: str, address: str) -> None:
    with attempts.counted(account, address):
        pass


def wait_of(attempts: Attempts, account: str, address: str) -> int | None:
    with pytest.raises(errors.TooManyAttemptsError) as refused:
        succeed(attempts, account, address)
    return refused.value.retry_after


def test_an_account_must_wait_where_it_failed_only(attempts: Attempts, clock: Clock) -> None:
    fail(attempts, "ada", HERE, 3)
    clock.advance(20.5)
    assert wait_of(attempts, "ada", HERE) == 40
    succeed(attempts, "ada", ELSEWHERE)
    succeed(attempts, "bob", HERE)


def test_a_stranger_elsewhere_cannot_lock_out(attempts: Attempts) -> None:
    for last in range(200):
        fail(attempts, "ada", f"198.51.100.{last}", 3)
    succeed(attempts, "ada", HERE)


def test_one_address_over_all_accounts(attempts: Attempts) -> None:
    for account in "abcde":
        fail(attempts, account, HERE)
    wait_of(attempts, "another", HERE)
    succeed(attempts, "another", ELSEWHERE)


def test_failures_grow_old_one_by_one(attempts: Attempts, clock: Clock) -> None:
    for _ in range(3):
        fail(attempts, "ada", HERE)
        clock.advance(10)
    assert wait_of(attempts, "ada", HERE) == 30
    clock.advance(30)
    fail(attempts, "ada", HERE)
    assert wait_of(attempts, "ada", HERE) == 10


def test_success_clears_the_account_here_but_not_the_address(attempts: Attempts) -> None:
    fail(attempts, "ada", HERE, 2)
    succeed(attempts, "ada", HERE)
    fail(attempts, "ada", HERE, 2)
    succeed(attempts, "ada", HERE)
    fail(attempts, "ada", HERE)
    wait_of(attempts, "bob", HERE)


def test_an_overload_is_nobodys_failure(attempts: Attempts) -> None:
    for _ in range(9):
        with pytest.raises(errors.OverloadedError), attempts.counted("ada", HERE):
            raise errors.OverloadedError
    succeed(attempts, "ada", HERE)


def test_many_guesses_at_once_are_no_way_around(attempts: Attempts) -> None:
    with (
        attempts.counted("ada", HERE),
        attempts.counted("ada", HERE),
        attempts.counted("ada", HERE),
    ):
        assert wait_of(attempts, "ada", HERE) == 1
    succeed(attempts, "ada", HERE)


@pytest.mark.parametrize(
    ("one", "other"),
    [("2001:db8::1", "2001:db8::ffff:2"), ("::ffff:192.0.2.1", "192.0.2.1"), ("local", "local")],
)
def test_what_counts_as_one_address(attempts: Attempts, one: str, other: str) -> None:
    fail(attempts, "ada", one, 3)
    wait_of(attempts, "ada", other)


def test_another_network_is_another_address(attempts: Attempts) -> None:
    fail(attempts, "ada", "2001:db8:0:1::1", 3)
    succeed(attempts, "ada", "2001:db8:0:2::1")


def test_memory_is_bounded(attempts: Attempts) -> None:
    for number in range(500):
        fail(attempts, f"user{number}", f"10.0.{number // 250}.{number % 250}")
    assert len(attempts._pairs._times) == len(attempts._addresses._times) == 50
    assert not attempts._pairs._in_flight
    assert not attempts._addresses._in_flight


_STEPS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 40)), max_size=40)


@given(_STEPS)
def test_no_window_holds_more_failures_than_allowed(steps: list[tuple[str, int]]) -> None:
    clock = Clock()
    attempts = Attempts(per_account=3, per_address=5, window_seconds=60, now=clock.seconds)
    failed: list[tuple[str, float]] = []
    for account, pause in steps:
        clock.advance(pause)
        refusals = suppress(errors.TooManyAttemptsError, errors.InvalidCredentialsError)
        with refusals, attempts.counted(account, HERE):
            failed.append((account, clock.seconds()))
            raise errors.InvalidCredentialsError
    for _, end in failed:
        window = [account for account, at in failed if end - 60 < at <= end]
        assert len(window) <= 5
        assert max(window.count(account) for account in "ab") <= 3
