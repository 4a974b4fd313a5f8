from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

import errors
from auth.attempts import Attempts, MemoryCounts
from tests.unit.auth.fakes import Clock

HERE, ELSEWHERE = "192.0.2.1", "198.51.100.7"


@pytest.fixture
def counts(clock: Clock) -> MemoryCounts:
    return MemoryCounts(
        per_account=3, per_address=5, window_seconds=60, max_tracked=50, now=clock.seconds
    )


@pytest.fixture
def attempts(counts: MemoryCounts) -> Attempts:
    return Attempts(counts)


async def fail(attempts: Attempts, account: str, address: str, times: int = 1) -> None:
    for _ in range(times):
        with suppress(errors.InvalidCredentialsError):
            async with attempts.counted(account, address):
                raise errors.InvalidCredentialsError


async def succeed(attempts: Attempts, account: str, address: str) -> None:
    async with attempts.counted(account, address):
        pass


async def wait_of(attempts: Attempts, account: str, address: str) -> int | None:
    with pytest.raises(errors.TooManyAttemptsError) as refused:
        await succeed(attempts, account, address)
    return refused.value.retry_after


async def test_an_account_must_wait_where_it_failed_only(attempts: Attempts, clock: Clock) -> None:
    await fail(attempts, "ada", HERE, 3)
    clock.advance(20.5)
    assert await wait_of(attempts, "ada", HERE) == 40
    await succeed(attempts, "ada", ELSEWHERE)
    await succeed(attempts, "bob", HERE)


async def test_a_stranger_elsewhere_cannot_lock_out(attempts: Attempts) -> None:
    for last in range(200):
        await fail(attempts, "ada", f"198.51.100.{last}", 3)
    await succeed(attempts, "ada", HERE)


async def test_one_address_over_all_accounts(attempts: Attempts) -> None:
    for account in "abcde":
        await fail(attempts, account, HERE)
    await wait_of(attempts, "another", HERE)
    await succeed(attempts, "another", ELSEWHERE)


async def test_failures_grow_old_one_by_one(attempts: Attempts, clock: Clock) -> None:
    for _ in range(3):
        await fail(attempts, "ada", HERE)
        clock.advance(10)
    assert await wait_of(attempts, "ada", HERE) == 30
    clock.advance(30)
    await fail(attempts, "ada", HERE)
    assert await wait_of(attempts, "ada", HERE) == 10


async def test_success_clears_the_account_here_but_not_the_address(attempts: Attempts) -> None:
    await fail(attempts, "ada", HERE, 2)
    await succeed(attempts, "ada", HERE)
    await fail(attempts, "ada", HERE, 2)
    await succeed(attempts, "ada", HERE)
    await fail(attempts, "ada", HERE)
    await wait_of(attempts, "bob", HERE)


async def test_an_overload_is_nobodys_failure(attempts: Attempts) -> None:
    for _ in range(9):
        with pytest.raises(errors.OverloadedError):
            async with attempts.counted("ada", HERE):
                raise errors.OverloadedError
    await succeed(attempts, "ada", HERE)


async def test_many_guesses_at_once_are_no_way_around(attempts: Attempts) -> None:
    async with (
        attempts.counted("ada", HERE),
        attempts.counted("ada", HERE),
        attempts.counted("ada", HERE),
    ):
        assert await wait_of(attempts, "ada", HERE) == 1
    await succeed(attempts, "ada", HERE)


@pytest.mark.parametrize(
    ("one", "other"),
    [("2001:db8::1", "2001:db8::ffff:2"), ("::ffff:192.0.2.1", "192.0.2.1"), ("local", "local")],
)
async def test_what_counts_as_one_address(attempts: Attempts, one: str, other: str) -> None:
    await fail(attempts, "ada", one, 3)
    await wait_of(attempts, "ada", other)


async def test_another_network_is_another_address(attempts: Attempts) -> None:
    await fail(attempts, "ada", "2001:db8:0:1::1", 3)
    await succeed(attempts, "ada", "2001:db8:0:2::1")


async def test_memory_is_bounded(attempts: Attempts, counts: MemoryCounts) -> None:
    for number in range(500):
        await fail(attempts, f"user{number}", f"10.0.{number // 250}.{number % 250}")
    assert len(counts._pairs._times) == len(counts._addresses._times) == 50
    assert not counts._pairs._in_flight
    assert not counts._addresses._in_flight


_STEPS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 40)), max_size=40)


@given(_STEPS)
async def test_no_window_holds_more_failures_than_allowed(steps: list[tuple[str, int]]) -> None:
    clock = Clock()
    attempts = Attempts(
        MemoryCounts(per_account=3, per_address=5, window_seconds=60, now=clock.seconds)
    )
    failed: list[tuple[str, float]] = []
    for account, pause in steps:
        clock.advance(pause)
        refusals = suppress(errors.TooManyAttemptsError, errors.InvalidCredentialsError)
        with refusals:
            async with attempts.counted(account, HERE):
                failed.append((account, clock.seconds()))
                raise errors.InvalidCredentialsError
    for _, end in failed:
        window = [account for account, at in failed if end - 60 < at <= end]
        assert len(window) <= 5
        assert max(window.count(account) for account in "ab") <= 3
