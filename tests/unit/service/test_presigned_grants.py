"""`auto` never fails for Cognito's sake: it answers a presigned grant, and says why."""

import asyncio

import pytest
from structlog.testing import capture_logs

from errors import (
    CognitoAnswerError,
    CognitoRefusedError,
    CognitoThrottledError,
    CognitoUnavailableError,
    IdentityConflictError,
    InternalError,
    UnavailableError,
    UploadgateError,
)
from service.grants.model import Mode, PresignedGrant, Reason
from service.uploads.policy import Policy, Profile
from tests.fakes.clock import START
from tests.fakes.eventually import eventually
from tests.fakes.grants import LIFE, PAUSE, PLACE, TO_OPEN, GrantHouse, MemoryRate
from tests.unit.service.test_grants import ADA, EVE

NEVER = Policy([Profile()], "never")
LIMITED = Policy([Profile(quota=1)], "when_unlimited")
FAILURES: list[tuple[UploadgateError, Reason]] = [
    (CognitoThrottledError(), "cognito_throttled"),
    (CognitoUnavailableError(), "cognito_unavailable"),
    (CognitoAnswerError(), "cognito_unavailable"),
    (CognitoRefusedError(), "cognito_unavailable"),
    (IdentityConflictError(), "cognito_unavailable"),
]


async def presigned(house: GrantHouse, user_id: str = ADA, mode: Mode = "auto") -> PresignedGrant:
    grant = await house.grants.grant(user_id, mode)
    assert isinstance(grant, PresignedGrant)
    return grant


async def test_a_presigned_grant_is_given_to_who_asks_for_it() -> None:
    house = GrantHouse()
    grant = await presigned(house, mode="presigned")
    assert (grant.mode, grant.reason, grant.place) == ("presigned", "requested", PLACE)
    assert (grant.key_prefix, grant.server_time) == (f"users/{ADA}/", START)
    assert house.pool.calls == 0


@pytest.mark.parametrize("policy", [NEVER, LIMITED])
@pytest.mark.parametrize("configured", [True, False])
async def test_policy_is_told_first(policy: Policy, *, configured: bool) -> None:
    house = GrantHouse(policy=policy, configured=configured)
    with capture_logs() as lines:
        assert (await presigned(house)).reason == "policy"
    # As it is meant to be: nothing for an operator to read, caller by caller.
    assert (house.pool.calls, lines) == (0, [])


async def test_limits_that_are_checked_after_arrival_forbid_no_credentials() -> None:
    house = GrantHouse(policy=Policy([Profile(quota=1)], "checked_after_arrival"))
    assert (await house.grants.grant(ADA, "auto")).mode == "cognito"


async def test_no_pool_is_a_reason() -> None:
    grant = await presigned(GrantHouse(configured=False))
    assert (grant.reason, grant.key_prefix) == ("cognito_not_configured", f"users/{ADA}/")


@pytest.mark.parametrize(("failure", "reason"), FAILURES)
async def test_a_failure_of_cognitos_is_told_and_logged_once(
    failure: UploadgateError, reason: Reason
) -> None:
    house = GrantHouse()
    house.pool.failures.append(failure)
    with capture_logs() as lines:
        grant = await presigned(house)
    assert (grant.reason, grant.key_prefix) == (reason, f"users/{ADA}/")
    assert lines == [
        {
            "event": "grant.fell_back",
            "log_level": "warning",
            "code": failure.code,
            "count": 1,
        }
    ]
    assert house.history.owners == {}


@pytest.mark.parametrize(("failure", "reason"), FAILURES)
async def test_a_known_users_folder_stays_the_one_their_credentials_know(
    failure: UploadgateError, reason: Reason
) -> None:
    house = GrantHouse()
    before = await house.cognito(ADA)
    house.clock.advance(LIFE)  # a token that is kept would be given
    house.pool.failures.append(failure)
    grant = await presigned(house)
    assert (grant.reason, grant.key_prefix) == (reason, before.key_prefix)


async def test_an_identity_of_another_users_is_nobodys_folder() -> None:
    house = GrantHouse()
    before = await house.cognito(ADA)
    house.pool.identities[EVE] = house.pool.identities[ADA]
    grant = await presigned(house, EVE)
    assert (grant.reason, grant.key_prefix) == ("cognito_unavailable", f"users/{EVE}/")
    assert (await house.cognito(ADA)).key_prefix == before.key_prefix


@pytest.mark.parametrize("mode", ["auto", "cognito", "presigned"])
async def test_a_database_that_is_away_is_no_reason_but_an_error(mode: Mode) -> None:
    house = GrantHouse()
    house.history.failure = UnavailableError()
    with pytest.raises(UnavailableError):
        await house.grants.grant(ADA, mode)


@pytest.mark.parametrize("user_id", ["*", "usr_?", "a/b", "..", ".", "", "é", "a\n", "a" * 129])
async def test_an_id_that_could_be_another_folder_becomes_none(user_id: str) -> None:
    for configured in (True, False):
        house = GrantHouse(configured=configured)
        with pytest.raises(InternalError):
            await house.grants.known_folder_of(user_id)
        with pytest.raises(InternalError):
            await house.grants.grant(user_id, "presigned")


@pytest.mark.parametrize("user_id", ["usr_ada", "oidc:A-1", "a" * 128])
async def test_a_folder_of_the_users_own_needs_no_pool(user_id: str) -> None:
    folder = await GrantHouse(configured=False).grants.known_folder_of(user_id)
    assert folder == f"users/{user_id}/"


async def test_the_folder_that_is_known_is_the_one_of_the_grant() -> None:
    house = GrantHouse()
    grant = await house.cognito(ADA)
    assert await house.grants.known_folder_of(ADA) == grant.key_prefix
    assert house.pool.calls == 1


async def in_trouble() -> GrantHouse:
    """Cognito has failed as often as it takes."""
    house = GrantHouse()
    house.pool.failures += [CognitoUnavailableError()] * TO_OPEN
    for number in range(TO_OPEN):
        assert (await presigned(house, f"usr_{number}")).reason == "cognito_unavailable"
    return house


async def test_of_a_cognito_that_is_down_nobody_asks_for_a_while() -> None:
    house = await in_trouble()
    reasons = {(await presigned(house, f"usr_{number}")).reason for number in range(9)}
    assert (reasons, house.pool.calls) == ({"cognito_unavailable"}, TO_OPEN)
    with pytest.raises(CognitoUnavailableError) as refused:
        await house.grants.grant(ADA, "cognito")
    assert (refused.value.retry_after, house.pool.calls) == (2, TO_OPEN)


async def test_whether_it_is_back_is_tried_for_one_user_and_nobody_waits_for_it() -> None:
    house = await in_trouble()
    house.clock.advance(PAUSE.total_seconds())
    house.pool.hold = asyncio.Event()
    for user_id in (ADA, EVE, "usr_bob"):
        assert (await presigned(house, user_id)).reason == "cognito_unavailable"
    await eventually(lambda: house.pool.calls == TO_OPEN + 1)
    house.pool.hold.set()
    await house.landed()
    modes = [(await house.grants.grant(user_id, "auto")).mode for user_id in (ADA, EVE)]
    assert (modes, house.pool.calls) == (["cognito"] * 2, TO_OPEN + 2)
    await house.grants.check()


async def test_beyond_the_calls_that_may_hang_nobody_waits() -> None:
    house = GrantHouse(most=2)
    house.pool.hold = asyncio.Event()
    waiting = [asyncio.create_task(house.grants.grant(f"usr_{n}", "auto")) for n in range(2)]
    await eventually(lambda: house.pool.calls == 2)
    async with asyncio.timeout(60):
        assert (await presigned(house, EVE)).reason == "cognito_unavailable"
    house.pool.hold.set()
    assert {(await each).mode for each in waiting} == {"cognito"}


async def test_a_flood_of_fallbacks_is_no_flood_of_lines() -> None:
    house = GrantHouse(rate=MemoryRate(0))
    with capture_logs() as lines:
        for number in range(50):
            assert (await presigned(house, f"usr_{number}")).reason == "cognito_throttled"
        house.clock.advance(1)
        await presigned(house)
    assert [line["count"] for line in lines] == [1, 50]


async def test_one_failure_keeps_nobody_from_asking() -> None:
    house = GrantHouse()
    house.pool.failures.append(CognitoUnavailableError())
    await presigned(house)
    assert (await house.grants.grant(ADA, "cognito")).mode == "cognito"
    assert (await house.grants.grant(EVE, "auto")).mode == "cognito"


async def test_one_users_conflict_sends_nobody_else_the_other_way() -> None:
    house = GrantHouse()
    house.pool.failures.append(IdentityConflictError())
    await presigned(house)
    assert (await house.grants.grant(EVE, "auto")).mode == "cognito"
