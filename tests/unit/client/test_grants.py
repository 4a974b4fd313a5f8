import threading
from datetime import timedelta
from typing import Any

import httpx
import pytest

from client.api import Api
from client.boto import refreshable
from client.grants import CredentialSource, Issued
from client.problems import CredentialsError
from client.wire import Exchanged, Grant, Keys
from tests.unit.client.fakes import NOW, HttpFor, Tokens


def _source(http_for: HttpFor, tokens: Tokens, body: Any, **more: Any) -> Any:
    api = Api(http_for(lambda _: httpx.Response(200, json=body)), tokens)
    return CredentialSource(api, clock=lambda: NOW, **more)


def test_a_grant_is_exchanged_at_cognito(
    http_for: HttpFor, tokens: Tokens, cognito_grant: dict[str, Any], exchanged: dict[str, Any]
) -> None:
    keys = Exchanged.read(exchanged).keys
    grants = []

    def at_cognito(grant: Grant) -> Any:
        grants.append(grant)
        return keys

    issued = _source(http_for, tokens, cognito_grant, at_cognito=at_cognito).issue()
    assert issued.keys is keys
    assert dict(grants[0].logins) == {"cognito-identity.amazonaws.com": "an-open-id-token"}


def test_the_services_own_exchange_needs_no_cognito(
    http_for: HttpFor, tokens: Tokens, exchanged: dict[str, Any]
) -> None:
    issued = _source(http_for, tokens, exchanged, way="exchange").issue()
    assert issued.keys.access_key_id == "ASIAEXAMPLE"
    assert issued.place.endpoint == "http://store.test"


def test_a_presigned_grant_says_why_there_are_no_keys(
    http_for: HttpFor, tokens: Tokens, cognito_grant: dict[str, Any]
) -> None:
    body = {**cognito_grant, "mode": "presigned", "reason": "policy"}
    with pytest.raises(CredentialsError, match="policy allows none"):
        _source(http_for, tokens, body).issue()


@pytest.mark.parametrize("minutes", [-7, 0, 7])
def test_expiry_is_reckoned_by_this_machines_clock(
    http_for: HttpFor, tokens: Tokens, exchanged: dict[str, Any], minutes: int
) -> None:
    skew = timedelta(minutes=minutes)
    body = {
        **exchanged,
        "server_time": (NOW + skew).isoformat(),
        "expires_at": (NOW + skew + timedelta(hours=1)).isoformat(),
    }
    issued = _source(http_for, tokens, body, way="exchange").issue()
    assert issued.skew == skew
    assert issued.expires_at_here == NOW + timedelta(hours=1)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> Any:
        return self.now


class Issuer:
    """Issues numbered keys that live so long; `gate` holds the issuing back."""

    def __init__(self, clock: Clock, place: Any, life: Any) -> None:
        self._clock, self._place, self._life = clock, place, life
        self.count = 0
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def __call__(self) -> Any:
        self.count += 1
        self.entered.set()
        self.gate.wait(10)
        keys = Keys(f"ASIA{self.count}", "secret", "session", self._clock() + self._life)
        return Issued(keys, self._place, timedelta(0))


@pytest.fixture
def clock() -> Any:
    return Clock()


@pytest.fixture
def issuer(clock: Clock, cognito_grant: dict[str, Any]) -> Any:
    return Issuer(clock, Grant.read(cognito_grant).place, timedelta(hours=1))


def test_keys_are_renewed_early_by_one_thread_while_the_others_go_on(
    clock: Clock, issuer: Issuer
) -> None:
    credentials = refreshable(issuer(), issuer, clock)
    clock.now += timedelta(minutes=46)  # within the last quarter, none of them expired
    issuer.gate.clear()
    issuer.entered.clear()
    first = threading.Thread(target=credentials.get_frozen_credentials)
    first.start()
    assert issuer.entered.wait(10)
    assert credentials.get_frozen_credentials().access_key == "ASIA1"
    issuer.gate.set()
    first.join()
    assert credentials.get_frozen_credentials().access_key == "ASIA2"
    assert issuer.count == 2


def test_keys_about_to_die_make_everybody_wait_for_one_renewal(
    clock: Clock, issuer: Issuer
) -> None:
    credentials = refreshable(issuer(), issuer, clock)
    clock.now += timedelta(minutes=55)
    found = []
    threads = [
        threading.Thread(
            target=lambda: found.append(credentials.get_frozen_credentials().access_key)
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["ASIA2"] * 8
    assert issuer.count == 2


def test_short_lived_keys_are_not_renewed_at_every_request(
    clock: Clock, cognito_grant: dict[str, Any]
) -> None:
    place = Grant.read(cognito_grant).place
    issuer = Issuer(clock, place, timedelta(seconds=20))
    credentials = refreshable(issuer(), issuer, clock)
    clock.now += timedelta(seconds=9)
    assert credentials.get_frozen_credentials().access_key == "ASIA1"
    clock.now += timedelta(seconds=2)
    assert credentials.get_frozen_credentials().access_key == "ASIA2"
