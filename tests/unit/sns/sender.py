"""The other side: what signs as SNS does, and what answers for its certificate host."""

import asyncio
import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.x509.oid import NameOID

from aws.sns.certificates import CertificateFetcher, Certificates
from aws.sns.receiver import SnsReceiver

NOW = datetime(2026, 7, 1, 12, 0, 0, tzinfo=UTC)
TOPIC = "arn:aws:sns:us-east-1:123456789012:uploads"
CHINA_TOPIC = "arn:aws-cn:sns:cn-north-1:123456789012:uploads"
PATH = "/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
CERT_URL = f"https://sns.us-east-1.amazonaws.com{PATH}"
CHINA_CERT_URL = f"https://sns.cn-north-1.amazonaws.com.cn{PATH}"
S3_RECORD = {
    "eventVersion": "2.1",
    "eventName": "ObjectCreated:Put",
    "eventTime": "2026-07-01T11:59:58.000Z",
    "s3": {
        "bucket": {"name": "uploads"},
        "object": {"key": "us-east-1%3Aabc/f.txt", "size": 5, "eTag": "e1", "sequencer": "0055"},
    },
}
Fields = dict[str, object]


@cache
def rsa_key(name: str = "sns", bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def certificate(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    *,
    start: datetime = NOW - timedelta(days=30),
    end: datetime = NOW + timedelta(days=300),
) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, start, end)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@cache
def good_certificate() -> bytes:
    return certificate(rsa_key())


def notification(**changes: object) -> Fields:
    fields: Fields = {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Message": json.dumps({"Records": [S3_RECORD]}),
        "Timestamp": "2026-07-01T11:59:59.123Z",
        "UnsubscribeURL": "https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe",
    }
    return fields | changes


def confirmation(kind: str = "SubscriptionConfirmation", **changes: object) -> Fields:
    fields: Fields = {
        "Type": kind,
        "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
        "Token": "2336412f37f",
        "TopicArn": TOPIC,
        "Message": "You have chosen to subscribe to the topic.\nTo confirm, visit the URL.",
        "SubscribeURL": "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription",
        "Timestamp": "2026-07-01T11:59:59.123Z",
    }
    return fields | changes


def canonical(fields: Mapping[str, object]) -> bytes:
    """Written anew from AWS's text, not from the code under test."""
    names = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
    if fields["Type"] != "Notification":
        names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    return "".join(f"{name}\n{fields[name]}\n" for name in names if name in fields).encode()


def signed(
    fields: Fields,
    *,
    version: str = "1",
    key: rsa.RSAPrivateKey | None = None,
    url: object = CERT_URL,
) -> Fields:
    digest = hashes.SHA256() if version == "2" else hashes.SHA1()  # noqa: S303 - as SNS does
    signature = (key or rsa_key()).sign(canonical(fields), PKCS1v15(), digest)
    proof = {
        "SignatureVersion": version,
        "Signature": base64.b64encode(signature).decode(),
        "SigningCertURL": url,
    }
    return fields | proof


@dataclass
class CountingFetcher:
    """Answers with `pem` whatever the address, as an attacker's host would; counts the calls."""

    pem: bytes = field(default_factory=good_certificate)
    urls: list[str] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    delay_seconds: float = 0

    async def fetch(self, url: str) -> bytes:
        self.urls.append(url)
        await asyncio.sleep(self.delay_seconds)
        if self.failures:
            raise self.failures.pop(0)
        return self.pem


@dataclass
class Confirmations:
    calls: list[tuple[str, str]] = field(default_factory=list)
    failure: Exception | None = None

    async def __call__(self, topic_arn: str, token: str) -> None:
        self.calls.append((topic_arn, token))
        if self.failure:
            raise self.failure


@dataclass
class Door:
    """A receiver with all that it could reach outside."""

    sha256_only: bool = False
    topics: frozenset[str] = frozenset({TOPIC, CHINA_TOPIC})
    fetcher: CountingFetcher = field(default_factory=CountingFetcher)
    confirmations: Confirmations = field(default_factory=Confirmations)
    now: datetime = NOW

    def __post_init__(self) -> None:
        fetcher: CertificateFetcher = self.fetcher
        self.receiver = SnsReceiver(
            topic_arns=self.topics,
            sha256_only=self.sha256_only,
            certificates=Certificates(fetcher, clock=lambda: self.now),
            confirm=self.confirmations,
            clock=lambda: self.now,
        )
        self.receive = self.receiver.receive


def body(fields: Fields) -> bytes:
    return json.dumps(fields).encode()
