"""The two operations: a token for a user of the developer's, and keys for a token."""

from dataclasses import dataclass
from typing import Any

from localcloud.cognito.errors import (
    InvalidParameterException,
    NotAuthorizedException,
    ResourceNotFoundException,
)
from localcloud.cognito.exchange import StsExchange
from localcloud.cognito.identities import Identities
from localcloud.cognito.key_life import KeyLife
from localcloud.cognito.tokens import TokenIssuer

TOKEN_PROVIDER = "cognito-identity.amazonaws.com"  # noqa: S105 - a name
_DEFAULT_TOKEN_SECONDS = 900
# The longest life of keys: some releases of the STS end the keys with the token.
_SHOWN_SECONDS = 43_200


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityPool:
    """One pool with one developer provider. Inputs and outputs have the API's member names."""

    pool_id: str
    developer_provider_name: str
    key_life: KeyLife
    identities: Identities
    tokens: TokenIssuer
    sts: StsExchange

    async def open_id_token_for_developer_identity(self, given: dict[str, Any]) -> dict[str, Any]:
        """Answer GetOpenIdTokenForDeveloperIdentity; the caller was checked to be the developer."""
        if given["IdentityPoolId"] != self.pool_id:
            raise ResourceNotFoundException(f"IdentityPool '{given['IdentityPoolId']}' not found.")
        user = self._developer_user(given["Logins"])
        provider = self.developer_provider_name
        identity_id = await self.identities.of_user(provider, user, given.get("IdentityId"))
        token = self.tokens.for_developer_user(
            identity_id,
            provider=provider,
            user=user,
            duration=given.get("TokenDuration", _DEFAULT_TOKEN_SECONDS),
            tags=given.get("PrincipalTags", {}),
        )
        return {"IdentityId": identity_id, "Token": token}

    async def credentials_for_identity(self, given: dict[str, Any]) -> dict[str, Any]:
        """Answer GetCredentialsForIdentity; anybody may call, and the token says who it is."""
        if "CustomRoleArn" in given:
            raise InvalidParameterException(
                "This pool has one role: CustomRoleArn is not supported."
            )
        identity_id = self.identities.find(given["IdentityId"])
        logins = given.get("Logins", {})
        if not logins:
            raise NotAuthorizedException(f"Access to Identity '{identity_id}' is forbidden.")
        if logins.keys() != {TOKEN_PROVIDER}:
            raise NotAuthorizedException(
                "Token is not from a supported provider of this identity pool."
            )
        verified = self.tokens.verify(logins[TOKEN_PROVIDER], identity_id)
        exchangeable = self.tokens.for_exchange(verified, duration=_SHOWN_SECONDS)
        keys = await self.sts.keys_for(exchangeable, ends_at=self.key_life.ends_at)
        credentials = {
            "AccessKeyId": keys.access_key_id,
            "SecretKey": keys.secret_key,
            "SessionToken": keys.session_token,
            "Expiration": keys.expiration,
        }
        return {"IdentityId": identity_id, "Credentials": credentials}

    def _developer_user(self, logins: dict[str, str]) -> str:
        user = logins.get(self.developer_provider_name)
        if user is None:
            raise InvalidParameterException(
                f"Logins must name the developer provider '{self.developer_provider_name}'."
            )
        if len(logins) > 1:
            raise NotAuthorizedException(
                "Token is not from a supported provider of this identity pool:"
                " it has the developer provider only."
            )
        return user
