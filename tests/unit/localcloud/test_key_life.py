"""The life of keys, and the session tokens that carry it."""

import base64
import time

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from localcloud.cognito.key_life import KeyLife
from localcloud.errors import InvalidConfigError
from localcloud.store.session_token import SessionTokens

KEY = base64.b64encode(b"k" * 32).decode()
OTHER = base64.b64encode(b"o" * 32).decode()


def session(key: str, **claims: object) -> str:
    secret = OctKey.import_key(base64.b64decode(key))
    return jwt.encode({"alg": "HS256", "typ": "JWT"}, claims, secret)


def test_a_new_life_is_for_keys_from_now_on() -> None:
    life = KeyLife(3600)
    assert life.seconds == 3600
    life.change(20)
    assert 20 <= life.ends_at - time.time() <= 21


@pytest.mark.parametrize("seconds", [0, -5, 61])
def test_a_life_out_of_range_changes_nothing(seconds: int) -> None:
    life = KeyLife(60)
    with pytest.raises(InvalidConfigError, match="between 1 and 60 seconds"):
        life.change(seconds)
    assert life.seconds == 60


def test_only_the_end_of_a_session_is_changed() -> None:
    claims = {"iss": "localcloud-sts", "sub": "s1", "exp": 5000, "sid": "s1", "nested": {"a": [1]}}
    shorter = SessionTokens(KEY).ending(session(KEY, **claims), 1234)
    read = jwt.decode(shorter, OctKey.import_key(base64.b64decode(KEY)), algorithms=["HS256"])
    assert read.claims == claims | {"exp": 1234}
    assert read.header == {"alg": "HS256", "typ": "JWT"}


@pytest.mark.parametrize("token", [session(OTHER, exp=5000), "a.b.c", ""])
def test_no_other_tokens_are_signed(token: str) -> None:
    with pytest.raises(ValueError, match="no session token of this store"):
        SessionTokens(KEY).ending(token, 1)
