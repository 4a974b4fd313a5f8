"""What must be refused without one packet sent: the fetcher here would answer for any host."""

import json

import pytest

from errors import (
    UploadgateError,
    WebhookForgedError,
    WebhookMalformedError,
    WebhookUnverifiableError,
)
from tests.unit.sns.sender import (
    CERT_URL,
    CHINA_CERT_URL,
    PATH,
    TOPIC,
    Door,
    Fields,
    body,
    confirmation,
    notification,
    signed,
)

HOST = "sns.us-east-1.amazonaws.com"


async def refused(plain: bytes, headers: dict[str, str] | None = None) -> UploadgateError:
    door = Door()
    with pytest.raises((WebhookForgedError, WebhookMalformedError)) as caught:
        await door.receive(plain, headers or {})
    assert door.fetcher.urls == []
    assert door.confirmations.calls == []
    return caught.value


CERTIFICATE_URLS = {
    "a bucket of S3 that the official pattern takes": f"https://sns.s3-us-west-2.amazonaws.com{PATH}",
    "a bucket of S3, old style": f"https://sns.s3.amazonaws.com{PATH}",
    "S3 itself": f"https://s3.amazonaws.com/sns.us-east-1.amazonaws.com{PATH}",
    "a longer host": f"https://{HOST}.evil.com{PATH}",
    "the host as a path": f"https://evil.com/{HOST}{PATH}",
    "a host that ends alike": f"https://evil{HOST}{PATH}",
    "a host below": f"https://x.{HOST}{PATH}",
    "another Region than the topic's": f"https://sns.eu-west-1.amazonaws.com{PATH}",
    "another partition's suffix": f"https://sns.us-east-1.amazonaws.com.cn{PATH}",
    "another topic's host": CHINA_CERT_URL,
    "no Region": f"https://sns.amazonaws.com{PATH}",
    "another service": f"https://sqs.us-east-1.amazonaws.com{PATH}",
    "a port": f"https://{HOST}:8443{PATH}",
    "the default port": f"https://{HOST}:443{PATH}",
    "an empty port": f"https://{HOST}:{PATH}",
    "user information": f"https://user:pass@{HOST}{PATH}",
    "the host as user information": f"https://{HOST}@evil.com{PATH}",
    "a backslash before @": f"https://{HOST}\\@evil.com{PATH}",
    "a backslash for a slash": f"https://{HOST}\\{PATH}",
    "evil before a backslash": f"https://evil.com\\@{HOST}{PATH}",
    "a query": f"{CERT_URL}?x=1",
    "an empty query": f"{CERT_URL}?",
    "a fragment": f"{CERT_URL}#x",
    "an empty fragment": f"{CERT_URL}#",
    "parameters": f"{CERT_URL};x",
    "http": f"http://{HOST}{PATH}",
    "no scheme": f"//{HOST}{PATH}",
    "a file": f"file://{HOST}{PATH}",
    "an upper-case scheme": f"HTTPS://{HOST}{PATH}",
    "an upper-case host": f"https://SNS.us-east-1.amazonaws.com{PATH}",
    "a trailing dot": f"https://{HOST}.{PATH}",
    "a full-width dot": f"https://sns.us-east-1\uff0eamazonaws.com{PATH}",
    "a Cyrillic letter": f"https://sns.us-e\u0430st-1.amazonaws.com{PATH}",
    "a letter that folds to ASCII": f"https://\u017fns.us-east-1.amazonaws.com{PATH}",
    "punycode": f"https://xn--sns-1.us-east-1.amazonaws.com{PATH}",
    "an address": f"https://169.254.169.254{PATH}",
    "IPv6": f"https://[::1]{PATH}",
    "another path": f"https://{HOST}/evil.pem",
    "a deeper path": f"https://{HOST}/a{PATH}",
    "traversal": f"https://{HOST}/../bucket{PATH}",
    "traversal after the name": f"https://{HOST}/SimpleNotificationService-a/../evil.pem",
    "encoded traversal": f"https://{HOST}/%2e%2e{PATH}",
    "an encoded character": f"https://{HOST}/SimpleNotificationService-%61.pem",
    "a double slash": f"https://{HOST}/{PATH}",
    "no id": f"https://{HOST}/SimpleNotificationService-.pem",
    "digits that are not ASCII": f"https://{HOST}/SimpleNotificationService-\u0661.pem",
    "another suffix": f"https://{HOST}/SimpleNotificationService-a.pemx",
    "a very long one": f"https://{HOST}/SimpleNotificationService-{'a' * 300}.pem",
    "a space before": f" {CERT_URL}",
    "a space after": f"{CERT_URL} ",
    "a line end after": f"{CERT_URL}\n",
    "a tab inside": CERT_URL.replace("sns.", "sn\ts."),
    "a zero byte": f"{CERT_URL}\0.evil.com",
    "a wide space": f"{CERT_URL}\u3000",
    "nothing": "",
    "null": None,
    "a number": 1,
    "an array": [CERT_URL],
    "an object": {"url": CERT_URL},
}


@pytest.mark.parametrize("url", CERTIFICATE_URLS.values(), ids=CERTIFICATE_URLS.keys())
@pytest.mark.parametrize("message", [notification(), confirmation()], ids=["event", "confirm"])
async def test_a_certificate_from_elsewhere(message: Fields, url: object) -> None:
    await refused(body(signed(message, url=url)))


TOPICS = {
    "another account": "arn:aws:sns:us-east-1:999999999999:uploads",
    "another name": f"{TOPIC}2",
    "a beginning": TOPIC[:-1],
    "another case": TOPIC.upper(),
    "a wildcard": "arn:aws:sns:us-east-1:123456789012:*",
    "a space": f"{TOPIC} ",
    "nothing": "",
    "null": None,
    "an array": [TOPIC],
}


@pytest.mark.parametrize("topic", TOPICS.values(), ids=TOPICS.keys())
@pytest.mark.parametrize("message", [notification(), confirmation()], ids=["event", "confirm"])
async def test_a_topic_that_is_not_listened_to(message: Fields, topic: object) -> None:
    await refused(body(signed(message | {"TopicArn": topic})))


@pytest.mark.parametrize(
    "value", ["3", "0", "01", " 1", "1 ", "\u0661", "", None, 1, 2.0, True, ["1"]]
)
async def test_a_signature_version_that_is_not_known(value: object) -> None:
    await refused(body(signed(notification()) | {"SignatureVersion": value}))


@pytest.mark.parametrize(
    "value",
    [
        "2026-06-30T11:59:59.000Z",
        "2026-07-02T12:00:01.000Z",
        "2026-07-01T12:00:00",
        "2026-07-01T12:00:00+00:00",
        "2026-07-01",
        "2026-13-01T12:00:00.000Z",
        "1782907200",
        "",
        None,
        1782907200,
    ],
)
async def test_a_timestamp_of_another_day_or_out_of_shape(value: object) -> None:
    await refused(body(signed(notification(Timestamp=value))))


@pytest.mark.parametrize("value", ["2026-07-01T09:59:59.000Z", "2026-07-01T12:05:01.000Z"])
async def test_a_timestamp_out_of_the_window_is_not_final(value: str) -> None:
    """It may be our own clock that is wrong; SNS sends again what gets a 5xx."""
    door = Door()
    with pytest.raises(WebhookUnverifiableError):
        await door.receive(body(signed(notification(Timestamp=value))), {})
    assert (door.fetcher.urls, door.confirmations.calls) == ([], [])


async def test_out_of_the_window_what_can_be_seen_to_be_forged_without_a_fetch_is_refused() -> None:
    old = notification(Timestamp="2026-07-01T09:59:59.000Z")
    await refused(body(signed(old, url=f"https://evil.com{PATH}")))
    await refused(body(signed(old) | {"SignatureVersion": "3"}))
    door = Door()
    await door.receive(body(signed(notification())), {})  # so the certificate is there
    with pytest.raises(WebhookForgedError):
        await door.receive(body(signed(old) | {"Message": "tampered"}), {})
    with pytest.raises(WebhookUnverifiableError):
        await door.receive(body(signed(old)), {})
    assert len(door.fetcher.urls) == 1


@pytest.mark.parametrize("topic", ["", TOPIC + "x", TOPIC.upper(), f" {TOPIC}"])
def test_a_head_that_names_no_topic_of_ours(topic: str) -> None:
    with pytest.raises(WebhookForgedError):
        Door().receiver.admit({"x-amz-sns-topic-arn": topic})


def test_a_head_that_a_proxy_has_shortened_gets_no_final_word() -> None:
    with pytest.raises(WebhookUnverifiableError):
        Door().receiver.admit({})


@pytest.mark.parametrize("value", ["Notify", "notification", "", None, ["Notification"], {}])
async def test_an_unknown_type(value: object) -> None:
    await refused(body(signed(notification()) | {"Type": value}))


@pytest.mark.parametrize("name", ["Message", "MessageId", "Subject", "Timestamp", "Signature"])
@pytest.mark.parametrize("value", [1, {"a": 1}, ["x"], True, "\ud800"])
async def test_a_field_that_is_no_text(name: str, value: object) -> None:
    await refused(body(signed(notification()) | {name: value}))


@pytest.mark.parametrize("name", ["Token", "SubscribeURL", "Message", "MessageId", "Timestamp"])
async def test_a_field_that_is_missing(name: str) -> None:
    fields = signed(confirmation())
    del fields[name]
    await refused(body(fields))


@pytest.mark.parametrize("value", ["true", "True", " true", "1"])
async def test_raw_delivery_which_has_no_signature(value: str) -> None:
    headers = {"x-amz-sns-rawdelivery": value, "x-amz-sns-topic-arn": TOPIC}
    await refused(body(signed(notification())), headers)
    await refused(b'{"Records": []}', headers)
    with pytest.raises(WebhookForgedError, match="Raw"):  # and so before the body is read
        Door().receiver.admit(headers)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-amz-sns-message-type", "SubscriptionConfirmation"),
        ("x-amz-sns-topic-arn", "arn:aws:sns:us-east-1:123456789012:other"),
        ("x-amz-sns-message-id", "another"),
    ],
)
async def test_headers_that_contradict_the_body(header: str, value: str) -> None:
    await refused(body(signed(notification())), {header: value})


@pytest.mark.parametrize(
    "plain",
    [b"", b"null", b"[]", b'"x"', b"{", b"\xff\xfe{}", b"[" * 100_000, b"{}", b'{"Type":NaN}'],
)
async def test_what_is_no_object(plain: bytes) -> None:
    await refused(plain)


async def test_a_field_of_many_lines_cannot_pose_as_several() -> None:
    """One signed string must not be readable as two messages: see canonical._is_one_line."""
    honest = signed(notification(Message="EVIL\nMessageId\nforged\nSubject\nrest"))
    forged = honest | {
        "Message": "EVIL",
        "MessageId": "forged",
        "Subject": f"rest\nMessageId\n{honest['MessageId']}",
    }
    await refused(body(forged))


async def test_no_refusal_repeats_the_message() -> None:
    secret = "s3cr3t-of-the-message"
    for name in ("Message", "TopicArn", "SigningCertURL", "Timestamp", "Token", "Type"):
        fields = signed(confirmation()) | {name: secret}
        if name == "Message":
            fields["SigningCertURL"] = secret
        if name == "Token":
            fields["Token"] = {secret: secret}
        assert secret not in str(await refused(json.dumps(fields).encode()))
