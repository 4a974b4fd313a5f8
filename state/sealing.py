"""What lies outside the service's own processes is sealed: AES-256-GCM.

`VERSION KEY-ID NONCE CIPHERTEXT`, of 1, 8, 12 and any number of bytes. The keys come from the
service's signing keys by HKDF-SHA256 (RFC 5869), so that they need no setting of their own; that
they are others is what `info` is for. Nonces are random: one key is good for 2^32 of them (NIST SP
800-38D, 8.3), which 50 a second use up in 2.7 years; a new signing key begins anew.
"""

import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_VERSION = b"\x01"
_ID_BYTES, _KEY_BYTES, _NONCE_BYTES = 8, 32, 12
_HEAD = len(_VERSION) + _ID_BYTES


class Seal:
    """Seals with one key and opens what was sealed with several, while one is being replaced.
    `purpose` keeps apart what is sealed for different ends.
    """

    def __init__(
        self, *, signing_key: str, previous_signing_keys: Sequence[str] = (), purpose: str
    ) -> None:
        pairs = [_derived(key, purpose) for key in (signing_key, *previous_signing_keys)]
        self._head, self._key = pairs[0]
        self._keys = dict(pairs)

    def close(self, data: bytes, place: bytes) -> bytes:
        """`place` is where it is kept, and the only place where it opens."""
        nonce = os.urandom(_NONCE_BYTES)
        return self._head + nonce + self._key.encrypt(nonce, data, place)

    def opened(self, sealed: bytes, place: bytes) -> bytes | None:
        """None for what was not sealed here, for this place, and by a known key."""
        key = self._keys.get(sealed[:_HEAD])
        nonce, closed = sealed[_HEAD : _HEAD + _NONCE_BYTES], sealed[_HEAD + _NONCE_BYTES :]
        if key is None or len(nonce) < _NONCE_BYTES:
            return None
        try:
            return key.decrypt(nonce, closed, place)
        except InvalidTag:
            return None


def _derived(signing_key: str, purpose: str) -> tuple[bytes, AESGCM]:
    """The key, and the head of what it seals, which names it and says nothing else of it."""
    info = f"uploadgate: {purpose}, version {_VERSION[0]}".encode()
    derivation = HKDF(algorithm=SHA256(), length=_KEY_BYTES + _ID_BYTES, salt=None, info=info)
    material = derivation.derive(signing_key.encode())
    return _VERSION + material[_KEY_BYTES:], AESGCM(material[:_KEY_BYTES])
