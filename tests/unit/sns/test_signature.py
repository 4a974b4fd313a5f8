import base64
from typing import Any

import pytest
from cryptography.exceptions import UnsupportedAlgorithm

from aws.sns.canonical import canonical_string, unverified_message
from aws.sns.signature import verified
from errors import WebhookForgedError, WebhookUnverifiableError
from tests.unit.sns.sender import (
    CERT_URL,
    CHINA_TOPIC,
    TOPIC,
    CountingFetcher,
    Door,
    Fields,
    body,
    certificate,
    confirmation,
    notification,
    rsa_key,
    signed,
)


async def forged(fields: Fields, door: Door | None = None) -> None:
    door = door or Door()
    with pytest.raises(WebhookForgedError):
        await door.receive(body(fields), {})
    assert door.confirmations.calls == []
    assert door.fetcher.urls == [CERT_URL]


def test_the_string_that_is_signed_is_the_documented_one() -> None:
    fields = signed(notification(Message="m\nn", Subject="s", MessageId="i"))
    assert canonical_string(unverified_message(fields)) == (
        b"Message\nm\nn\nMessageId\ni\nSubject\ns\nTimestamp\n2026-07-01T11:59:59.123Z\n"
        b"TopicArn\n" + TOPIC.encode() + b"\nType\nNotification\n"
    )
    fields = signed(confirmation(Message="m", MessageId="i", SubscribeURL="u", Token="t"))
    assert canonical_string(unverified_message(fields)) == (
        b"Message\nm\nMessageId\ni\nSubscribeURL\nu\nTimestamp\n2026-07-01T11:59:59.123Z\n"
        b"Token\nt\nTopicArn\n" + TOPIC.encode() + b"\nType\nSubscriptionConfirmation\n"
    )


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Message", '{"Records": []}'),
        ("MessageId", "another"),
        ("Subject", "added"),
        ("Timestamp", "2026-07-01T11:59:58.123Z"),
    ],
)
async def test_a_notification_changed_after_signing(name: str, value: str, version: str) -> None:
    await forged(signed(notification(), version=version) | {name: value})


@pytest.mark.parametrize("name", ["Token", "SubscribeURL", "Message", "MessageId"])
async def test_a_confirmation_changed_after_signing(name: str) -> None:
    await forged(signed(confirmation()) | {name: "changed"})


async def test_a_subject_taken_away() -> None:
    fields = signed(notification(Subject="was here"))
    del fields["Subject"]
    await forged(fields)


async def test_one_topic_of_ours_cannot_speak_for_another() -> None:
    east, west = TOPIC, "arn:aws:sns:us-east-1:123456789012:other"
    door = Door(topics=frozenset({east, west, CHINA_TOPIC}))
    await forged(signed(notification(TopicArn=east)) | {"TopicArn": west}, door)


async def test_an_unsubscription_signed_for_cannot_become_a_subscription() -> None:
    fields = signed(confirmation("UnsubscribeConfirmation"))
    await forged(fields | {"Type": "SubscriptionConfirmation"})


@pytest.mark.parametrize(("claimed", "real"), [("1", "2"), ("2", "1")])
async def test_a_signature_over_another_digest(claimed: str, real: str) -> None:
    await forged(signed(notification(), version=real) | {"SignatureVersion": claimed})


async def test_a_signature_by_another_key() -> None:
    await forged(signed(notification(), key=rsa_key("stranger")))


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "AAAA",
        "not base64!",
        "é",
        base64.b64encode(b"\0" * 256).decode(),
        base64.b64encode(b"\xff" * 256).decode(),
        base64.b64encode(b"\0" * 1000).decode(),
    ],
)
async def test_what_is_no_signature(signature: str) -> None:
    await forged(signed(notification()) | {"Signature": signature})


async def test_a_short_key_is_refused_even_where_it_fits() -> None:
    short = rsa_key("short", 1024)
    door = Door(fetcher=CountingFetcher(pem=certificate(short)))
    await forged(signed(notification(), key=short), door)


def test_where_sha_1_is_forbidden_the_message_is_not_to_blame() -> None:
    """By a machine's policy, which may be mended: SNS is to send it again."""

    class Forbidding:
        def verify(self, *_: object) -> None:
            raise UnsupportedAlgorithm("sha1 is not supported")

    key: Any = Forbidding()
    with pytest.raises(WebhookUnverifiableError):
        verified(unverified_message(signed(notification())), key)
