import re

import pytest

from aws.sns.certificates import Certificates
from aws.sns.receiver import SnsReceiver
from aws.sns.topics import is_certificate_url, parse_topic, topics_by_arn
from tests.unit.sns.sender import CERT_URL, CHINA_TOPIC, NOW, TOPIC, CountingFetcher, Door


@pytest.mark.parametrize(
    ("arn", "host"),
    [
        (TOPIC, "sns.us-east-1.amazonaws.com"),
        (CHINA_TOPIC, "sns.cn-north-1.amazonaws.com.cn"),
        ("arn:aws-us-gov:sns:us-gov-west-1:123456789012:t", "sns.us-gov-west-1.amazonaws.com"),
        ("arn:aws-eusc:sns:eusc-de-east-1:123456789012:t", "sns.eusc-de-east-1.amazonaws.eu"),
        ("arn:aws:sns:ap-southeast-7:123456789012:t.fifo", "sns.ap-southeast-7.amazonaws.com"),
    ],
)
def test_each_topic_has_one_host(arn: str, host: str) -> None:
    assert parse_topic(arn).host == host


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "uploads",
        "arn:aws:sqs:us-east-1:123456789012:uploads",
        "arn:aws:sns:us-east-1:12345:uploads",
        "arn:aws:sns:us-east-1:123456789012:",
        "arn:aws:sns:us-east-1:123456789012:uploads:subscription",
        "arn:aws:sns::123456789012:uploads",
        "arn:aws:sns:s3-us-west-2:123456789012:uploads",  # no Region, but a host of S3's
        "arn:aws:sns:us-east-99:123456789012:uploads",
        "arn:aws:sns:cn-north-1:123456789012:uploads",  # a Region of another partition
        "arn:aws-cn:sns:us-east-1:123456789012:uploads",
        "arn:aws:sns:us-east-1:123456789012:uploads\n",
        "arn:aws:sns:us-east-1:\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669012:t",
    ],
)
def test_what_is_no_topic_is_refused_at_start_up(arn: str) -> None:
    with pytest.raises(ValueError, match=r"ARN|Region"):
        topics_by_arn({TOPIC, arn})
    with pytest.raises(ValueError, match=r"ARN|Region"):
        Door(topics=frozenset({arn}))


def test_a_window_that_sns_retries_would_miss_is_refused_at_start_up() -> None:
    async def confirm(topic_arn: str, token: str) -> None: ...

    with pytest.raises(ValueError, match=re.escape("3,600")):
        SnsReceiver(
            topic_arns=frozenset({TOPIC}),
            sha256_only=False,
            certificates=Certificates(CountingFetcher(), clock=lambda: NOW),
            confirm=confirm,
            clock=lambda: NOW,
            max_age_seconds=3600,
        )


def test_the_address_of_a_real_certificate() -> None:
    assert is_certificate_url(CERT_URL, parse_topic(TOPIC))
    assert not is_certificate_url(CERT_URL, parse_topic(CHINA_TOPIC))
