"""Grants: what a client gets so that it can upload, discriminated by `mode`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

# The provider name under which every OpenID token of an identity pool is presented.
COGNITO_LOGIN = "cognito-identity.amazonaws.com"

Mode = Literal["auto", "cognito", "presigned"]
Reason = Literal[
    "requested", "policy", "cognito_not_configured", "cognito_throttled", "cognito_unavailable"
]


@dataclass(frozen=True, slots=True)
class OpenIdToken:
    """What Cognito answers the developer call. The token is secret, so repr hides it."""

    identity_id: str
    token: str

    def __repr__(self) -> str:
        return f"OpenIdToken(identity_id={self.identity_id!r}, token=***)"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptToken:
    """An OpenID token with its times: good until `expires_at`, to be replaced from `refresh_after`
    on. The latter is drawn once, with jitter, so that users who came together do not come back
    together.
    """

    open_id: OpenIdToken
    expires_at: datetime
    refresh_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where uploads go. An endpoint is None on AWS, where the SDK knows it."""

    region: str
    bucket: str
    cognito_endpoint: str | None
    s3_endpoint: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CognitoGrant:
    """The client exchanges the token at Cognito for credentials of one hour.

    `key_prefix` ends in `/`; `refresh_after` is when a client should ask anew, before
    `expires_at`, the end of the OpenID token.
    """

    mode: Literal["cognito"] = "cognito"
    open_id: OpenIdToken
    identity_pool_id: str
    place: Place
    key_prefix: str
    expires_at: datetime
    refresh_after: datetime
    server_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PresignedGrant:
    """No credentials: the client asks for signed addresses, upload by upload. `reason` says why."""

    mode: Literal["presigned"] = "presigned"
    reason: Reason
    place: Place
    key_prefix: str
    server_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TemporaryCredentials:
    """AWS credentials for the user's own folder. repr shows no secret."""

    access_key_id: str
    secret_access_key: str
    session_token: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"TemporaryCredentials({self.access_key_id!r}, expires_at={self.expires_at})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanged:
    """What `exchange` answers: credentials, and where they are good."""

    credentials: TemporaryCredentials
    place: Place
    key_prefix: str
    server_time: datetime
