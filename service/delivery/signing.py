"""Signatures of outgoing webhooks, as Standard Webhooks has them (standardwebhooks.com, 1.0.0)."""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence

_PREFIX = "whsec_"
_NEW_BYTES = 32
_SHORTEST, _LONGEST = 24, 64


def new_secret() -> str:
    return _PREFIX + base64.b64encode(secrets.token_bytes(_NEW_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """The 24 to 64 bytes that `whsec_…` stands for. Raises ValueError, which does not show it."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_PREFIX) or not _SHORTEST <= len(key) <= _LONGEST:
        raise ValueError("not whsec_ and the base64 of 24 to 64 bytes")
    return key


def signed_headers(
    event_id: str, timestamp: int, payload: bytes, secrets: Sequence[str]
) -> dict[str, str]:
    """`timestamp` is of this attempt, in unix seconds: receivers refuse what is old. There is one
    signature for each secret, so that a receiver may know either while one replaces the other.
    """
    if not event_id or "." in event_id:
        raise ValueError("an id with a dot could be read as another id and time")
    signed = b".".join((event_id.encode(), str(timestamp).encode(), payload))
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(_signature(key_of(secret), signed) for secret in secrets),
    }


def _signature(key: bytes, signed: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
