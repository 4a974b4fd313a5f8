"""What goes over the wire to Cognito, and what a good answer becomes."""

from datetime import UTC, datetime

from aws.cognito import CognitoIdentityPool
from service.grants.model import COGNITO_LOGIN, OpenIdToken, TemporaryCredentials
from tests.fakes.cognito_api import (
    DEVELOPER_CALL,
    IDENTITY,
    POOL,
    PUBLIC_CALL,
    SECRET_KEY,
    SESSION_TOKEN,
    TOKEN,
)
from tests.fakes.http_stub import HttpStub


async def test_the_developer_call_is_signed_and_asks_for_one_user(
    pool: CognitoIdentityPool, stub: HttpStub
) -> None:
    assert await pool.open_id_token("usr_ada", seconds=600) == OpenIdToken(IDENTITY, TOKEN)
    (request,) = stub.requests
    assert request.headers["x-amz-target"] == DEVELOPER_CALL
    assert request.json() == {
        "IdentityPoolId": POOL,
        "Logins": {"login.example": "usr_ada"},
        "TokenDuration": 600,
    }
    signature = request.headers["authorization"]
    assert signature.startswith("AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/")
    assert "/us-east-1/cognito-identity/aws4_request" in signature


async def test_the_public_call_is_not_signed(pool: CognitoIdentityPool, stub: HttpStub) -> None:
    found = await pool.credentials(OpenIdToken(IDENTITY, TOKEN))
    assert found == TemporaryCredentials(
        access_key_id="ASIAEXAMPLE",
        secret_access_key=SECRET_KEY,
        session_token=SESSION_TOKEN,
        expires_at=datetime(2030, 1, 1, tzinfo=UTC),
    )
    (request,) = stub.requests
    assert request.headers["x-amz-target"] == PUBLIC_CALL
    assert request.json() == {"IdentityId": IDENTITY, "Logins": {COGNITO_LOGIN: TOKEN}}
    assert "authorization" not in request.headers
    assert "x-amz-security-token" not in request.headers
