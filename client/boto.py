"""botocore sessions that know nothing but the grant: not the user's profile, not the
environment's keys or endpoints.
"""

import os
from collections.abc import Callable
from datetime import datetime
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import CredentialProvider, CredentialResolver, RefreshableCredentials

from client.grants import Issued, now
from client.wire import Place

# As long before expiry as botocore itself, where the keys live an hour (Cognito's always do).
_REFRESH_SECONDS = 900
_MUST_REFRESH_SECONDS = 600


# Name in a profile, name in the environment, default, conversion: read from nowhere.
_BARE: dict[str, Any] = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}


def bare_session() -> botocore.session.Session:
    return botocore.session.Session(session_vars=_BARE)


def options_for(endpoint: str | None) -> dict[str, Any]:
    """What every client here has in common. An endpoint that the grant names is reached directly,
    AWS through whatever proxy the environment says (None).
    """
    return {
        "connect_timeout": 5,
        "proxies": None if endpoint is None else {},
        "ignore_configured_endpoint_urls": True,
    }


class _Granted(CredentialProvider):
    METHOD = "uploadgate"

    def __init__(self, credentials: RefreshableCredentials) -> None:
        super().__init__()
        self._credentials = credentials

    def load(self) -> RefreshableCredentials:
        return self._credentials


def refreshable(
    first: Issued, issue: Callable[[], Issued], clock: Callable[[], datetime] = now
) -> RefreshableCredentials:
    """Credentials that renew themselves early, by one thread at a time; while the old ones are
    still good the others go on with them. Keys that live shorter are renewed at half their life.
    """
    life = (first.expires_at_here - clock()).total_seconds()
    return RefreshableCredentials(
        first.keys.access_key_id,
        first.keys.secret_access_key,
        first.keys.session_token,
        first.expires_at_here,
        lambda: _metadata(issue()),
        "uploadgate",
        time_fetcher=clock,
        advisory_timeout=int(min(_REFRESH_SECONDS, life / 2)),
        mandatory_timeout=int(min(_MUST_REFRESH_SECONDS, life / 4)),
    )


def _metadata(issued: Issued) -> dict[str, str]:
    return {
        "access_key": issued.keys.access_key_id,
        "secret_key": issued.keys.secret_access_key,
        "token": issued.keys.session_token,
        "expiry_time": issued.expires_at_here.isoformat(),
    }


def boto3_session(credentials: RefreshableCredentials, region: str) -> boto3.Session:
    """For a program's own use of the granted folder with boto3."""
    session = bare_session()
    session.register_component("credential_provider", CredentialResolver([_Granted(credentials)]))
    return boto3.Session(botocore_session=session, region_name=region)


def s3_client(session: boto3.Session, place: Place, *, connections: int) -> Any:
    """An S3 client for the granted place; `connections` is how many requests run at once."""
    return session.client("s3", endpoint_url=place.endpoint, config=_config(place, connections))


def _config(place: Place, connections: int) -> Config:
    return Config(
        signature_version="s3v4",
        s3={
            "addressing_style": "virtual" if place.endpoint is None else "path",
            "us_east_1_regional_endpoint": "regional",
        },
        read_timeout=60,
        retries={"mode": "standard", "total_max_attempts": 5},
        max_pool_connections=connections,
        tcp_keepalive=True,
        # The SDK's default, a composite CRC32, is not taken by every store.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        **options_for(place.endpoint),
    )
