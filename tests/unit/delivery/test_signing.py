"""Held against the library that receivers verify with."""

import base64
import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from service.delivery import signing

keys = st.binary(min_size=24, max_size=64)
ids = st.text("abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=64)
payloads = st.text(st.characters(exclude_categories=["Cs"]))


def secret_of(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


def verified(secret: str, headers: dict[str, str], body: bytes) -> bool:
    try:
        Webhook(secret).verify(body, headers, json_parse=False)
    except WebhookVerificationError:
        return False
    return True


def test_the_specifications_own_example() -> None:
    headers = signing.signed_headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@given(key=keys, event_id=ids, at=st.integers(0, 2**33), payload=payloads)
def test_byte_for_byte_as_the_library_signs(
    key: bytes, event_id: str, at: int, payload: str
) -> None:
    secret = secret_of(key)
    headers = signing.signed_headers(event_id, at, payload.encode(), [secret])
    moment = datetime.fromtimestamp(at, UTC)
    assert headers["webhook-signature"] == Webhook(secret).sign(event_id, moment, payload)


@given(key=keys, other=keys, payload=payloads)
def test_either_secret_verifies_while_one_replaces_the_other(
    key: bytes, other: bytes, payload: str
) -> None:
    both = [secret_of(key), secret_of(other)]
    headers = signing.signed_headers("evt_1", int(time.time()), payload.encode(), both)
    assert all(verified(secret, headers, payload.encode()) for secret in both)
    assert len(headers["webhook-signature"].split(" ")) == 2


@given(payload=st.binary(max_size=50), other=st.binary(max_size=50))
def test_nothing_else_verifies(payload: bytes, other: bytes) -> None:
    at, secret = int(time.time()), signing.new_secret()
    text, changed = payload.hex().encode(), other.hex().encode()
    headers = signing.signed_headers("evt_1", at, text, [secret])
    assert verified(secret, headers, text)
    assert verified(secret, headers, changed) is (text == changed)
    assert not verified(secret, {**headers, "webhook-id": "evt_2"}, text)
    assert not verified(secret, {**headers, "webhook-timestamp": str(at - 1)}, text)
    assert not verified(signing.new_secret(), headers, text)


def test_a_new_secret_is_32_bytes_of_chance() -> None:
    assert len(signing.key_of(signing.new_secret())) == 32
    assert len({signing.new_secret() for _ in range(100)}) == 100


@given(key=st.binary(max_size=100))
def test_a_secret_has_24_to_64_bytes(key: bytes) -> None:
    if 24 <= len(key) <= 64:
        assert signing.key_of(secret_of(key)) == key
    else:
        with pytest.raises(ValueError, match="24 to 64"):
            signing.key_of(secret_of(key))


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "whsec_",
        base64.b64encode(b"k" * 32).decode(),
        "WHSEC_" + base64.b64encode(b"k" * 32).decode(),
        "whsec_" + base64.b64encode(b"k" * 32).decode() + "\n",
        "whsec_" + base64.b64encode(b"k" * 32).decode().rstrip("="),
        "whsec_" + "é" * 44,
        "whsec_whsec_" + base64.b64encode(b"k" * 32).decode(),
    ],
)
def test_what_is_no_secret_is_refused_without_being_shown(wrong: str) -> None:
    with pytest.raises(ValueError, match="base64") as caught:
        signing.key_of(wrong)
    assert len(wrong) < 8 or wrong not in str(caught.value)


@pytest.mark.parametrize("wrong", ["", "evt.1"])
def test_an_id_must_not_be_readable_as_something_else(wrong: str) -> None:
    with pytest.raises(ValueError, match="id"):
        signing.signed_headers(wrong, 1, b"{}", [signing.new_secret()])
