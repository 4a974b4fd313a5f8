import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

import errors
from auth.access_tokens import MAX_LENGTH, AccessTokens, _key_id
from auth.callers import UnverifiedToken
from tests.unit.auth.fakes import KEY, Clock

OTHER_KEY = "another-signing-key-of-32-characters"


def tokens(clock: Clock, **changes: Any) -> AccessTokens:
    values: dict[str, Any] = {
        "signing_key": KEY,
        "issuer": "issuer",
        "audience": "audience",
        "seconds": 900,
        "leeway_seconds": 30,
    }
    return AccessTokens(**{**values, **changes}, clock=clock)


def forged(
    clock: Clock, *, key: str = KEY, header: dict[str, Any] | None = None, **claims: Any
) -> UnverifiedToken:
    """A token right in every way but what is given; None leaves an entry out."""
    now = int(clock.seconds())
    right = {
        "iss": "issuer", "aud": "audience", "sub": "usr_1", "jti": "1", "iat": now, "nbf": now,
        "exp": now + 900, "scope": "uploads", "username": "ada",
    }  # fmt: skip
    body = {name: value for name, value in {**right, **claims}.items() if value is not None}
    named = {"alg": "HS256", "typ": "at+jwt", "kid": _key_id(KEY), **(header or {})}
    head = {name: value for name, value in named.items() if value is not None}
    return UnverifiedToken(
        jwt.encode(head, body, OctKey.import_key(key), algorithms=["HS256", "HS512"])
    )


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_what_was_issued_comes_back(clock: Clock) -> None:
    made = tokens(clock)
    token = made.issue("usr_1", "Ada Lovelace", {"uploads", "admin"})
    caller = made.read(UnverifiedToken(token)).caller
    assert (caller.user_id, caller.username) == ("usr_1", "Ada Lovelace")
    assert caller.scopes == {"uploads", "admin"}
    assert caller.expires_at == clock.now + timedelta(seconds=900)


def test_its_shape_is_rfc_9068s(clock: Clock) -> None:
    found = jwt.decode(
        tokens(clock).issue("usr_1", "ada", ["uploads"]),
        OctKey.import_key(KEY),
        algorithms=["HS256"],
    )
    assert found.header == {"alg": "HS256", "typ": "at+jwt", "kid": _key_id(KEY)}
    assert set(found.claims) == {
        "iss", "aud", "sub", "jti", "iat", "nbf", "exp", "scope", "username"
    }  # fmt: skip


def test_a_token_may_name_its_login(clock: Clock) -> None:
    made = tokens(clock)
    named = made.issue("usr_1", "ada", ["uploads"], "fam_1")
    found = jwt.decode(named, OctKey.import_key(KEY), algorithms=["HS256"])
    assert found.claims["sid"] == "fam_1"
    assert made.read(UnverifiedToken(named)).caller.session_id == "fam_1"
    assert made.read(forged(clock)).caller.session_id is None


def test_a_right_token_is_accepted(clock: Clock) -> None:
    assert tokens(clock).read(forged(clock)).caller.user_id == "usr_1"
    assert tokens(clock).read(forged(clock, scope="")).caller.scopes == frozenset()


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "someone"},
        {"iss": None},
        {"aud": "another service"},
        {"aud": None},
        {"sub": None},
        {"sub": 7},
        {"jti": None},
        {"iat": None},
        {"nbf": None},
        {"exp": None},
        {"exp": "9999999999"},
        {"exp": 1e300},
        {"exp": 10**18},
        {"scope": None},
        {"scope": ["uploads"]},
        {"username": None},
        {"username": 7},
        {"sid": 7},
        {"sid": ["fam_1"]},
        {"key": OTHER_KEY},
        {"header": {"typ": "JWT"}},
        {"header": {"typ": "rt+jwt"}},
        {"header": {"alg": "HS512"}},
        {"header": {"kid": "unknown"}},
        {"header": {"kid": _key_id(OTHER_KEY)}},
    ],
    ids=str,
)
def test_one_thing_wrong_is_enough(clock: Clock, wrong: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidTokenError) as refused:
        tokens(clock).read(forged(clock, **wrong))
    assert type(refused.value) is errors.InvalidTokenError


def test_without_a_key_id_there_is_no_guessing(clock: Clock) -> None:
    with pytest.raises(errors.InvalidTokenError):
        tokens(clock).read(forged(clock, header={"kid": None}))


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "typ": "at+jwt", "kid": _key_id(KEY)},
        {"alg": "None"},
        {"alg": None},
        {"typ": "at+jwt"},
        {"alg": "HS256", "typ": "at+jwt", "kid": 7},
        {"alg": "HS256", "kid": _key_id(KEY), "crit": ["made-up"], "made-up": 1},
        {"alg": "HS256", "kid": _key_id(KEY), "jwk": {"kty": "oct", "k": "AAAA"}},
        ["alg"],
        "alg",
        None,
    ],
    ids=str,
)
@pytest.mark.parametrize("signature", ["", "AAAA"])
def test_headers_that_attack(clock: Clock, header: Any, signature: str) -> None:
    body = forged(clock).split(".")[1]
    with pytest.raises(errors.InvalidTokenError):
        tokens(clock).read(UnverifiedToken(f"{part(header)}.{body}.{signature}"))


def test_another_algorithms_key_signs_nothing(clock: Clock) -> None:
    rsa = RSAKey.generate_key(2048)
    head = {"alg": "RS256", "typ": "at+jwt", "kid": _key_id(KEY)}
    token = jwt.encode(head, {"sub": "usr_1"}, rsa, algorithms=["RS256"])
    with pytest.raises(errors.InvalidTokenError):
        tokens(clock).read(UnverifiedToken(token))


def test_expiry_has_leeway_then_a_name_of_its_own(clock: Clock) -> None:
    token = forged(clock)
    clock.advance(900 + 29)
    tokens(clock).read(token)
    clock.advance(1)
    with pytest.raises(errors.TokenExpiredError):
        tokens(clock).read(token)


@pytest.mark.parametrize("wrong", [{"iss": "someone"}, {"key": OTHER_KEY}, {"sub": None}], ids=str)
def test_only_what_was_valid_can_have_expired(clock: Clock, wrong: dict[str, Any]) -> None:
    token = forged(clock, **wrong)
    clock.advance(2000)
    with pytest.raises(errors.InvalidTokenError) as refused:
        tokens(clock).read(token)
    assert type(refused.value) is errors.InvalidTokenError


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_a_token_of_the_future_waits(clock: Clock, claim: str) -> None:
    now = int(clock.seconds())
    soon: dict[str, Any] = {claim: now + 30}
    tokens(clock).read(forged(clock, **soon))
    later: dict[str, Any] = {claim: now + 31}
    with pytest.raises(errors.InvalidTokenError):
        tokens(clock).read(forged(clock, **later))


def test_a_replaced_key_is_accepted_until_it_is_dropped(clock: Clock) -> None:
    token = UnverifiedToken(tokens(clock, signing_key=OTHER_KEY).issue("usr_1", "ada", []))
    rotated = tokens(clock, previous_signing_keys=[OTHER_KEY])
    assert rotated.read(token).caller.user_id == "usr_1"
    rotated.read(UnverifiedToken(rotated.issue("usr_1", "ada", [])))
    with pytest.raises(errors.InvalidTokenError):
        tokens(clock).read(token)


def test_a_huge_token_is_refused_unread(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        pytest.fail("a huge token was read")

    monkeypatch.setattr("auth.access_tokens.jwt.decode", unreachable)
    with pytest.raises(errors.InvalidTokenError):
        tokens(clock).read(UnverifiedToken("x" * (MAX_LENGTH + 1)))


def test_the_longest_name_fits(clock: Clock) -> None:
    made = tokens(clock)
    token = made.issue("usr_" + "0" * 32, "\U0001d504" * 255, ["uploads", "admin"])
    assert len(made.read(UnverifiedToken(token)).caller.username) == 255


def test_nothing_of_the_token_is_in_the_error(clock: Clock) -> None:
    token = forged(clock, iss="someone")
    with pytest.raises(errors.InvalidTokenError) as refused:
        tokens(clock).read(token)
    assert str(refused.value) == errors.InvalidTokenError.title
    assert refused.value.__cause__ is None


_WORDS = st.text(alphabet=st.characters(codec=None), max_size=60)


@given(st.lists(_WORDS, max_size=4).map(".".join))
def test_no_text_at_all_breaks_the_check(text: str) -> None:
    with pytest.raises(errors.InvalidTokenError):
        tokens(Clock()).read(UnverifiedToken(text))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(_JSON | st.fixed_dictionaries({"alg": _JSON, "kid": st.just(_key_id(KEY))}), _JSON)
def test_no_json_breaks_the_check(header: Any, body: Any) -> None:
    with pytest.raises(errors.InvalidTokenError):
        tokens(Clock()).read(UnverifiedToken(f"{part(header)}.{part(body)}.AAAA"))
