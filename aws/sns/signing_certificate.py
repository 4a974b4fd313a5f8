"""What a signing certificate says, once it has been read."""

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from errors import WebhookForgedError

_MIN_KEY_BITS = 2048


@dataclass(frozen=True, slots=True)
class SigningCertificate:
    """Dates are aware of their zone."""

    key: RSAPublicKey
    not_before: datetime
    not_after: datetime

    def holds_at(self, moment: datetime) -> bool:
        return self.not_before <= moment <= self.not_after


def signing_certificate(pem: bytes, now: datetime) -> SigningCertificate:
    """Raises WebhookForgedError for what is none, or none that holds now."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        key = certificate.public_key()
    except ValueError:
        raise WebhookForgedError("The signing certificate is not a certificate") from None
    if not isinstance(key, RSAPublicKey) or key.key_size < _MIN_KEY_BITS:
        raise WebhookForgedError("The signing certificate has no RSA key of 2,048 bits")
    found = SigningCertificate(
        key=key,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )
    if not found.holds_at(now):
        raise WebhookForgedError("The signing certificate is not valid at this time")
    return found
