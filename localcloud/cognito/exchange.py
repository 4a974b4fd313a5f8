"""The exchange of a token for temporary keys, at the store's STS."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from types import TracebackType
from typing import Self
from xml.etree import ElementTree as ET

import httpx

from localcloud.cognito.errors import (
    ExternalServiceException,
    InvalidIdentityPoolConfigurationException,
)
from localcloud.store.policies import ROLE_ARN
from localcloud.store.session_token import SessionTokens

_NAMESPACE = "{https://sts.amazonaws.com/doc/2011-06-15/}"
# What AWS's own Cognito calls its sessions.
_SESSION_NAME = "CognitoIdentityCredentials"
_TIMEOUT = httpx.Timeout(20.0, connect=10.0)
_LIMITS = httpx.Limits(max_connections=50, max_keepalive_connections=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class TemporaryKeys:
    """What the STS gave. `expiration` is seconds since the epoch."""

    access_key_id: str
    secret_key: str = field(repr=False)
    session_token: str = field(repr=False)
    expiration: float


class StsExchange:
    """A client of one STS endpoint (AssumeRoleWithWebIdentity, unsigned)."""

    def __init__(self, endpoint: str, sessions: SessionTokens) -> None:
        self._endpoint = endpoint
        self._sessions = sessions
        self._http = httpx.AsyncClient(timeout=_TIMEOUT, limits=_LIMITS, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def keys_for(self, token: str, *, ends_at: int) -> TemporaryKeys:
        """Exchange the token for keys that end then (seconds since the epoch), or sooner where
        the STS says so.

        ExternalServiceException when the STS does not answer or is not ready,
        InvalidIdentityPoolConfigurationException when it refuses a token of this pool.
        """
        form = {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": "2011-06-15",
            "RoleArn": ROLE_ARN,
            "RoleSessionName": _SESSION_NAME,
            "WebIdentityToken": token,
        }
        try:
            response = await self._http.post(self._endpoint, data=form)
        except httpx.HTTPError as error:
            raise ExternalServiceException(f"STS: {type(error).__name__}") from error
        if response.is_server_error:
            raise ExternalServiceException(f"STS answered {response.status_code}")
        if not response.is_success:
            raise InvalidIdentityPoolConfigurationException(
                "Invalid identity pool configuration. Check assigned IAM roles for this pool."
            )
        return self._ending(_parse(response.content), ends_at)

    def _ending(self, keys: TemporaryKeys, at: int) -> TemporaryKeys:
        if at >= keys.expiration:
            return keys
        token = self._sessions.ending(keys.session_token, at)
        return replace(keys, session_token=token, expiration=float(at))


def _parse(body: bytes) -> TemporaryKeys:
    try:
        # The answer of this process's own child, over loopback.
        found = ET.fromstring(body).find(f".//{_NAMESPACE}Credentials")  # noqa: S314
        values = {child.tag.removeprefix(_NAMESPACE): child.text or "" for child in found or ()}
        return TemporaryKeys(
            access_key_id=values["AccessKeyId"],
            secret_key=values["SecretAccessKey"],
            session_token=values["SessionToken"],
            expiration=datetime.fromisoformat(values["Expiration"]).timestamp(),
        )
    except (ET.ParseError, KeyError, ValueError) as error:
        raise ExternalServiceException("STS gave an answer that cannot be read") from error
