"""Access tokens whose signature and claims need not be checked again.

What depends on the moment (times, revocation) is not kept: it is asked for at every call, so the
answer is the same as without the cache.
"""

import hashlib
import secrets
from collections import OrderedDict
from typing import Protocol

import errors
from auth.access_tokens import MAX_LENGTH, AccessTokens, VerifiedToken
from auth.callers import UnverifiedToken


class TokenReader(Protocol):
    def read(self, token: UnverifiedToken) -> VerifiedToken:
        """Raises TokenExpiredError for what was valid once, else InvalidTokenError."""
        ...


class SessionCache:
    """Implements TokenReader, exactly as the one `tokens` it stands before: others with other keys
    need a cache of their own. The `size` tokens used last, as keyed digests: neither can a token
    be had from here, nor two be made that look alike. Nothing is kept of what is refused.
    """

    def __init__(self, tokens: AccessTokens, *, size: int) -> None:
        self._tokens = tokens
        self._size = size
        self._kept: OrderedDict[bytes, VerifiedToken] = OrderedDict()
        self._keyed = hashlib.blake2b(key=secrets.token_bytes(32), digest_size=32)

    def __len__(self) -> int:
        return len(self._kept)

    def read(self, token: UnverifiedToken) -> VerifiedToken:
        if len(token) > MAX_LENGTH:
            raise errors.InvalidTokenError
        digest = self._digest(token)
        kept = self._kept.get(digest)
        if kept is None:
            return self._read_anew(token, digest)
        try:
            self._tokens.check_times(kept)
        except errors.InvalidTokenError:
            del self._kept[digest]
            raise
        self._kept.move_to_end(digest)
        return kept

    def _read_anew(self, token: UnverifiedToken, digest: bytes) -> VerifiedToken:
        verified = self._tokens.read(token)
        self._kept[digest] = verified
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)
        return verified

    def _digest(self, token: UnverifiedToken) -> bytes:
        """A copy has the key in it already, which halves the cost. A lone surrogate, which no
        token has, is not to fail here.
        """
        keyed = self._keyed.copy()
        keyed.update(token.encode("utf-8", "surrogatepass"))
        return keyed.digest()
