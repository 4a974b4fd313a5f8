"""How other receivers of SNS were broken, each named for what it is."""

import json

import pytest

from errors import WebhookForgedError, WebhookMalformedError
from tests.unit.sns.sender import (
    PATH,
    TOPIC,
    CountingFetcher,
    Door,
    body,
    certificate,
    confirmation,
    notification,
    rsa_key,
    signed,
)

METADATA_SERVICE = "http://169.254.169.254/latest/meta-data/iam/security-credentials/"


@pytest.mark.parametrize("url", [METADATA_SERVICE, "file:///etc/passwd", "https://evil.com/x"])
async def test_unsigned_subscribe_url_makes_no_request_cve_2019_6715(url: str) -> None:
    """W3 Total Cache fetched the SubscribeURL of anyone's POST (and could so read its files)."""
    door = Door()
    plain = json.dumps({"Type": "SubscriptionConfirmation", "SubscribeURL": url, "Message": ""})
    with pytest.raises((WebhookForgedError, WebhookMalformedError)):
        await door.receive(plain.encode(), {"x-amz-sns-message-type": "SubscriptionConfirmation"})
    assert (door.fetcher.urls, door.confirmations.calls) == ([], [])


async def test_subscribe_url_is_never_fetched_cve_2026_32096() -> None:
    """Plunk fetched the SubscribeURL without proof. Here even a proven one is not used."""
    door = Door()
    fields = confirmation(SubscribeURL=METADATA_SERVICE)
    with pytest.raises(WebhookForgedError):
        await door.receive(body(fields), {})
    assert (door.fetcher.urls, door.confirmations.calls) == ([], [])
    assert await door.receive(body(signed(fields)), {}) == []
    assert METADATA_SERVICE not in door.fetcher.urls
    assert door.confirmations.calls == [(TOPIC, "2336412f37f")]


async def test_unsigned_notification_for_a_guessed_topic_cve_2026_42193() -> None:
    """Plunk acted on any JSON of the right shape: no signature, no certificate, no topic."""
    door = Door()
    for arn in (TOPIC, "arn:aws:sns:us-east-1:999999999999:theirs"):
        with pytest.raises(WebhookForgedError):
            await door.receive(body(notification(TopicArn=arn)), {})
    assert door.fetcher.urls == []


@pytest.mark.parametrize("origin", ["https://evil.com", "http://sns.us-east-1.amazonaws.com"])
async def test_attackers_own_certificate_and_key_cve_2026_47074(origin: str) -> None:
    """ex_aws_sns fetched the certificate from wherever the message said, and believed it."""
    key = rsa_key("attacker")
    door = Door(fetcher=CountingFetcher(pem=certificate(key)))
    with pytest.raises(WebhookForgedError):
        await door.receive(body(signed(notification(), key=key, url=f"{origin}{PATH}")), {})
    assert door.fetcher.urls == []


async def test_a_cached_certificate_serves_no_other_address() -> None:
    door = Door()
    await door.receive(body(signed(notification())), {})
    with pytest.raises(WebhookForgedError):
        await door.receive(body(signed(notification(), url=f"https://evil.com{PATH}")), {})
    assert len(door.fetcher.urls) == 1
