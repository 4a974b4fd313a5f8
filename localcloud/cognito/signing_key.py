"""The pool's RSA key: made at the first run, kept as PEM, published as a JWK set."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import KeyParameters, RSAKey

from localcloud.errors import DataDirError
from localcloud.private_files import write_private

ALGORITHM = "RS256"
_BITS = 2048


def signing_key(file: Path) -> RSAKey:
    """Read or make the key; its `kid` is its thumbprint (RFC 7638). Takes some 100 ms to make."""
    if not file.exists():
        write_private(file, _new_pem())
    try:
        # The id has to be among the parameters before the key is first used: they are cached.
        bare = RSAKey.import_key(file.read_bytes())
        parameters: KeyParameters = {"use": "sig", "alg": ALGORITHM, "kid": bare.thumbprint()}
        return RSAKey.import_key(file.read_bytes(), parameters)
    except ValueError as error:
        raise DataDirError(f"{file} is no RSA key; remove its directory to start anew") from error


def public_jwks(key: RSAKey) -> dict[str, list[dict[str, object]]]:
    """The JWK set (RFC 7517) that verifies the pool's tokens."""
    return {"keys": [dict(key.as_dict(private=False))]}


def _new_pem() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=_BITS)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
