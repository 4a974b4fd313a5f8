"""Which topics are ours, and where the certificates for their messages may come from.

The official validators match a certificate's host with a pattern that also matches buckets of S3,
such as `sns.s3-us-west-2.amazonaws.com`. Here a topic has exactly one host, worked out from its
ARN at start-up with botocore's table of partitions and Regions.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from botocore.loaders import create_loader

_ARN = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):sns:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12})"
    r":(?P<name>[A-Za-z0-9_-]{1,256}(?:\.fifo)?)",
    re.ASCII,
)
_CERTIFICATE_PATH = re.compile(r"/SimpleNotificationService-[0-9A-Za-z]+\.pem", re.ASCII)
_MAX_URL_CHARS = 256


@dataclass(frozen=True, slots=True)
class Topic:
    """`host` is SNS's own in the topic's Region, and serves its signing certificates."""

    arn: str
    region: str
    host: str


def topics_by_arn(arns: Iterable[str]) -> Mapping[str, Topic]:
    """The allow-list. Raises ValueError for what is no ARN of a topic in a Region known here."""
    return {arn: parse_topic(arn) for arn in arns}


def parse_topic(arn: str) -> Topic:
    found = _ARN.fullmatch(arn)
    if found is None:
        raise ValueError(f"{arn!r} is not the ARN of an SNS topic")
    region = found["region"]
    suffix = _dns_suffixes().get((found["partition"], region))
    if suffix is None:
        raise ValueError(f"{arn!r} is in no Region that botocore knows of that partition")
    return Topic(arn=arn, region=region, host=f"sns.{region}.{suffix}")


def is_certificate_url(url: str, topic: Topic) -> bool:
    """Compares whole texts: no parser of URLs takes part that could read one differently.

    So there is no room for a port, user information, a query, a fragment, another scheme, upper
    case or an encoded character.
    """
    origin = f"https://{topic.host}"
    if len(url) > _MAX_URL_CHARS or not url.startswith(origin):
        return False
    return _CERTIFICATE_PATH.fullmatch(url, len(origin)) is not None


@cache
def _dns_suffixes() -> Mapping[tuple[str, str], str]:
    """DNS suffix by partition and Region. Reads a file of botocore's, once, at start-up."""
    partitions = create_loader().load_data("endpoints")["partitions"]
    return {
        (partition["partition"], region): partition["dnsSuffix"]
        for partition in partitions
        for region in partition["regions"]
    }
