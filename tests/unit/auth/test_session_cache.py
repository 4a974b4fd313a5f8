"""The cache answers as what it stands before, for every token and at every time."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import errors
from auth.access_tokens import AccessTokens, VerifiedToken
from auth.callers import Caller, UnverifiedToken
from auth.revocations import Revocations
from auth.session_cache import SessionCache
from auth.sessions import Sessions
from tests.unit.auth.fakes import KEY, Clock
from tests.unit.auth.test_access_tokens import OTHER_KEY, forged, tokens


class Counting:
    """AccessTokens that counts what it reads."""

    def __init__(self, clock: Clock) -> None:
        self.tokens = tokens(clock)
        self.read_anew = 0

    def read(self, token: UnverifiedToken) -> VerifiedToken:
        self.read_anew += 1
        return self.tokens.read(token)

    def check_times(self, verified: VerifiedToken) -> None:
        self.tokens.check_times(verified)


@pytest.fixture
def counting(clock: Clock) -> Counting:
    return Counting(clock)


def cache_of(tokens: Any, size: int = 3) -> SessionCache:
    return SessionCache(tokens, size=size)


def test_a_token_is_read_once(clock: Clock, counting: Counting) -> None:
    cache = cache_of(counting)
    token = forged(clock, sid="fam_1")
    assert (
        cache.read(token)
        == cache.read(UnverifiedToken("".join(token)))
        == tokens(clock).read(token)
    )
    assert counting.read_anew == 1


def test_a_token_cut_or_changed_anywhere_is_another(clock: Clock) -> None:
    cache = cache_of(tokens(clock))
    token = forged(clock)
    cache.read(token)
    for at in range(len(token)):
        other = "A" if token[at] != "A" else "B"
        for changed in (token[:at], token[at + 1 :], f"{token[:at]}{other}{token[at + 1 :]}"):
            with pytest.raises(errors.InvalidTokenError):
                cache.read(UnverifiedToken(changed))
    assert len(cache) == 1


def test_the_ones_used_last_are_kept(clock: Clock, counting: Counting) -> None:
    cache = cache_of(counting)
    made = [forged(clock, jti=str(number)) for number in range(4)]
    for token in (*made[:3], made[0], made[3], made[0]):
        cache.read(token)
    assert (len(cache), counting.read_anew) == (3, 4)
    cache.read(made[1])
    assert counting.read_anew == 5


def test_nothing_is_kept_of_what_is_refused(clock: Clock) -> None:
    cache = cache_of(tokens(clock))
    token = forged(clock)
    for bad in (forged(clock, iss="someone"), "x", "x" * 5000, "\ud800", forged(clock, exp=1e300)):
        with pytest.raises(errors.InvalidTokenError):
            cache.read(UnverifiedToken(bad))
    cache.read(token)
    assert len(cache) == 1
    clock.advance(930)
    with pytest.raises(errors.TokenExpiredError):
        cache.read(token)
    assert len(cache) == 0


def test_the_token_itself_is_not_kept(clock: Clock) -> None:
    cache = cache_of(tokens(clock))
    token = forged(clock)
    cache.read(token)
    held = repr(vars(cache)).encode()
    assert all(part.encode() not in held for part in token.split("."))
    other = cache_of(tokens(clock))
    other.read(token)
    assert set(cache._kept).isdisjoint(other._kept)


def test_each_set_of_keys_has_a_cache_of_its_own(clock: Clock) -> None:
    old = forged(clock)
    before = cache_of(tokens(clock))
    before.read(old)
    rotated = cache_of(tokens(clock, signing_key=OTHER_KEY, previous_signing_keys=[KEY]))
    assert rotated.read(old).caller.user_id == "usr_1"
    dropped = cache_of(tokens(clock, signing_key=OTHER_KEY))
    for _ in range(2):
        with pytest.raises(errors.InvalidTokenError):
            dropped.read(old)


# --- the same answer, whatever happens ------------------------------------------------------------

# Close together and in halves, so that the edges are met often.
_TIMES = st.integers(-40, 40) | st.integers(-80, 80).map(lambda halves: halves / 2)
_USUAL = {"exp": _TIMES, "nbf": _TIMES, "iat": _TIMES, "jti": st.sampled_from("ab")}
_LOGINS = {"sid": st.sampled_from(["fam_1", "fam_2"]), "sub": st.sampled_from(["usr_1", "usr_2"])}
_ODD = {
    "exp": st.sampled_from([10**18, 10**400, True, "soon"]),
    "nbf": st.just("soon"),
    "sid": st.sampled_from([7, None, ""]),
    "sub": st.sampled_from(["", 7]),
    "aud": st.sampled_from(["another", ["audience", "more"]]),
    "key": st.just(OTHER_KEY),
}
_GOOD = st.fixed_dictionaries(_USUAL, optional=_LOGINS)
_CLAIMS = _GOOD | st.fixed_dictionaries({**_USUAL, **_LOGINS}).flatmap(
    lambda good: st.sampled_from(sorted(_ODD)).flatmap(
        lambda name: _ODD[name].map(lambda odd: {**good, name: odd})
    )
)
_STEPS = st.one_of(
    st.tuples(st.just("move"), st.integers(-80, 80)),
    st.tuples(st.just("ask"), st.integers(0, 5)),
    st.tuples(st.just("end"), st.sampled_from(["fam_1", "fam_2", "usr_1", "usr_2"])),
)


def _answer(check: Callable[[UnverifiedToken], Caller], token: UnverifiedToken) -> object:
    try:
        return check(token)
    except errors.UploadgateError as error:
        return type(error), str(error), error.retry_after


def _absolute(claims: dict[str, Any], now: int) -> dict[str, Any]:
    return {
        name: value + now
        if name in {"exp", "nbf", "iat"} and isinstance(value, int | float) and value is not True
        else value
        for name, value in claims.items()
    }


def _sessions(clock: Clock, size: int) -> tuple[Sessions, Revocations]:
    revocations = Revocations(token_seconds=930, look_seconds=5, late_seconds=120, clock=clock)
    made: AccessTokens = tokens(clock)
    reader = SessionCache(made, size=size) if size else made
    return Sessions(reader, revocations), revocations


@given(st.lists(_CLAIMS, min_size=1, max_size=4), st.lists(_STEPS, max_size=40), st.integers(1, 4))
def test_no_answer_is_another_than_without_it(
    claims: list[dict[str, Any]], steps: list[tuple[str, Any]], size: int
) -> None:
    clock = Clock()
    start = clock.now
    made = [forged(clock, **_absolute(one, int(clock.seconds()))) for one in claims]
    cached, plain = _sessions(clock, size), _sessions(clock, 0)
    for what, value in steps:
        if what == "move":
            clock.now = start + timedelta(seconds=value)
        elif what == "end":
            for _, revocations in (cached, plain):
                end = revocations.end_user if value.startswith("usr") else revocations.end_session
                end(value)
        # In an order of their own, for what the cache keeps.
        for token in [made[value % len(made)]] if what == "ask" else made:
            assert _answer(cached[0].check, token) == _answer(plain[0].check, token)


_BESIDE = (-1, -0.5, 0, 0.5, 1)


@given(st.fixed_dictionaries({"exp": _TIMES, "nbf": _TIMES, "iat": _TIMES}))
def test_at_the_edges_of_its_life_it_is_as_without_it(times: dict[str, float]) -> None:
    clock = Clock()
    start = clock.now
    token = forged(clock, **_absolute(times, int(clock.seconds())))
    (cached, _), (plain, _) = _sessions(clock, 1), _sessions(clock, 0)
    edges = [time + leeway for time in times.values() for leeway in (-30, 30)]
    for edge in (edge + beside for edge in edges for beside in _BESIDE):
        # Kept, if there is a moment at all at which it is good.
        clock.now = start + timedelta(seconds=(times["exp"] + max(times["nbf"], times["iat"])) / 2)
        assert _answer(cached.check, token) == _answer(plain.check, token)
        clock.now = start + timedelta(seconds=edge)
        assert _answer(cached.check, token) == _answer(plain.check, token)
