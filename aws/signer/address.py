"""Where a bucket answers.

Virtual-host style on AWS, with the regional host: the global one redirects for a new bucket's
first hours, and a redirected PUT fails its signature. Path style for self-hosted stores, and on
AWS for names that no certificate covers (`*.s3.…` has one label before it).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final, Self
from urllib.parse import quote, urlsplit

from botocore.loaders import create_loader

_ONE_LABEL = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", re.ASCII)
_MOST_BUCKETS: Final = 16  # whose addresses are kept
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class BucketAddress:
    """`host` is the Host header that a client sends; `base` the path of the bucket, empty in
    virtual-host style.
    """

    origin: str
    host: str
    base: str

    @classmethod
    def of(cls, bucket: str, region: str, endpoint: str | None) -> Self:
        """Raises ValueError for an endpoint that is no http(s) address, and for a Region of no
        partition that botocore knows. The first
        on AWS reads a file of botocore's.
        """
        if endpoint is not None:
            return cls._self_hosted(bucket, endpoint)
        host = f"s3.{region}.{_dns_suffix(region)}"
        if _ONE_LABEL.fullmatch(bucket):
            return cls(f"https://{bucket}.{host}", f"{bucket}.{host}", "")
        return cls(f"https://{host}", host, f"/{quote(bucket, safe='')}")

    @classmethod
    def _self_hosted(cls, bucket: str, endpoint: str) -> Self:
        parts = urlsplit(endpoint)
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.query:
            raise ValueError("The store's endpoint is not an http or https address")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        if parts.port not in (None, _DEFAULT_PORTS[parts.scheme]):
            host = f"{host}:{parts.port}"
        base = f"{parts.path.rstrip('/')}/{quote(bucket, safe='')}"
        return cls(f"{parts.scheme}://{host}", host, base)

    def path(self, key: str) -> str:
        """Encoded once, as S3 signs it; `/` stays, and `//` and dots are not tidied up."""
        return f"{self.base}/{quote(key, safe='/')}"

    @property
    def form_url(self) -> str:
        """Where a POST form goes: to the bucket itself."""
        return f"{self.origin}{self.base or '/'}"


class BucketAddresses:
    """Of one store. A record keeps the bucket that it was made with, so there may be several."""

    def __init__(self, region: str, endpoint: str | None) -> None:
        """Raises ValueError, now and not with the first upload, as BucketAddress does."""

        def address(bucket: str) -> BucketAddress:
            return BucketAddress.of(bucket, region, endpoint)

        self.of = lru_cache(maxsize=_MOST_BUCKETS)(address)
        address("any")


def _dns_suffix(region: str) -> str:
    """By the partitions' own patterns, so that a Region newer than botocore is served too."""
    for suffix, regions, pattern in _partitions():
        if region in regions or pattern.fullmatch(region):
            return suffix
    raise ValueError(f"{region!r} is in no partition of AWS that botocore knows")


@cache
def _partitions() -> Sequence[tuple[str, frozenset[str], re.Pattern[str]]]:
    """DNS suffix, Regions, and the pattern of a Region's name."""
    return [
        (found["dnsSuffix"], frozenset(found["regions"]), re.compile(found["regionRegex"]))
        for found in create_loader().load_data("endpoints")["partitions"]
    ]
