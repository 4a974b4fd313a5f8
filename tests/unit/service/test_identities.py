"""Whose folder is whose, also after Cognito changed its mind."""

import pytest
from structlog.testing import capture_logs

from errors import CognitoUnavailableError
from tests.fakes.grants import LIFE, GrantHouse
from tests.fakes.pool import POOL
from tests.unit.service.test_grants import ADA, EVE


async def test_a_known_users_folder_needs_no_cognito() -> None:
    house = GrantHouse()
    first = await house.grants.folder_of(ADA)
    assert house.pool.calls == 1
    house.pool.failures.append(CognitoUnavailableError())
    assert await house.grants.folder_of(ADA) == first
    assert house.pool.calls == 1


async def test_an_unknown_users_folder_waits_for_cognito() -> None:
    house = GrantHouse()
    house.pool.failures.append(CognitoUnavailableError())
    with pytest.raises(CognitoUnavailableError):
        await house.grants.folder_of(ADA)
    assert house.history.owners == {}


async def test_the_folder_is_the_one_of_the_grant() -> None:
    house = GrantHouse()
    folder = await house.grants.folder_of(ADA)
    assert (await house.grants.grant(ADA, "auto")).key_prefix == folder


async def test_a_changed_identity_raises_an_alarm_and_changes_the_folder() -> None:
    house = GrantHouse()
    await house.grants.grant(ADA, "auto")
    before = house.pool.identities[ADA]
    after = house.pool.identities[ADA] = "us-east-1:0000"
    house.clock.advance(LIFE)
    with capture_logs() as lines:
        grant = await house.cognito(ADA)
    assert grant.key_prefix == f"{after}/"
    assert lines == [
        {
            "event": "identity.changed",
            "log_level": "warning",
            "user_id": ADA,
            "pool_id": POOL,
            "before": before,
            "now": after,
        }
    ]


async def test_an_unchanged_identity_raises_none() -> None:
    house = GrantHouse()
    with capture_logs() as lines:
        for _ in range(2):
            await house.grants.grant(ADA, "auto")
    assert lines == []


async def test_old_and_new_identity_lead_to_their_owner() -> None:
    house = GrantHouse()
    await house.grants.grant(ADA, "auto")
    before = house.pool.identities[ADA]
    house.pool.identities[ADA] = "us-east-1:0000"
    house.clock.advance(LIFE)
    await house.grants.grant(ADA, "auto")
    await house.grants.grant(EVE, "auto")
    assert await house.grants.owner_of(f"{before}/upl_1/a b.txt") == (ADA, "upl_1/a b.txt")
    assert await house.grants.owner_of("us-east-1:0000/a") == (ADA, "a")
    assert await house.grants.owner_of(f"{house.pool.identities[EVE]}/a") == (EVE, "a")


@pytest.mark.parametrize("key", ["us-east-1:ffff/a", "a.txt", "users/usr_ada/a", "../a", ""])
async def test_a_key_in_no_known_folder_is_nobodys(key: str) -> None:
    house = GrantHouse()
    await house.grants.grant(ADA, "auto")
    assert await house.grants.owner_of(key) is None
