"""The JSON of a grant, as all peers answer it."""

from datetime import UTC, datetime, timedelta
from typing import Any

_LIFE = timedelta(seconds=900)
_REGION, _BUCKET = "us-east-1", "uploads"


def grant(pool: str, identity_id: str, token: str) -> dict[str, Any]:
    """Of the shape and size of the service's own."""
    now = datetime.now(UTC)
    return {
        "mode": "cognito",
        "identity_id": identity_id,
        "open_id_token": token,
        "logins": {"cognito-identity.amazonaws.com": token},
        "identity_pool_id": pool,
        "region": _REGION,
        "endpoints": {"cognito_identity": None, "s3": None},
        "bucket": _BUCKET,
        "key_prefix": f"{identity_id}/",
        "expires_at": (now + _LIFE).isoformat(),
        "refresh_after": (now + _LIFE * 2 / 3).isoformat(),
        "server_time": now.isoformat(),
    }
