"""The store's private certificate authority and the one certificate its parts share.

Mutual TLS is what keeps strangers on this machine away from the store's inner doors.
"""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from localcloud.private_files import private_directory, write_private

CA, CERTIFICATE, KEY = "ca.pem", "node.pem", "node.key"
_LIFE = timedelta(days=3650)
_RENEW_BEFORE = timedelta(days=30)


def ensure_certificates(directory: Path) -> None:
    """Write the authority's and the node's files (PEM) unless good ones are there."""
    if _is_good(directory):
        return
    private_directory(directory)
    authority_key = ec.generate_private_key(ec.SECP256R1())
    node_key = ec.generate_private_key(ec.SECP256R1())
    # The authority's key is used here and forgotten: nothing else can ever be issued by it.
    authority = _authority(authority_key)
    node = _node(node_key, authority_key)
    write_private(
        directory / KEY,
        node_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
    write_private(directory / CA, authority.public_bytes(Encoding.PEM))
    write_private(directory / CERTIFICATE, node.public_bytes(Encoding.PEM))


def _is_good(directory: Path) -> bool:
    if not all((directory / name).exists() for name in (CA, CERTIFICATE, KEY)):
        return False
    node = x509.load_pem_x509_certificate((directory / CERTIFICATE).read_bytes())
    return node.not_valid_after_utc - datetime.now(UTC) > _RENEW_BEFORE


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(subject: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name("localcloud authority"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _LIFE)
    )


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    builder = _builder("localcloud authority", key)
    constraints = x509.BasicConstraints(ca=True, path_length=0)
    return builder.add_extension(constraints, critical=True).sign(key, hashes.SHA256())


def _node(
    key: ec.EllipticCurvePrivateKey,
    authority_key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = (
        _builder("localcloud", key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    )
    return builder.sign(authority_key, hashes.SHA256())
