"""The folder of a user: named by the identity that their credentials are for, or, where no
identity is known, by the user's own id under `users/`, where no credentials can write.
"""

import re

# Cognito's own pattern for IdentityId and IdentityPoolId (service model), 55 characters at most.
_IDENTITY = re.compile(r"[\w-]+:[0-9a-f-]+", re.ASCII)
MAX_IDENTITY = 55
# A `*` or `?` would be a wildcard in a policy, a `/` or `..` another folder.
_USER = re.compile(r"[A-Za-z0-9:_-]{1,128}", re.ASCII)


def is_identity_id(text: str) -> bool:
    return len(text) <= MAX_IDENTITY and _IDENTITY.fullmatch(text) is not None


def identity_folder(identity_id: str) -> str:
    if not is_identity_id(identity_id):
        raise ValueError("not an identity id")
    return f"{identity_id}/"


def user_folder(user_id: str) -> str:
    """Never an identity's folder: `users` is no identity id."""
    if _USER.fullmatch(user_id) is None:
        raise ValueError("not a user id that can name a folder")
    return f"users/{user_id}/"


def identity_of(key: str) -> tuple[str, str] | None:
    """(identity id, path within its folder) of a key, None for a key in no identity's folder."""
    identity_id, _, path = key.partition("/")
    return (identity_id, path) if path and is_identity_id(identity_id) else None
