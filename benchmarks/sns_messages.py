"""Signed SNS messages as S3 and SNS write them, made before any clock starts."""

import base64
import json
import multiprocessing
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.x509.oid import NameOID

TOPIC = "arn:aws:sns:us-east-1:123456789012:uploads"
CERTIFICATE_PATH = "/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
_HOST = "https://sns.us-east-1.amazonaws.com"
_SIGNED = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_PATH = "/v1/webhooks/sns"


@dataclass(frozen=True)
class Signer:
    """What SNS signs with, for the length of a run: RSA of 2,048 bits, SHA-256."""

    key: rsa.RSAPrivateKey

    @classmethod
    def made(cls) -> "Signer":
        return cls(rsa.generate_private_key(public_exponent=65537, key_size=2048))

    def certificate(self) -> bytes:
        now = datetime.now(UTC)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
        builder = x509.CertificateBuilder(
            name, name, self.key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1)
        )
        made = builder.sign(self.key, hashes.SHA256())
        return made.public_bytes(serialization.Encoding.PEM)

    def request(self, bucket: str, key: str) -> bytes:
        """The whole HTTP request for one object that was written."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.123Z")
        message_id = f"{secrets.token_hex(4)}-fdea-4c2c-8f9d-{secrets.token_hex(6)}"
        fields = {
            "Type": "Notification",
            "MessageId": message_id,
            "TopicArn": TOPIC,
            "Subject": "Amazon S3 Notification",
            "Message": json.dumps({"Records": [_record(bucket, key, now)]}, separators=(",", ":")),
            "Timestamp": now,
            "SignatureVersion": "2",
            "SigningCertURL": _HOST + CERTIFICATE_PATH,
            "UnsubscribeURL": f"{_HOST}/?Action=Unsubscribe&SubscriptionArn={TOPIC}:0e2f",
        }
        canonical = "".join(f"{name}\n{fields[name]}\n" for name in _SIGNED).encode()
        signature = self.key.sign(canonical, PKCS1v15(), hashes.SHA256())
        fields["Signature"] = base64.b64encode(signature).decode()
        return _http(json.dumps(fields, indent=2).encode(), message_id)


def _record(bucket: str, key: str, now: str) -> dict[str, object]:
    """All that S3 sends, also what nobody here reads."""
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": now,
        "eventName": "ObjectCreated:CompleteMultipartUpload",
        "userIdentity": {"principalId": "AWS:AROAEXAMPLEEXAMPLE:CognitoIdentityCredentials"},
        "requestParameters": {"sourceIPAddress": "192.0.2.17"},
        "responseElements": {
            "x-amz-request-id": secrets.token_hex(8).upper(),
            "x-amz-id-2": base64.b64encode(secrets.token_bytes(56)).decode(),
        },
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "uploadgate",
            "bucket": {
                "name": bucket,
                "ownerIdentity": {"principalId": "A3NL1KOZZKExample"},
                "arn": f"arn:aws:s3:::{bucket}",
            },
            "object": {
                "key": key.replace(":", "%3A"),
                "size": 104_857_600,
                "eTag": f"{secrets.token_hex(16)}-13",
                "sequencer": secrets.token_hex(9).upper(),
            },
        },
    }


def _http(body: bytes, message_id: str) -> bytes:
    """The headers that SNS sends."""
    head = (
        f"POST {_PATH} HTTP/1.1\r\n"
        "x-amz-sns-message-type: Notification\r\n"
        f"x-amz-sns-message-id: {message_id}\r\n"
        f"x-amz-sns-topic-arn: {TOPIC}\r\n"
        f"x-amz-sns-subscription-arn: {TOPIC}:0e2f\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Content-Type: text/plain; charset=UTF-8\r\n"
        "Host: 127.0.0.1\r\n"
        "Connection: Keep-Alive\r\n"
        "User-Agent: Amazon Simple Notification Service Agent\r\n"
        "Accept-Encoding: gzip,deflate\r\n\r\n"
    )
    return head.encode() + body


def requests(signer: Signer, bucket: str, count: int) -> list[bytes]:
    """Of `count` different objects. Signing takes most of a millisecond: all cores do it."""
    with multiprocessing.get_context("fork").Pool(initializer=_take, initargs=(signer,)) as pool:
        return pool.map(_one, [bucket] * count, chunksize=250)


_signers: list[Signer] = []


def _take(signer: Signer) -> None:
    _signers[:] = [signer]


def _one(bucket: str) -> bytes:
    key = f"us-east-1:{secrets.token_hex(16)}/upl_{secrets.token_hex(10)}/holiday.mp4"
    return _signers[0].request(bucket, key)


def bodies(made: Sequence[bytes]) -> list[bytes]:
    return [request.partition(b"\r\n\r\n")[2] for request in made]
