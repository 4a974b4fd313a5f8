"""One call of Cognito's serves all who want the same token, for as long as it is good."""

import asyncio
from datetime import timedelta

import pytest

from errors import (
    CognitoRefusedError,
    CognitoThrottledError,
    CognitoUnavailableError,
    IdentityConflictError,
    UnavailableError,
)
from service.grants.tokens import CONFLICT_TOLD_FOR
from tests.fakes.eventually import eventually
from tests.fakes.grants import EARLY, LIFE, GrantHouse, MemoryRate, MemoryShared

ADA, EVE = "usr_ada", "usr_eve"
SECOND = timedelta(seconds=1)


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.grants.calls._PAUSE", 0)


async def test_a_token_is_asked_for_once_and_then_kept() -> None:
    house = GrantHouse()
    grants = [await house.cognito(ADA) for _ in range(5)]
    assert house.pool.calls == 1
    assert {grant.refresh_after for grant in grants} == {grants[0].refresh_after}
    ready = house.grants.ready(ADA, "auto")
    assert ready is not None
    assert (ready.open_id, ready.expires_at) == (grants[0].open_id, grants[0].expires_at)
    assert house.grants.ready(EVE, "auto") is None
    assert house.grants.ready(ADA, "presigned") is None


async def test_all_who_want_the_same_one_wait_for_the_same_call() -> None:
    house = GrantHouse()
    house.pool.hold = asyncio.Event()
    waiting = [asyncio.create_task(house.cognito(ADA)) for _ in range(50)]
    await eventually(lambda: house.pool.calls == 1)
    house.pool.hold.set()
    assert len({(await each).key_prefix for each in waiting}) == 1
    assert (house.pool.calls, house.history.trips) == (1, 1)


async def test_one_who_leaves_takes_nothing_from_the_others() -> None:
    house = GrantHouse()
    house.pool.hold = asyncio.Event()
    leaving, staying = [asyncio.create_task(house.cognito(ADA)) for _ in range(2)]
    await eventually(lambda: house.pool.calls == 1)
    leaving.cancel()
    await asyncio.wait([leaving])
    house.pool.hold.set()
    assert (await staying).mode == "cognito"


async def test_what_nobody_waits_for_any_more_is_there_for_the_next_time() -> None:
    house = GrantHouse(wait_seconds=0.01)
    house.pool.hold = asyncio.Event()
    assert (await house.grants.grant(ADA, "auto")).mode == "presigned"
    with pytest.raises(CognitoUnavailableError) as late:
        await house.grants.grant(ADA, "cognito")
    assert late.value.retry_after in {1, 2, 3}
    house.pool.hold.set()
    await house.landed()
    assert ((await house.cognito(ADA)).mode, house.pool.calls) == ("cognito", 1)


async def test_before_its_time_it_is_replaced_and_nobody_waits_for_that() -> None:
    house = GrantHouse()
    first = await house.cognito(ADA)
    house.clock.now = first.refresh_after - EARLY - SECOND
    await house.cognito(ADA)
    await house.landed()
    assert house.pool.calls == 1
    house.clock.now = first.refresh_after - EARLY
    house.pool.hold = asyncio.Event()
    assert (await house.cognito(ADA)).refresh_after == first.refresh_after
    await eventually(lambda: house.pool.calls == 2)
    house.pool.hold.set()
    await house.landed()
    assert (await house.cognito(ADA)).refresh_after > first.refresh_after
    assert house.pool.calls == 2


async def test_from_its_time_on_it_is_replaced_before_the_answer() -> None:
    house = GrantHouse()
    first = await house.cognito(ADA)
    house.clock.now = first.refresh_after
    again = await house.cognito(ADA)
    assert again.refresh_after > first.refresh_after
    assert house.pool.calls == 2


async def test_in_trouble_an_old_one_that_is_still_good_is_better_than_none() -> None:
    house = GrantHouse()
    first = await house.cognito(ADA)
    house.clock.now = first.refresh_after + SECOND
    house.pool.failures.append(CognitoUnavailableError())
    kept = await house.cognito(ADA, "cognito")
    assert (kept.open_id, kept.expires_at) == (first.open_id, first.expires_at)
    assert house.clock.now < kept.refresh_after < kept.expires_at


async def test_but_none_that_is_about_to_end() -> None:
    house = GrantHouse()
    first = await house.cognito(ADA)
    house.clock.now = first.expires_at - timedelta(seconds=59)
    house.pool.failures.append(CognitoUnavailableError())
    with pytest.raises(CognitoUnavailableError):
        await house.cognito(ADA, "cognito")


async def test_what_was_used_longest_ago_is_forgotten() -> None:
    house = GrantHouse(kept=2)
    for user_id in ("usr_1", "usr_2", "usr_1", "usr_3"):
        await house.cognito(user_id)
    assert house.pool.calls == 3
    await house.cognito("usr_1")
    assert house.pool.calls == 3
    await house.cognito("usr_2")
    assert house.pool.calls == 4


async def test_a_rate_that_is_used_up_refuses_at_once_and_says_until_when() -> None:
    house = GrantHouse(rate=MemoryRate(1))
    await house.cognito(ADA)
    with pytest.raises(CognitoThrottledError) as refused:
        await house.grants.grant(EVE, "cognito")
    assert refused.value.retry_after == 3
    assert refused.value.rate_limit is not None
    assert (await house.grants.grant(EVE, "auto")).mode == "presigned"
    assert house.pool.calls == 1
    await house.grants.check()  # our own restraint is no trouble of Cognito's


async def test_who_waits_is_not_refused_for_one_in_the_background() -> None:
    house = GrantHouse(rate=MemoryRate(2))
    first = await house.cognito(ADA)
    house.clock.now = first.refresh_after - SECOND
    assert house.grants.ready(ADA, "auto") is not None  # begins one, for which there is no room
    house.clock.now = first.refresh_after
    assert (await house.cognito(ADA)).refresh_after > first.refresh_after
    assert house.pool.calls == 2


async def test_without_room_the_background_is_left_alone_for_a_while() -> None:
    rate = MemoryRate(1)
    house = GrantHouse(rate=rate)
    first = await house.cognito(ADA)
    house.clock.now = first.refresh_after - EARLY
    for _ in range(5):
        await house.cognito(ADA)
        await house.landed()
    assert rate.asked == 2
    house.clock.advance(3)
    await house.cognito(ADA)
    await house.landed()
    assert rate.asked == 3


async def test_replicas_share_tokens_and_ask_one_at_a_time() -> None:
    shared = MemoryShared()
    one = GrantHouse(shared=shared)
    two = GrantHouse(shared=shared, pool=one.pool)
    two.history.owners, two.history.now = one.history.owners, one.history.now
    one.pool.hold = asyncio.Event()
    waiting = [asyncio.create_task(house.cognito(ADA)) for house in (one, two, one, two)]
    await eventually(lambda: one.pool.calls == 1 and shared.asked > 2)
    one.pool.hold.set()
    assert len({(await each).expires_at for each in waiting}) == 1
    assert (one.pool.calls, shared.claims) == (1, {})


async def test_a_failure_frees_the_way_for_another_replica() -> None:
    shared = MemoryShared()
    house = GrantHouse(shared=shared)
    house.pool.failures.append(CognitoUnavailableError())
    assert (await house.grants.grant(ADA, "auto")).mode == "presigned"
    assert shared.claims == {}
    assert (await house.cognito(ADA)).mode == "cognito"


async def test_without_what_they_share_grants_go_on() -> None:
    shared, rate, spare = MemoryShared(), MemoryRate(5), MemoryRate(5)
    shared.away = rate.away = True
    house = GrantHouse(shared=shared, rate=rate, spare=spare)
    for user_id in (ADA, EVE):
        assert (await house.cognito(user_id)).mode == "cognito"
    # One has found out; the others do not wait for the same.
    assert (shared.asked, rate.asked, spare.turns) == (1, 0, 3)
    shared.away = rate.away = False
    house.clock.advance(2)
    await house.cognito("usr_bob")
    assert (shared.asked, rate.turns, set(shared.kept)) == (3, 4, {"usr_bob"})


async def test_a_database_that_is_away_hands_out_no_token_without_an_owner() -> None:
    shared = MemoryShared()
    house = GrantHouse(shared=shared)
    house.history.failure = UnavailableError()
    with pytest.raises(UnavailableError):
        await house.grants.grant(ADA, "auto")
    await house.landed()
    assert (shared.kept, shared.claims) == ({}, {})
    assert house.grants.ready(ADA, "auto") is None
    # What Cognito has answered is not asked for again.
    house.history.failure = None
    assert ((await house.cognito(ADA)).mode, house.pool.calls) == ("cognito", 1)


async def test_a_conflict_that_only_an_operator_can_mend_is_not_asked_for_again_and_again() -> None:
    house = GrantHouse()
    await house.cognito(ADA)
    house.pool.identities[EVE] = house.pool.identities[ADA]
    for _ in range(5):
        with pytest.raises(IdentityConflictError):
            await house.grants.grant(EVE, "cognito")
    assert house.pool.calls == 2
    house.clock.advance(CONFLICT_TOLD_FOR.total_seconds())
    house.pool.identities.pop(EVE)
    assert (await house.cognito(EVE)).mode == "cognito"


async def test_one_users_refused_exchange_is_no_trouble_of_cognitos() -> None:
    house = GrantHouse()
    house.pool.refusals += [CognitoRefusedError()] * 5
    for number in range(1, 6):
        with pytest.raises(CognitoRefusedError):
            await house.grants.exchange(ADA)
        assert house.pool.calls == 2 * number  # with another token each time
    await house.grants.exchange(EVE)


async def test_an_exchange_has_a_breaker_of_its_own() -> None:
    house = GrantHouse()
    await house.cognito(ADA)
    house.pool.failures += [CognitoUnavailableError()] * 3
    for _ in range(4):
        with pytest.raises(CognitoUnavailableError):
            await house.grants.exchange(ADA)
    assert house.pool.calls == 4
    assert (await house.cognito(EVE)).mode == "cognito"


def passing() -> CognitoUnavailableError:
    error = CognitoUnavailableError()
    error.passing = True
    return error


async def test_what_fails_at_once_is_tried_once_more(no_pause: None) -> None:
    rate = MemoryRate(3)
    house = GrantHouse(rate=rate)
    house.pool.failures.append(passing())
    assert (await house.cognito(ADA)).mode == "cognito"
    assert (house.pool.calls, rate.turns) == (2, 1)  # each in its own turn
    house.pool.failures += [passing(), passing()]
    with pytest.raises(CognitoThrottledError):
        await house.grants.grant(EVE, "cognito")


async def test_but_not_when_most_calls_fail(no_pause: None) -> None:
    house = GrantHouse(to_open=1000)
    house.pool.failures += [passing() for _ in range(100)]
    for number in range(40):
        await house.grants.grant(f"usr_{number}", "auto")
    assert house.pool.calls == 50


async def test_a_stop_ends_what_is_under_way() -> None:
    house = GrantHouse()
    house.pool.hold = asyncio.Event()
    waiting = asyncio.create_task(house.grants.grant(ADA, "cognito"))
    await eventually(lambda: house.pool.calls == 1)
    await house.grants.aclose()
    with pytest.raises(CognitoUnavailableError):
        await waiting


def test_early_leaves_a_token_most_of_its_life() -> None:
    assert timedelta(seconds=LIFE) > 2 * EARLY
