import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from client.cognito import credentials_for
from client.problems import CredentialsError
from client.wire import Grant


class FakeCognito(HTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Cognito)
        self.requests: list[tuple[dict[str, str], Any]] = []
        self.status = 200
        self.answer = {
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
        answer = json.dumps(self.server.answer).encode()
        self.send_response(self.server.status)
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


def test_a_refusal_is_told_by_its_code(cognito: FakeCognito, grant: Grant) -> None:
    cognito.status = 400
    cognito.answer = {"__type": "NotAuthorizedException", "message": "Token an-open-id-token"}
    with pytest.raises(CredentialsError, match="NotAuthorizedException") as caught:
        credentials_for(grant)
    assert "an-open-id-token" not in str(caught.value)
