import asyncio
from datetime import timedelta

import pytest

from errors import (
    CognitoNotConfiguredError,
    CognitoThrottledError,
    CognitoUnavailableError,
    IdentityConflictError,
    PolicyError,
)
from service.grants.model import Mode, OpenIdToken
from service.uploads.policy import Policy, Profile
from tests.fakes.clock import START
from tests.fakes.eventually import eventually
from tests.fakes.grants import PLACE, GrantHouse
from tests.fakes.pool import POOL, TOKEN

ADA, EVE = "usr_ada", "usr_eve"


@pytest.mark.parametrize("mode", ["auto", "cognito"])
async def test_a_grant_says_all_a_client_needs(mode: Mode) -> None:
    house = GrantHouse()
    grant = await house.cognito(ADA, mode)
    identity = house.pool.identities[ADA]
    assert grant.open_id == OpenIdToken(identity, TOKEN)
    assert (grant.identity_pool_id, grant.key_prefix) == (POOL, f"{identity}/")
    assert (grant.mode, grant.place) == ("cognito", PLACE)
    assert grant.expires_at == START + timedelta(seconds=900)
    # Drawn, so that not all who came together come back together.
    assert timedelta(seconds=450) <= grant.refresh_after - START <= timedelta(seconds=630)
    assert grant.server_time == START


async def test_one_user_keeps_one_folder_and_two_have_two() -> None:
    house = GrantHouse()
    first, again = [await house.grants.grant(ADA, "auto") for _ in range(2)]
    other = await house.grants.grant(EVE, "auto")
    assert first.key_prefix == again.key_prefix != other.key_prefix


async def test_an_exchange_gives_credentials_for_the_same_folder() -> None:
    house = GrantHouse()
    exchanged = await house.grants.exchange(ADA)
    assert exchanged.credentials.access_key_id == "ASIA"
    assert exchanged.key_prefix == (await house.grants.grant(ADA, "auto")).key_prefix
    assert exchanged.place is PLACE


@pytest.mark.parametrize(
    "policy", [Policy([Profile()], "never"), Policy([Profile(max_size=1)], "when_unlimited")]
)
async def test_policy_comes_before_any_call_of_cognito(policy: Policy) -> None:
    house = GrantHouse(policy=policy)
    grants = house.grants
    for call in (grants.grant(ADA, "cognito"), grants.exchange(ADA), grants.folder_of(ADA)):
        with pytest.raises(PolicyError):
            await call
    assert (house.pool.calls, house.history.owners) == (0, {})


async def test_without_a_pool_there_are_no_credentials() -> None:
    house = GrantHouse(configured=False)
    grants = house.grants
    for call in (grants.grant(ADA, "cognito"), grants.exchange(ADA), grants.folder_of(ADA)):
        with pytest.raises(CognitoNotConfiguredError):
            await call
    with pytest.raises(CognitoNotConfiguredError):
        await house.grants.check()
    assert await house.grants.owner_of(f"{POOL}/a") is None


async def test_an_identity_of_another_user_is_never_handed_out() -> None:
    house = GrantHouse()
    await house.grants.grant(ADA, "auto")
    house.pool.identities[EVE] = house.pool.identities[ADA]
    for call in (house.grants.grant(EVE, "cognito"), house.grants.exchange(EVE)):
        with pytest.raises(IdentityConflictError):
            await call


async def test_the_check_tells_of_the_last_trouble_for_a_minute() -> None:
    house = GrantHouse()
    await house.grants.check()
    house.pool.failures.append(CognitoThrottledError())
    with pytest.raises(CognitoThrottledError):
        await house.grants.grant(ADA, "cognito")
    house.clock.advance(59)
    with pytest.raises(CognitoThrottledError):
        await house.grants.check()
    house.clock.advance(1)
    await house.grants.check()


async def test_the_check_is_content_again_after_a_success() -> None:
    house = GrantHouse()
    house.pool.failures.append(CognitoUnavailableError())
    with pytest.raises(CognitoUnavailableError):
        await house.grants.exchange(ADA)
    await house.grants.grant(ADA, "cognito")
    await house.grants.check()


async def test_one_users_conflict_is_no_trouble_of_cognitos() -> None:
    house = GrantHouse()
    house.pool.failures.append(IdentityConflictError())
    with pytest.raises(IdentityConflictError):
        await house.grants.grant(ADA, "cognito")
    await house.grants.check()


async def test_secrets_hide_from_repr() -> None:
    house = GrantHouse()
    grant, exchanged = await house.grants.grant(ADA, "auto"), await house.grants.exchange(ADA)
    shown = f"{grant!r} {exchanged!r} {grant} {exchanged}"
    for secret in (TOKEN, "secret-key", "session-token"):
        assert secret not in shown
    assert "ASIA" in shown


async def test_a_cognito_that_hangs_holds_up_a_bounded_number_only() -> None:
    house = GrantHouse(most=2)
    hangs = house.pool.hold = asyncio.Event()
    waiting = [asyncio.create_task(house.grants.grant(f"usr_{n}", "cognito")) for n in range(2)]
    await eventually(lambda: house.pool.calls == 2)
    with pytest.raises(CognitoUnavailableError) as refused:
        await house.grants.grant(EVE, "cognito")
    assert refused.value.retry_after == 2
    assert house.pool.calls == 2
    hangs.set()
    await asyncio.gather(*waiting)
    assert (await house.grants.grant(EVE, "cognito")).mode == "cognito"
