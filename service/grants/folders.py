"""The folder of a user: named by the identity that their credentials are for."""

import re

# Cognito's own pattern for IdentityId and IdentityPoolId (service model), 55 characters at most.
_IDENTITY = re.compile(r"[\w-]+:[0-9a-f-]+", re.ASCII)
MAX_IDENTITY = 55


def is_identity_id(text: str) -> bool:
    return len(text) <= MAX_IDENTITY and _IDENTITY.fullmatch(text) is not None


def identity_folder(identity_id: str) -> str:
    if not is_identity_id(identity_id):
        raise ValueError("not an identity id")
    return f"{identity_id}/"


def identity_of(key: str) -> tuple[str, str] | None:
    """(identity id, path within its folder) of a key, None for a key in no identity's folder."""
    identity_id, _, path = key.partition("/")
    return (identity_id, path) if path and is_identity_id(identity_id) else None
