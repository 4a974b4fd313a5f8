"""SNS's signatures: RSA with PKCS #1 v1.5; version 1 over SHA-1, version 2 over SHA-256."""

import base64
import binascii

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from aws.sns.canonical import UnverifiedMessage, VerifiedMessage, canonical_string
from errors import WebhookForgedError, WebhookUnverifiableError


def allowed_versions(*, sha256_only: bool) -> frozenset[str]:
    """Version 1 is the default of a topic, hence allowed unless the operator says otherwise."""
    return frozenset({"2"}) if sha256_only else frozenset({"1", "2"})


def verified(message: UnverifiedMessage, key: RSAPublicKey) -> VerifiedMessage:
    """The message, now proven. Its version has been found allowed before.

    Raises WebhookForgedError; WebhookUnverifiableError where this machine's policy forbids SHA-1.
    """
    try:
        signature = base64.b64decode(message["Signature"], validate=True)
        key.verify(signature, canonical_string(message), PKCS1v15(), _digest(message))
    except (binascii.Error, ValueError, InvalidSignature):
        raise WebhookForgedError("The signature does not fit the message") from None
    except UnsupportedAlgorithm:
        raise WebhookUnverifiableError("Signatures of version 1 cannot be checked here") from None
    return VerifiedMessage(dict(message))


def _digest(message: UnverifiedMessage) -> hashes.HashAlgorithm:
    if message["SignatureVersion"] == "2":
        return hashes.SHA256()
    return hashes.SHA1()  # noqa: S303 - what SNS signs with by default; sha256_only refuses it
