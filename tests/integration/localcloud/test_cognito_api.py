"""The Cognito Identity API over the wire, called by stock clients and by bad ones."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from localcloud import LocalCloud
from localcloud.cognito.identities import IdentityId
from localcloud.cognito.signing_key import signing_key
from localcloud.cognito.tokens import TokenIssuer
from tests.integration.localcloud.conftest import ORIGIN
from tests.integration.localcloud.people import TOKEN_PROVIDER, cognito_client, token_for

NOBODY = "us-east-1:00000000-0000-0000-0000-000000000000"


async def post(
    cloud: LocalCloud, operation: str, body: bytes | dict[str, Any], **headers: str
) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    target = {"X-Amz-Target": f"AWSCognitoIdentityService.{operation}"}
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        return await client.post(cloud.cognito_endpoint, content=content, headers=target | headers)


async def exchange(cloud: LocalCloud, identity: str, logins: dict[str, str]) -> httpx.Response:
    return await post(
        cloud, "GetCredentialsForIdentity", {"IdentityId": identity, "Logins": logins}
    )


def says(answer: httpx.Response, code: str, text: str, status: int = 400) -> bool:
    assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["x-amzn-requestid"])
    assert answer.headers["content-type"] == "application/x-amz-json-1.1"
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert (answer.status_code, body["__type"]) == (status, code), body
    assert answer.headers["x-amzn-errortype"].rstrip(":") == code
    assert text in body["message"], body
    return True


async def test_one_user_is_one_identity(cloud: LocalCloud) -> None:
    answers = await asyncio.gather(*(token_for(cloud, "carol") for _ in range(10)))
    assert len({identity for identity, _ in answers}) == 1
    assert re.fullmatch(r"us-east-1:[0-9a-f-]{36}", answers[0][0])
    assert (await token_for(cloud, "dave"))[0] != answers[0][0]


async def test_keys_live_an_hour_whatever_is_left_of_the_token(cloud: LocalCloud) -> None:
    async with cognito_client(cloud) as cognito:
        made = await cognito.get_open_id_token_for_developer_identity(
            IdentityPoolId=cloud.identity_pool_id,
            Logins={cloud.developer_provider_name: "erin"},
            TokenDuration=60,
            PrincipalTags={"team": "red"},
        )
        answer = await cognito.get_credentials_for_identity(
            IdentityId=made["IdentityId"], Logins={TOKEN_PROVIDER: made["Token"]}
        )
    assert answer["IdentityId"] == made["IdentityId"]
    left = answer["Credentials"]["Expiration"] - datetime.now(UTC)
    assert timedelta(seconds=3590) < left <= timedelta(seconds=3601)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"IdentityPoolId": NOBODY}, "ResourceNotFoundException"),
        ({"IdentityId": NOBODY}, "ResourceNotFoundException"),
        ({"Logins": {"another.provider": "u"}}, "InvalidParameterException"),
        (
            {"Logins": {"login.uploadgate": "u", "graph.facebook.com": "t"}},
            "NotAuthorizedException",
        ),
        ({"Logins": {}}, "InvalidParameterException"),
        ({"TokenDuration": 86_401}, "ValidationException"),
    ],
)
async def test_the_developer_is_told_what_is_wrong(
    cloud: LocalCloud, changed: dict[str, Any], code: str
) -> None:
    given = {"IdentityPoolId": cloud.identity_pool_id, "Logins": {"login.uploadgate": "frank"}}
    async with cognito_client(cloud) as cognito:
        with pytest.raises(ClientError) as caught:
            await cognito.get_open_id_token_for_developer_identity(**(given | changed))
    assert caught.value.response["Error"]["Code"] == code


async def test_a_user_of_another_identity_is_a_conflict(cloud: LocalCloud) -> None:
    (first, _), _ = await token_for(cloud, "grace"), await token_for(cloud, "heidi")
    async with cognito_client(cloud) as cognito:
        with pytest.raises(cognito.exceptions.DeveloperUserAlreadyRegisteredException):
            await cognito.get_open_id_token_for_developer_identity(
                IdentityPoolId=cloud.identity_pool_id,
                IdentityId=first,
                Logins={cloud.developer_provider_name: "heidi"},
            )


async def test_only_the_services_key_registers_users(cloud: LocalCloud) -> None:
    operation = "GetOpenIdTokenForDeveloperIdentity"
    given = {
        "IdentityPoolId": cloud.identity_pool_id,
        "Logins": {cloud.developer_provider_name: "mallory"},
    }
    unsigned = await post(cloud, operation, given)
    assert says(unsigned, "MissingAuthenticationTokenException", "Missing Authentication Token")
    async with cognito_client(cloud, secret="wrong") as cognito:
        with pytest.raises(ClientError, match="InvalidSignatureException"):
            await cognito.get_open_id_token_for_developer_identity(**given)  # type: ignore[arg-type]


async def test_a_token_is_for_its_identity_only(cloud: LocalCloud) -> None:
    (mine, token), (other, _) = await token_for(cloud, "ivan"), await token_for(cloud, "judy")
    assert (await exchange(cloud, mine, {TOKEN_PROVIDER: token})).status_code == 200
    answer = await exchange(cloud, other, {TOKEN_PROVIDER: token})
    assert says(answer, "NotAuthorizedException", f"Access to Identity '{other}' is forbidden.")


async def test_who_shows_no_token_gets_nothing(cloud: LocalCloud) -> None:
    identity, token = await token_for(cloud, "ivan")
    missing = await exchange(cloud, NOBODY, {TOKEN_PROVIDER: token})
    assert says(missing, "ResourceNotFoundException", f"Identity '{NOBODY}' not found.")
    assert says(await exchange(cloud, identity, {}), "NotAuthorizedException", "forbidden")
    other = await exchange(cloud, identity, {"accounts.google.com": token})
    assert says(other, "NotAuthorizedException", "not from a supported provider")


async def test_an_expired_token_is_refused(cloud: LocalCloud, data_dir: Path) -> None:
    identity, _ = await token_for(cloud, "ivan")
    issuer = TokenIssuer(key=signing_key(data_dir / "cognito.pem"), pool_id=cloud.identity_pool_id)
    expired = issuer.for_developer_user(
        IdentityId(identity),
        provider=cloud.developer_provider_name,
        user="ivan",
        duration=-1,
        tags={},
    )
    answer = await exchange(cloud, identity, {TOKEN_PROVIDER: expired})
    assert says(answer, "NotAuthorizedException", "Invalid login token. Token expired: ")


async def test_another_pools_token_is_refused(cloud: LocalCloud, tmp_path: Path) -> None:
    identity, _ = await token_for(cloud, "ivan")
    stranger = TokenIssuer(
        key=signing_key(tmp_path / "cognito.pem"), pool_id=cloud.identity_pool_id
    )
    token = stranger.for_developer_user(
        IdentityId(identity), provider="login.uploadgate", user="ivan", duration=900, tags={}
    )
    answer = await exchange(cloud, identity, {TOKEN_PROVIDER: token})
    assert says(answer, "NotAuthorizedException", "Invalid login token.")
    form = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": "arn:aws:iam::000000000000:role/authenticated",
        "RoleSessionName": "stranger",
        "WebIdentityToken": token,
    }
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        at_the_sts = await client.post(cloud.sts_endpoint, data=form)
    assert at_the_sts.status_code in {400, 403}


@pytest.mark.parametrize(
    ("operation", "body", "code", "status"),
    [
        ("GetId", b"{}", "UnknownOperationException", 404),
        ("", b"{}", "UnknownOperationException", 404),
        ("GetCredentialsForIdentity", b"{", "SerializationException", 400),
        ("GetCredentialsForIdentity", b"{}", "ValidationException", 400),
        ("GetCredentialsForIdentity", b" " * (1 << 21), "RequestEntityTooLargeException", 413),
    ],
)
async def test_what_it_does_not_know_it_refuses(
    cloud: LocalCloud, operation: str, body: bytes, code: str, status: int
) -> None:
    assert says(await post(cloud, operation, body), code, "", status)


async def test_pages_may_exchange_and_read_errors(cloud: LocalCloud) -> None:
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,x-amz-target,x-amz-user-agent",
    }
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        preflight = await client.options(cloud.cognito_endpoint, headers=asked)
        stranger = await client.options(
            cloud.cognito_endpoint, headers=asked | {"Origin": "http://evil.example"}
        )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == ORIGIN
    assert "access-control-allow-origin" not in stranger.headers
    answer = await post(cloud, "GetCredentialsForIdentity", b"{}", Origin=ORIGIN)
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "x-amzn-errortype" in answer.headers["access-control-expose-headers"].lower()


async def test_the_public_key_is_where_aws_has_it(cloud: LocalCloud) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        answer = await client.get(f"{cloud.cognito_endpoint}/.well-known/jwks_uri")
    (key,) = answer.json()["keys"]
    assert key.keys() == {"kty", "n", "e", "use", "alg", "kid"}


async def test_it_can_be_off_while_the_store_is_on(cloud: LocalCloud) -> None:
    identity, token = await token_for(cloud, "ivan")
    await cloud.stop_cognito()
    try:
        with pytest.raises(httpx.ConnectError):
            await exchange(cloud, identity, {TOKEN_PROVIDER: token})
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            assert (await client.get(f"{cloud.s3_endpoint}/healthz")).status_code == 200
    finally:
        await cloud.start_cognito()
    assert (await exchange(cloud, identity, {TOKEN_PROVIDER: token})).status_code == 200
