import asyncio
from datetime import timedelta

import pytest

import errors
from auth.refresh_tokens import RefreshTokens
from auth.refresh_tokens import UnverifiedRefreshToken as Unverified
from tests.unit.auth.fakes import Clock, MemoryRefreshTokens


@pytest.fixture
def tokens(kept_tokens: MemoryRefreshTokens, clock: Clock) -> RefreshTokens:
    return RefreshTokens(kept_tokens, seconds=1000, clock=clock)


async def refreshed(tokens: RefreshTokens, token: str) -> str:
    return (await tokens.rotate(await tokens.check(Unverified(token)))).token


async def refused(tokens: RefreshTokens, token: str) -> None:
    with pytest.raises(errors.InvalidRefreshTokenError):
        await tokens.check(Unverified(token))


async def test_a_token_is_opaque_and_kept_as_a_hash(
    tokens: RefreshTokens, kept_tokens: MemoryRefreshTokens
) -> None:
    issued = await tokens.begin_family("usr_1")
    assert issued.token.startswith("rt_")
    assert len(issued.token) == 3 + 43
    assert issued.token not in repr(kept_tokens.rows) + repr(issued)


async def test_each_use_is_the_last(tokens: RefreshTokens) -> None:
    first = (await tokens.begin_family("usr_1")).token
    second = await refreshed(tokens, first)
    third = await refreshed(tokens, second)
    assert len({first, second, third}) == 3


async def test_reuse_ends_the_family_and_no_other(tokens: RefreshTokens) -> None:
    first = (await tokens.begin_family("usr_1")).token
    other = (await tokens.begin_family("usr_1")).token
    second = await refreshed(tokens, first)
    await refused(tokens, first)
    await refused(tokens, second)
    await refreshed(tokens, other)


async def test_of_two_at_once_one_wins_and_the_other_is_reuse(tokens: RefreshTokens) -> None:
    first = (await tokens.begin_family("usr_1")).token
    held = await asyncio.gather(*(tokens.check(Unverified(first)) for _ in range(2)))
    won = await tokens.rotate(held[0])
    with pytest.raises(errors.InvalidRefreshTokenError):
        await tokens.rotate(held[1])
    await refused(tokens, won.token)


async def test_the_familys_first_expiry_is_kept(tokens: RefreshTokens, clock: Clock) -> None:
    issued = await tokens.begin_family("usr_1")
    clock.advance(999)
    rotated = await tokens.rotate(await tokens.check(Unverified(issued.token)))
    assert rotated.expires_at == issued.expires_at == clock.now + timedelta(seconds=1)
    clock.advance(1)
    await refused(tokens, rotated.token)


async def test_logout_ends_the_family_from_any_of_its_tokens(tokens: RefreshTokens) -> None:
    first = (await tokens.begin_family("usr_1")).token
    second = await refreshed(tokens, first)
    await tokens.revoke(Unverified(first))
    await tokens.revoke(Unverified(first))
    await refused(tokens, second)


@pytest.mark.parametrize("text", ["", "rt_", "rt_" + "x" * 43, "rt_" + "\ud800" * 43, "x" * 9999])
async def test_what_was_never_issued(tokens: RefreshTokens, text: str) -> None:
    await refused(tokens, text)
    await tokens.revoke(Unverified(text))


async def test_expired_rows_go(
    tokens: RefreshTokens, kept_tokens: MemoryRefreshTokens, clock: Clock
) -> None:
    await tokens.begin_family("usr_1")
    clock.advance(500)
    await tokens.begin_family("usr_1")
    clock.advance(500)
    assert await tokens.delete_expired() == 1
    assert len(kept_tokens.rows) == 1


async def test_expired_rows_stay_as_long_as_they_may_matter(
    kept_tokens: MemoryRefreshTokens, clock: Clock
) -> None:
    tokens = RefreshTokens(kept_tokens, seconds=1000, remembered_seconds=60, clock=clock)
    await tokens.begin_family("usr_1")
    clock.advance(1059)
    assert await tokens.delete_expired() == 0
    clock.advance(1)
    assert await tokens.delete_expired() == 1


async def test_who_is_told_of_a_familys_end(kept_tokens: MemoryRefreshTokens, clock: Clock) -> None:
    told: list[str] = []
    tokens = RefreshTokens(kept_tokens, seconds=1000, ended=told.append, clock=clock)
    first, other = [await tokens.begin_family("usr_1") for _ in range(2)]
    await refreshed(tokens, first.token)
    assert told == []
    await refused(tokens, first.token)
    assert told == [first.family_id]
    await tokens.revoke(Unverified("rt_" + "x" * 43))
    await tokens.revoke(Unverified(other.token))
    assert told == [first.family_id, other.family_id]
