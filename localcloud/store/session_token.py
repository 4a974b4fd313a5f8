"""The session tokens of the store's STS: JWTs that end when they say, signed with a key of ours."""

import base64

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

_ALGORITHM = "HS256"


class SessionTokens:
    """Knows the key that the store was given to sign with."""

    def __init__(self, signing_key: str) -> None:
        """Take the key as `iam.json` has it: base64 of 32 bytes."""
        self._key = OctKey.import_key(base64.b64decode(signing_key))

    def ending(self, token: str, at: int) -> str:
        """Give the same session with another end, in seconds since the epoch.

        The STS itself has one life for all keys, fixed at its start, and nothing below 900 seconds
        can be asked of it. ValueError for a token that is not its own.
        """
        try:
            read = jwt.decode(token, self._key, algorithms=[_ALGORITHM])
            return jwt.encode(
                read.header, {**read.claims, "exp": at}, self._key, algorithms=[_ALGORITHM]
            )
        except JoseError as error:
            raise ValueError("no session token of this store") from error
