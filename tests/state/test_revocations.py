"""Which logins and users have ended, on both databases."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

import state.revocations
from auth.refresh_tokens import KeptToken
from auth.users import User
from state.accounts import RefreshTokenRepository, UserRepository
from state.database import Database
from state.revocations import SqlEndedLogins

NOW = datetime(2030, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
async def tokens(database: Database) -> RefreshTokenRepository:
    for name in ("ada", "bob", "eve"):
        await UserRepository(database).add(
            User(f"usr_{name}", name, name, "$argon2id$", frozenset({"uploads"}), NOW)
        )
    return RefreshTokenRepository(database)


def token(number: int, family: str) -> KeptToken:
    return KeptToken(f"{number:064}", family, "usr_ada", NOW, NOW + timedelta(days=30))


async def test_logins_that_ended_since_and_no_others(
    database: Database, tokens: RefreshTokenRepository
) -> None:
    for number, family in enumerate(("fam_1", "fam_1", "fam_2", "fam_3", "fam_4")):
        await tokens.add(token(number, family))
    for family, at in (("fam_1", NOW), ("fam_2", NOW - SECOND), ("fam_3", NOW + SECOND)):
        await tokens.revoke_family(family, at)
    ended = SqlEndedLogins(database)
    assert await ended.sessions(NOW) == ["fam_1", "fam_3"]
    assert await ended.sessions(NOW - SECOND) == ["fam_2", "fam_1", "fam_3"]
    assert await ended.sessions(NOW + timedelta(microseconds=1)) == ["fam_3"]
    assert await ended.sessions(NOW + 2 * SECOND) == []


async def test_users_who_were_disabled_since(
    database: Database, tokens: RefreshTokenRepository
) -> None:
    users = UserRepository(database)
    await users.disable("usr_bob", NOW)
    await users.disable("usr_eve", NOW - SECOND)
    ended = SqlEndedLogins(database)
    assert await ended.users(NOW) == ["usr_bob"]
    assert await ended.users(NOW - SECOND) == ["usr_eve", "usr_bob"]


@pytest.mark.parametrize("apart", [timedelta(), timedelta(microseconds=1)])
async def test_page_by_page_none_is_left_out(
    database: Database,
    tokens: RefreshTokenRepository,
    monkeypatch: pytest.MonkeyPatch,
    apart: timedelta,
) -> None:
    monkeypatch.setattr(state.revocations, "_PAGE", 3)
    for number in range(14):
        added = token(number, f"fam_{number // 2:02}")
        await tokens.add(replace(added, revoked_at=NOW + apart * (number // 2)))
    assert await SqlEndedLogins(database).sessions(NOW) == [f"fam_{each:02}" for each in range(7)]
