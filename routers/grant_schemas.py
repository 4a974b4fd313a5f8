"""The grant on the wire: a union discriminated by `mode`."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json

from service.grants.model import (
    COGNITO_LOGIN,
    CognitoGrant,
    Exchanged,
    Mode,
    Place,
    PresignedGrant,
    Reason,
)

_TIME = "2026-01-02T03:04:05Z"
_IDENTITY = "us-east-1:6f1c0f3e-2f0a-4c55-9a0e-6a4f4a7b1c2d"


class GrantRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    mode: Mode = Field(
        default="auto",
        description="`auto` answers a Cognito grant where it can be had, else a presigned one that "
        "says why. `cognito` insists: what stands in its way is a problem. `presigned` is "
        "always given.",
    )


class Endpoints(BaseModel):
    """Null on AWS, where every SDK knows them."""

    cognito_identity: str | None = Field(examples=[None])
    s3: str | None = Field(examples=[None])

    @classmethod
    def of(cls, place: Place) -> "Endpoints":
        return cls(cognito_identity=place.cognito_endpoint, s3=place.s3_endpoint)


class CognitoGrantResponse(BaseModel):
    """Exchange it at Cognito with GetCredentialsForIdentity; never call GetId."""

    mode: Literal["cognito"]
    identity_id: str = Field(examples=[_IDENTITY])
    open_id_token: str = Field(examples=["eyJraWQiOiJ1cy1lYXN0LTEi…"])
    logins: dict[str, str] = Field(
        description="Ready for GetCredentialsForIdentity's Logins.",
        examples=[{COGNITO_LOGIN: "eyJraWQiOiJ1cy1lYXN0LTEi…"}],
    )
    identity_pool_id: str = Field(examples=["us-east-1:1a2b3c4d-0000-4000-8000-0123456789ab"])
    region: str = Field(examples=["us-east-1"])
    endpoints: Endpoints
    bucket: str = Field(examples=["uploads"])
    key_prefix: str = Field(
        description="Ends in `/`; the credentials can write below it and nowhere else.",
        examples=[f"{_IDENTITY}/"],
    )
    expires_at: datetime = Field(description="The token's end.", examples=[_TIME])
    refresh_after: datetime = Field(description="Ask for a new grant from here on.")
    server_time: datetime = Field(description="For clients whose clock is off.")

    @classmethod
    def of(cls, grant: CognitoGrant) -> "CognitoGrantResponse":
        return cls(
            mode="cognito",
            identity_id=grant.open_id.identity_id,
            open_id_token=grant.open_id.token,
            logins={COGNITO_LOGIN: grant.open_id.token},
            identity_pool_id=grant.identity_pool_id,
            region=grant.place.region,
            endpoints=Endpoints.of(grant.place),
            bucket=grant.place.bucket,
            key_prefix=grant.key_prefix,
            expires_at=grant.expires_at,
            refresh_after=grant.refresh_after,
            server_time=grant.server_time,
        )


def rendered(grant: CognitoGrant) -> bytes:
    """The JSON of a CognitoGrantResponse, byte for byte, for a third of what making one costs."""
    token, place = grant.open_id.token, grant.place
    return to_json(
        {
            "mode": "cognito",
            "identity_id": grant.open_id.identity_id,
            "open_id_token": token,
            "logins": {COGNITO_LOGIN: token},
            "identity_pool_id": grant.identity_pool_id,
            "region": place.region,
            "endpoints": {"cognito_identity": place.cognito_endpoint, "s3": place.s3_endpoint},
            "bucket": place.bucket,
            "key_prefix": grant.key_prefix,
            "expires_at": grant.expires_at,
            "refresh_after": grant.refresh_after,
            "server_time": grant.server_time,
        }
    )


class PresignedGrantResponse(BaseModel):
    """No credentials: ask for signed addresses, upload by upload."""

    mode: Literal["presigned"]
    reason: Reason = Field(
        description="Why these are no credentials: the request said so (`requested`), the policy "
        "gives this caller none (`policy`), no identity pool is configured, or Cognito asks to "
        "slow down or cannot serve; ask again later then.",
        examples=["cognito_throttled"],
    )
    bucket: str = Field(examples=["uploads"])
    key_prefix: str = Field(
        description="Ends in `/`; new uploads get their keys below it. The caller's identity where "
        "it is known, else `users/` and their id.",
        examples=["users/usr_0b6e4c0a4c554f5b9a0e6a4f4a7b1c2d/"],
    )
    region: str = Field(examples=["us-east-1"])
    endpoints: Endpoints
    server_time: datetime = Field(description="For clients whose clock is off.")

    @classmethod
    def of(cls, grant: PresignedGrant) -> "PresignedGrantResponse":
        return cls(
            mode="presigned",
            reason=grant.reason,
            bucket=grant.place.bucket,
            key_prefix=grant.key_prefix,
            region=grant.place.region,
            endpoints=Endpoints.of(grant.place),
            server_time=grant.server_time,
        )


class TemporaryCredentialsBase(BaseModel):
    access_key_id: str = Field(examples=["ASIAEXAMPLE"])
    secret_access_key: str
    session_token: str
    expires_at: datetime
    region: str = Field(examples=["us-east-1"])
    endpoint: str | None = Field(description="The store's; null on AWS.", examples=[None])
    bucket: str = Field(examples=["uploads"])
    key_prefix: str = Field(examples=[f"{_IDENTITY}/"])
    server_time: datetime


class StsGrantResponse(TemporaryCredentialsBase):
    """Credentials at once. Not given yet; in the schema so that clients need not change."""

    mode: Literal["sts"]


class ExchangeResponse(TemporaryCredentialsBase):
    """Temporary AWS credentials for the caller's own folder."""

    @classmethod
    def of(cls, exchanged: Exchanged) -> "ExchangeResponse":
        credentials = exchanged.credentials
        return cls(
            access_key_id=credentials.access_key_id,
            secret_access_key=credentials.secret_access_key,
            session_token=credentials.session_token,
            expires_at=credentials.expires_at,
            region=exchanged.place.region,
            endpoint=exchanged.place.s3_endpoint,
            bucket=exchanged.place.bucket,
            key_prefix=exchanged.key_prefix,
            server_time=exchanged.server_time,
        )


Grant = Annotated[
    CognitoGrantResponse | PresignedGrantResponse | StsGrantResponse,
    Field(discriminator="mode"),
]
