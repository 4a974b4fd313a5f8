"""Answers in the shape of Cognito Identity's API, good and bad."""

import json
from typing import Any

from tests.fakes.http_stub import Reply, Request

POOL = "us-east-1:1a2b3c4d-0000-4000-8000-0123456789ab"
IDENTITY = "us-east-1:6f1c0f3e-2f0a-4c55-9a0e-6a4f4a7b1c2d"
TOKEN = "eyJhbGciOiJSUzUxMiJ9.open-id-token.signature"
SECRET_KEY = "temporary-secret-key"
SESSION_TOKEN = "temporary-session-token"
_SERVICE = "AWSCognitoIdentityService."
DEVELOPER_CALL = f"{_SERVICE}GetOpenIdTokenForDeveloperIdentity"
PUBLIC_CALL = f"{_SERVICE}GetCredentialsForIdentity"

OPEN_ID: dict[str, Any] = {"IdentityId": IDENTITY, "Token": TOKEN}
CREDENTIALS: dict[str, Any] = {
    "IdentityId": IDENTITY,
    "Credentials": {
        "AccessKeyId": "ASIAEXAMPLE",
        "SecretKey": SECRET_KEY,
        "SessionToken": SESSION_TOKEN,
        "Expiration": 1_893_456_000.0,
    },
}


def answer(body: Any, status: int = 200) -> Reply:
    return Reply(
        status,
        body if isinstance(body, bytes) else json.dumps(body).encode(),
        {"Content-Type": "application/x-amz-json-1.1"},
    )


def refusal(code: str, status: int = 400) -> Reply:
    return answer({"__type": code, "message": "arn:aws:iam::123456789012:role/secret"}, status)


def cognito(request: Request) -> Reply:
    """A pool that knows one user."""
    if request.headers.get("x-amz-target") == DEVELOPER_CALL:
        return answer(OPEN_ID)
    return answer(CREDENTIALS)
