import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from client.cognito import _endpoint, credentials_for
from client.problems import CredentialsError
from client.wire import Grant


class FakeCognito(HTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Cognito)
        self.requests: list[tuple[dict[str, str], Any]] = []
        self.refusals: list[tuple[int, str]] = []
        self.answer: dict[str, Any] = {
            "IdentityId": "us-east-1:me",
            "Credentials": {
                "AccessKeyId": "ASIA1",
                "SecretKey": "secret-1",
                "SessionToken": "session-1",
                "Expiration": 1893502800,
            },
        }


class _Cognito(BaseHTTPRequestHandler):
    server: FakeCognito

    def log_message(self, *_: object) -> None:
        return

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((dict(self.headers), body))
        status, told = 200, self.server.answer
        if self.server.refusals:
            status, code = self.server.refusals.pop(0)
            told = {"__type": code, "message": "Token an-open-id-token"} if code else {}
        answer = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


@pytest.fixture
def cognito() -> Iterator[Any]:
    server = FakeCognito()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def grant(cognito: FakeCognito, cognito_grant: dict[str, Any]) -> Any:
    endpoint = f"http://127.0.0.1:{cognito.server_address[1]}"
    return Grant.read({**cognito_grant, "endpoints": {"cognito_identity": endpoint, "s3": None}})


def test_the_exchange_is_unsigned_and_names_the_grants_identity(
    cognito: FakeCognito, grant: Grant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAAMBIENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "ambient")
    keys = credentials_for(grant)
    (headers, body), *more = cognito.requests
    assert headers["X-Amz-Target"] == "AWSCognitoIdentityService.GetCredentialsForIdentity"
    assert "Authorization" not in headers
    assert body == {
        "IdentityId": "us-east-1:me",
        "Logins": {"cognito-identity.amazonaws.com": "an-open-id-token"},
    }
    assert more == []
    assert (keys.access_key_id, keys.secret_access_key) == ("ASIA1", "secret-1")
    assert keys.expires_at.timestamp() == 1893502800
    assert "secret-1" not in repr(keys)


@pytest.mark.parametrize("namespace", ["", "com.amazonaws.cognito#"])
def test_a_refusal_is_told_by_its_code_and_not_repeated(
    cognito: FakeCognito, grant: Grant, namespace: str
) -> None:
    cognito.refusals = [(400, f"{namespace}NotAuthorizedException")]
    with pytest.raises(CredentialsError, match=r": NotAuthorizedException$") as caught:
        credentials_for(grant, sleep=_never)
    assert "an-open-id-token" not in str(caught.value)
    assert not caught.value.passing
    assert len(cognito.requests) == 1


def test_what_may_pass_is_asked_again(cognito: FakeCognito, grant: Grant) -> None:
    cognito.refusals = [(400, "TooManyRequestsException"), (503, "")]
    slept: list[float] = []
    assert credentials_for(grant, sleep=slept.append).access_key_id == "ASIA1"
    assert len(cognito.requests) == 3
    assert len(slept) == 2


def test_it_is_not_asked_for_ever(cognito: FakeCognito, grant: Grant) -> None:
    cognito.refusals = [(400, "TooManyRequestsException")] * 10
    with pytest.raises(CredentialsError) as caught:
        credentials_for(grant, sleep=lambda _: None)
    assert caught.value.passing
    assert len(cognito.requests) == 4


def test_no_answer_may_pass_too(cognito_grant: dict[str, Any]) -> None:
    closed = {**cognito_grant, "endpoints": {"cognito_identity": "http://127.0.0.1:9"}}
    with pytest.raises(CredentialsError, match="does not answer") as caught:
        credentials_for(Grant.read(closed), sleep=lambda _: None)
    assert caught.value.passing


@pytest.mark.parametrize(
    "found", [None, {"AccessKeyId": "ASIA1"}, {"SecretKey": "secret-1", "Expiration": "soon"}]
)
def test_an_answer_of_another_shape_is_told_without_its_keys(
    cognito: FakeCognito, grant: Grant, found: object
) -> None:
    cognito.answer = {"Credentials": found}
    with pytest.raises(CredentialsError, match="strangely") as caught:
        credentials_for(grant, sleep=_never)
    assert "secret-1" not in str(caught.value)


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-west-1", "https://cognito-identity.eu-west-1.amazonaws.com"),
        ("cn-north-1", "https://cognito-identity.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_at_aws_it_is_the_regions_own(region: str, host: str) -> None:
    assert _endpoint(region) == host


def _never(seconds: float) -> object:
    raise AssertionError(f"it was to wait {seconds} s")
