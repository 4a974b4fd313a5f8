import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from auth.refresh_tokens import KeptToken
from auth.users import User
from state.accounts import RefreshTokenRepository, UserRepository
from state.database import Database

NOW = datetime(2030, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)


def token(name: str, family: str = "fam_1", user: str = "usr_ada") -> KeptToken:
    return KeptToken(name * 64, family, user, NOW, NOW + timedelta(days=30))


def successor(name: str, family: str = "fam_1") -> KeptToken:
    return replace(token(name, family), created_at=LATER)


@pytest.fixture
async def tokens(database: Database) -> RefreshTokenRepository:
    for name in ("ada", "bob"):
        await UserRepository(database).add(
            User(f"usr_{name}", name, name, "$argon2id$", frozenset({"uploads"}), NOW)
        )
    return RefreshTokenRepository(database)


async def test_a_token_comes_back_whole(tokens: RefreshTokenRepository) -> None:
    await tokens.add(token("a"))
    assert await tokens.find("a" * 64) == token("a")
    assert await tokens.find("b" * 64) is None


async def test_rotation_marks_and_adds(tokens: RefreshTokenRepository) -> None:
    await tokens.add(token("a"))
    assert await tokens.rotate(token("a"), successor("b"))
    assert await tokens.find("a" * 64) == replace(token("a"), used_at=LATER)
    assert await tokens.find("b" * 64) == successor("b")


async def test_a_used_token_rotates_no_more(tokens: RefreshTokenRepository) -> None:
    await tokens.add(token("a"))
    await tokens.rotate(token("a"), successor("b"))
    assert not await tokens.rotate(token("a"), successor("c"))
    assert await tokens.find("c" * 64) is None


async def test_of_many_at_once_exactly_one_wins(tokens: RefreshTokenRepository) -> None:
    await tokens.add(token("a"))
    names = "bcdefghi"
    won = await asyncio.gather(*(tokens.rotate(token("a"), successor(name)) for name in names))
    assert won.count(True) == 1
    found = await asyncio.gather(*(tokens.find(name * 64) for name in names))
    assert [kept is not None for kept in found] == won


async def test_a_revoked_family_rotates_no_more(tokens: RefreshTokenRepository) -> None:
    await tokens.add(token("a"))
    await tokens.add(token("z", "fam_2"))
    await tokens.revoke_family("fam_1", LATER)
    assert not await tokens.rotate(token("a"), successor("b"))
    assert await tokens.rotate(token("z", "fam_2"), successor("y", "fam_2"))
    assert await tokens.find("a" * 64) == replace(token("a"), revoked_at=LATER)


async def test_one_revoked_row_is_a_revoked_family(tokens: RefreshTokenRepository) -> None:
    """What a rotation that commits beside a revocation leaves: its successor must be dead."""
    await tokens.add(token("a"))
    await tokens.revoke_family("fam_1", LATER)
    await tokens.add(successor("b"))
    found = await tokens.find("b" * 64)
    assert found is not None
    assert found.revoked_at == LATER
    assert not await tokens.rotate(successor("b"), successor("c"))


async def test_rotations_beside_a_revocation_end_soon(tokens: RefreshTokenRepository) -> None:
    await tokens.add(token("a"))
    won, _ = await asyncio.gather(
        tokens.rotate(token("a"), successor("b")), tokens.revoke_family("fam_1", LATER)
    )
    assert not await tokens.rotate(token("b" if won else "a"), successor("c"))


async def test_a_users_families_are_revoked_together(tokens: RefreshTokenRepository) -> None:
    await tokens.add(token("a"))
    await tokens.add(token("b", "fam_2"))
    await tokens.add(token("c", "fam_3", "usr_bob"))
    await tokens.revoke_user("usr_ada", LATER)
    await tokens.revoke_user("usr_ada", LATER + timedelta(days=1))
    found = [await tokens.find(name * 64) for name in "abc"]
    assert [kept.revoked_at for kept in found if kept] == [LATER, LATER, None]


async def test_what_expired_goes(tokens: RefreshTokenRepository) -> None:
    await tokens.add(replace(token("a"), expires_at=NOW))
    await tokens.add(replace(token("b"), expires_at=LATER))
    assert await tokens.delete_expired(NOW) == 1
    assert await tokens.find("a" * 64) is None
    assert await tokens.find("b" * 64) is not None
