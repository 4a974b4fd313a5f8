"""What the embedded cloud can be told, checked before anything is started."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from localcloud.errors import InvalidConfigError

Role = Literal["write-only", "read-write"]

_PATTERNS = {
    # The names that both S3 and a policy's resource take literally.
    "bucket": r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]",
    "region": r"[a-z]{2}(-[a-z]+)+-\d",
    # Cognito's own pattern of DeveloperProviderName.
    "developer_provider_name": r"[\w._-]{1,128}",
}
# The store's longest session; AWS's longest too.
_MAX_SESSION_SECONDS = 43_200
_MAX_PORT = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCloudConfig:
    """One embedded cloud: a store, its STS and a Cognito identity pool, all on loopback.

    `webhook_url` is where the store posts events; None switches them off. `cors_origins` are
    the pages (`scheme://host[:port]`) that browsers may upload from. `session_seconds` is the
    longest life of the temporary keys, and theirs until another is chosen (AWS: always 3,600).
    `max_developer_rps` caps the developer call as AWS's quota does. `count_requests` lets
    `LocalCloud.requests` tell what the store has answered. Ports are preferences, 0 means any: a
    busy one is replaced by a free one.
    """

    data_dir: Path = Path(".localcloud")
    bucket: str = "uploads"
    region: str = "us-east-1"
    developer_provider_name: str = "login.uploadgate"
    webhook_url: str | None = None
    cors_origins: tuple[str, ...] = ()
    session_seconds: int = 3600
    role: Role = "write-only"
    max_developer_rps: float | None = None
    count_requests: bool = False
    s3_port: int = 8333
    cognito_port: int = 8334

    def __post_init__(self) -> None:
        """Raise InvalidConfigError for the first value that is out of range."""
        for name, pattern in _PATTERNS.items():
            _require(re.fullmatch(pattern, getattr(self, name), re.ASCII), name)
        _require(1 <= self.session_seconds <= _MAX_SESSION_SECONDS, "session_seconds")
        _require(self.role in {"write-only", "read-write"}, "role")
        _require(self.max_developer_rps is None or self.max_developer_rps > 0, "max_developer_rps")
        for port in ("s3_port", "cognito_port"):
            _require(0 <= getattr(self, port) <= _MAX_PORT, port)
        _require(self.webhook_url is None or _is_http_url(self.webhook_url), "webhook_url")
        _require(all(map(_is_origin, self.cors_origins)), "cors_origins")


def _require(holds: object, name: str) -> None:
    if not holds:
        raise InvalidConfigError(f"the embedded cloud's {name} is not usable")


def _is_http_url(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in {"http", "https"} and bool(parts.hostname)


def _is_origin(origin: str) -> bool:
    # A comma would split into two origins, an asterisk would open the store to every page.
    return re.fullmatch(r"https?://[^/?#@*,\s]+", origin) is not None
