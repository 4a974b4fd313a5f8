import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

import errors
from auth.access_tokens import AccessTokens
from auth.accounts import Accounts, TokenPair
from auth.callers import ADMIN, UPLOADS, Caller, UnverifiedToken
from auth.passwords import Passwords
from auth.revocations import NEWS
from tests.unit.auth import fakes

HERE, ELSEWHERE = "192.0.2.1", "198.51.100.7"
PASSWORD = "correct horse"


async def test_login_refresh_and_who_am_i(accounts: Accounts, clock: fakes.Clock) -> None:
    user = await accounts.add_user("Ada", PASSWORD, {UPLOADS, ADMIN})
    pair = await accounts.login("aDA", PASSWORD, HERE)
    assert (pair.expires_in, pair.refresh_expires_in) == (900, 86_400)
    clock.advance(100)
    pair = await accounts.refresh(pair.refresh_token)
    assert (pair.expires_in, pair.refresh_expires_in) == (900, 86_300)
    caller = await accounts.authenticate(UnverifiedToken(pair.access_token))
    assert (caller.user_id, caller.username) == (user.id, "Ada")
    assert caller.scopes == {UPLOADS, ADMIN}
    assert caller.expires_at == clock.now + timedelta(seconds=900)


async def test_user_ids_are_safe_as_folders_and_subjects(accounts: Accounts) -> None:
    user = await accounts.add_user("*?/../ada", PASSWORD)
    assert re.fullmatch(r"usr_[0-9a-f]{32}", user.id)
    assert user.scopes == {UPLOADS}


async def test_secrets_stay_out_of_reprs(accounts: Accounts) -> None:
    user = await accounts.add_user("ada", PASSWORD)
    pair = await accounts.login("ada", PASSWORD, HERE)
    shown = repr(user) + repr(pair)
    assert user.password_hash not in shown
    assert pair.access_token not in shown
    assert pair.refresh_token not in shown


async def test_one_name_one_user(accounts: Accounts) -> None:
    first = await accounts.add_user("Ada", PASSWORD)
    with pytest.raises(errors.UserExistsError):
        await accounts.add_user("ADA", PASSWORD)
    assert await accounts.ensure_user("aDa", "another password") == first
    bob = await accounts.ensure_user("bob", PASSWORD)
    assert [user.id for user in await accounts.list_users()] == [first.id, bob.id]


@pytest.mark.parametrize(("name", "password"), [("a\nb", PASSWORD), ("ada", "short")])
async def test_users_that_cannot_be(accounts: Accounts, name: str, password: str) -> None:
    with pytest.raises(errors.InvalidRequestError):
        await accounts.add_user(name, password)


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ada", "wrong horse"),
        ("nobody", PASSWORD),
        ("a\x00b", PASSWORD),
        ("", PASSWORD),
        ("x" * 999, PASSWORD),
        ("ada", ""),
        ("ada", "x" * 1025),
        ("\ud800", "\ud800"),
    ],
)
async def test_every_failed_login_says_the_same(
    accounts: Accounts, name: str, password: str
) -> None:
    await accounts.add_user("ada", PASSWORD)
    with pytest.raises(errors.InvalidCredentialsError) as refused:
        await accounts.login(name, password, HERE)
    assert str(refused.value) == errors.InvalidCredentialsError.title


async def test_every_failed_login_costs_one_hash(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    await accounts.add_user("ada", PASSWORD)
    await accounts.add_user("eve", PASSWORD)
    await accounts.disable_user("eve")
    verified: list[str] = []

    def counting(_: Passwords, password_hash: str, __: str) -> bool:
        verified.append(password_hash.rpartition("$")[0].rpartition("$")[0])
        return False

    monkeypatch.setattr(Passwords, "_matches", counting)
    for number, name in enumerate(["ada", "eve", "nobody", "a\nb"], start=1):
        with pytest.raises(errors.InvalidCredentialsError):
            await accounts.login(name, "wrong horse", HERE)
        assert len(verified) == number
    assert set(verified) == {"$argon2id$v=19$m=8,t=1,p=1"}


async def test_too_long_a_password_is_never_hashed(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Passwords, "_off_the_loop", lambda *_: pytest.fail("it was hashed"))
    with pytest.raises(errors.InvalidCredentialsError):
        await accounts.login("ada", "x" * 1025, HERE)


async def test_a_disabled_user_is_out(accounts: Accounts, users: fakes.MemoryUsers) -> None:
    await accounts.add_user("ada", PASSWORD)
    pair = await accounts.login("ada", PASSWORD, HERE)
    await accounts.disable_user("ADA")
    with pytest.raises(errors.InvalidCredentialsError):
        await accounts.login("ada", PASSWORD, HERE)
    with pytest.raises(errors.InvalidRefreshTokenError):
        await accounts.refresh(pair.refresh_token)
    with pytest.raises(errors.UnknownUserError):
        await accounts.disable_user("nobody")


async def test_a_family_born_beside_the_disabling_is_dead_too(
    accounts: Accounts, users: fakes.MemoryUsers, clock: fakes.Clock
) -> None:
    user = await accounts.add_user("ada", PASSWORD)
    pair = await accounts.login("ada", PASSWORD, HERE)
    await users.disable(user.id, clock.now)
    with pytest.raises(errors.InvalidRefreshTokenError):
        await accounts.refresh(pair.refresh_token)


async def test_logout_is_idempotent(accounts: Accounts) -> None:
    await accounts.add_user("ada", PASSWORD)
    pair = await accounts.login("ada", PASSWORD, HERE)
    for _ in range(2):
        await accounts.logout(pair.refresh_token)
    await accounts.logout("rt_never_issued")
    with pytest.raises(errors.InvalidRefreshTokenError):
        await accounts.refresh(pair.refresh_token)


async def test_failures_make_wait_here_and_nowhere_else(accounts: Accounts) -> None:
    await accounts.add_user("ada", PASSWORD)
    for _ in range(3):
        with pytest.raises(errors.InvalidCredentialsError):
            await accounts.login("ADA", "wrong horse", ELSEWHERE)
    with pytest.raises(errors.TooManyAttemptsError) as refused:
        await accounts.login("ada", PASSWORD, ELSEWHERE)
    assert refused.value.retry_after is not None
    assert 299 <= refused.value.retry_after <= 300
    await accounts.login("ada", PASSWORD, HERE)


async def hash_parameters(users: fakes.MemoryUsers, user_id: str) -> str:
    return users.rows[user_id].password_hash.split("$")[3]


async def test_a_login_renews_an_outdated_hash(
    accounts: Accounts,
    users: fakes.MemoryUsers,
    kept_tokens: fakes.MemoryRefreshTokens,
    clock: fakes.Clock,
) -> None:
    user = await accounts.add_user("ada", PASSWORD)
    stronger = fakes.accounts(users, kept_tokens, clock, hash_memory_kib=16)
    await stronger.login("ada", PASSWORD, HERE)
    assert await hash_parameters(users, user.id) == "m=16,t=1,p=1"
    await stronger.login("ada", PASSWORD, HERE)
    stronger.close()


async def test_an_overload_does_not_spoil_a_login(
    accounts: Accounts,
    users: fakes.MemoryUsers,
    kept_tokens: fakes.MemoryRefreshTokens,
    clock: fakes.Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user = await accounts.add_user("ada", PASSWORD)
    stronger = fakes.accounts(users, kept_tokens, clock, hash_memory_kib=16)

    async def overloaded(*_: Any) -> str:
        raise errors.OverloadedError

    monkeypatch.setattr(Passwords, "hash", overloaded)
    await stronger.login("ada", PASSWORD, HERE)
    assert await hash_parameters(users, user.id) == "m=8,t=1,p=1"
    stronger.close()


async def test_scopes_are_those_of_today(accounts: Accounts, users: fakes.MemoryUsers) -> None:
    user = await accounts.add_user("ada", PASSWORD, {UPLOADS, ADMIN})
    pair = await accounts.login("ada", PASSWORD, HERE)
    users.rows[user.id] = replace(users.rows[user.id], scopes=frozenset({UPLOADS}))
    pair = await accounts.refresh(pair.refresh_token)
    caller = await accounts.authenticate(UnverifiedToken(pair.access_token))
    assert caller.scopes == {UPLOADS}


async def test_expired_logins_go(accounts: Accounts, clock: fakes.Clock) -> None:
    await accounts.add_user("ada", PASSWORD)
    await accounts.login("ada", PASSWORD, HERE)
    clock.advance(86_400)
    # What ended just before may still have access tokens that must not come back.
    assert await accounts.delete_expired() == 0
    clock.advance(900 + 30 + 120)
    assert await accounts.delete_expired() == 1


# --- the end of a login ---------------------------------------------------------------------------


def good(accounts: Accounts, pair: TokenPair) -> bool:
    try:
        caller = accounts.caller_of(UnverifiedToken(pair.access_token))
    except errors.InvalidTokenError:
        return False
    assert caller is not None
    assert accounts.stands(caller)
    return True


async def test_logout_ends_the_access_tokens_of_that_login_alone(accounts: Accounts) -> None:
    await accounts.add_user("ada", PASSWORD)
    first = await accounts.login("ada", PASSWORD, HERE)
    second = await accounts.refresh(first.refresh_token)
    other = await accounts.login("ada", PASSWORD, HERE)
    assert [good(accounts, pair) for pair in (first, second, other)] == [True] * 3
    await accounts.logout(first.refresh_token)
    assert [good(accounts, pair) for pair in (first, second, other)] == [False, False, True]
    with pytest.raises(errors.InvalidTokenError) as refused:
        await accounts.authenticate(UnverifiedToken(second.access_token))
    assert type(refused.value) is errors.InvalidTokenError


async def test_reuse_ends_the_access_tokens_too(accounts: Accounts) -> None:
    await accounts.add_user("ada", PASSWORD)
    first = await accounts.login("ada", PASSWORD, HERE)
    second = await accounts.refresh(first.refresh_token)
    with pytest.raises(errors.InvalidRefreshTokenError):
        await accounts.refresh(first.refresh_token)
    assert not good(accounts, second)


async def test_a_disabled_users_access_tokens_end(accounts: Accounts, clock: fakes.Clock) -> None:
    user = await accounts.add_user("ada", PASSWORD)
    await accounts.add_user("eve", PASSWORD)
    pair = await accounts.login("ada", PASSWORD, HERE)
    other = await accounts.login("eve", PASSWORD, HERE)
    assert good(accounts, pair)
    await accounts.disable_user("ada")
    assert [good(accounts, one) for one in (pair, other)] == [False, True]
    # One from before logins had names.
    old = AccessTokens(
        signing_key=fakes.KEY,
        issuer="issuer",
        audience="audience",
        seconds=900,
        leeway_seconds=30,
        clock=clock,
    )
    nameless = {name: old.issue(found, name, []) for found, name in ((user.id, "ada"), ("u", "b"))}
    with pytest.raises(errors.InvalidTokenError):
        accounts.caller_of(UnverifiedToken(nameless["ada"]))
    assert accounts.caller_of(UnverifiedToken(nameless["b"])) is not None


async def test_other_replicas_hear_of_it(
    users: fakes.MemoryUsers, kept_tokens: fakes.MemoryRefreshTokens, clock: fakes.Clock
) -> None:
    told: list[str] = []
    here = fakes.accounts(users, kept_tokens, clock, tell=told.append)
    there = fakes.accounts(users, kept_tokens, clock, session_cache=0)
    await here.add_user("ada", PASSWORD)
    pair = await here.login("ada", PASSWORD, HERE)
    assert good(there, pair)
    await here.logout(pair.refresh_token)
    (word,) = told
    assert word.startswith(NEWS)
    there.revocations.hear(word)
    assert not good(there, pair)
    here.close()
    there.close()


async def test_what_was_not_kept_has_not_ended(
    accounts: Accounts, kept_tokens: fakes.MemoryRefreshTokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    await accounts.add_user("ada", PASSWORD)
    pair = await accounts.login("ada", PASSWORD, HERE)

    async def away(*_: Any) -> None:
        raise errors.UnavailableError

    monkeypatch.setattr(kept_tokens, "revoke_family", away)
    with pytest.raises(errors.UnavailableError):
        await accounts.logout(pair.refresh_token)
    assert good(accounts, pair)


class Asking:
    """Implements auth.callers.Verifier, as one does that asks another issuer."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self.asked = 0

    def check(self, _token: UnverifiedToken) -> Caller | None:
        return None

    async def verify(self, _token: UnverifiedToken) -> Caller:
        self.asked += 1
        return self._caller


async def test_a_verifier_that_has_to_ask_is_awaited(
    accounts: Accounts, clock: fakes.Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = Caller("usr_1", "ada", frozenset(), clock.now)
    asking = Asking(caller)
    monkeypatch.setattr(accounts, "_verifier", asking)
    assert accounts.caller_of(UnverifiedToken("t")) is None
    assert await accounts.authenticate(UnverifiedToken("t")) == caller
    assert asking.asked == 1
