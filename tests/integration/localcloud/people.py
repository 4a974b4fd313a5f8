"""Clients of an embedded cloud: the service's own, and those of users with temporary keys."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aioboto3
from aiobotocore.config import AioConfig

from localcloud import LocalCloud

if TYPE_CHECKING:
    from types_aiobotocore_cognito_identity import CognitoIdentityClient
    from types_aiobotocore_cognito_identity.type_defs import CredentialsTypeDef
    from types_aiobotocore_s3 import S3Client

TOKEN_PROVIDER = "cognito-identity.amazonaws.com"
_CONFIG = AioConfig(
    signature_version="s3v4",
    s3={"addressing_style": "path"},
    retries={"total_max_attempts": 1},
    connect_timeout=30,
    read_timeout=60,
)


@dataclass(frozen=True, kw_only=True)
class Person:
    """A user with keys of their own."""

    identity_id: str
    keys: "CredentialsTypeDef"
    s3: "S3Client"

    def key(self, name: str) -> str:
        return f"{self.identity_id}/{name}"


def cognito_client(
    cloud: LocalCloud, *, secret: str | None = None
) -> contextlib.AbstractAsyncContextManager["CognitoIdentityClient"]:
    return aioboto3.Session().client(
        "cognito-identity",
        region_name=cloud.region,
        endpoint_url=cloud.cognito_endpoint,
        aws_access_key_id=cloud.service_access_key_id,
        aws_secret_access_key=secret or cloud.service_secret_access_key,
        config=AioConfig(retries={"total_max_attempts": 1}),
    )


def service_s3(cloud: LocalCloud) -> contextlib.AbstractAsyncContextManager["S3Client"]:
    return aioboto3.Session().client(
        "s3",
        region_name=cloud.region,
        endpoint_url=cloud.s3_endpoint,
        aws_access_key_id=cloud.service_access_key_id,
        aws_secret_access_key=cloud.service_secret_access_key,
        config=_CONFIG,
    )


async def token_for(cloud: LocalCloud, user: str) -> tuple[str, str]:
    """The user's identity and a fresh token."""
    async with cognito_client(cloud) as cognito:
        answer = await cognito.get_open_id_token_for_developer_identity(
            IdentityPoolId=cloud.identity_pool_id,
            Logins={cloud.developer_provider_name: user},
        )
    return answer["IdentityId"], answer["Token"]


@contextlib.asynccontextmanager
async def person(cloud: LocalCloud, user: str) -> AsyncIterator[Person]:
    identity_id, token = await token_for(cloud, user)
    async with cognito_client(cloud) as cognito:
        answer = await cognito.get_credentials_for_identity(
            IdentityId=identity_id, Logins={TOKEN_PROVIDER: token}
        )
    keys = answer["Credentials"]
    async with aioboto3.Session().client(
        "s3",
        region_name=cloud.region,
        endpoint_url=cloud.s3_endpoint,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretKey"],
        aws_session_token=keys["SessionToken"],
        config=_CONFIG,
    ) as s3:
        yield Person(identity_id=identity_id, keys=keys, s3=s3)
