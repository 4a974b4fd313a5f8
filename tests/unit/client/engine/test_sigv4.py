from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import pytest
from botocore.auth import SIGV4_TIMESTAMP, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from client.engine.sigv4 import address_of, signed_put
from client.grants import Issued
from client.wire import Keys, Place
from tests.unit.client.fakes import NOW

KEY = "us-east-1:me/upl_1/a b+ü%.bin"


def _issued(life: float = 3600, skew: float = 0, **place: Any) -> Issued:
    keys = Keys("ASIAEXAMPLE", "secret-1", "session-1", NOW + timedelta(seconds=life))
    told = {"region": "eu-west-1", "endpoint": None, "bucket": "uploads", "key_prefix": "me/"}
    return Issued(keys, Place(**(told | place)), timedelta(seconds=skew))


def _query(url: str) -> dict[str, str]:
    return {name: found[0] for name, found in parse_qs(urlsplit(url).query).items()}


class _AtNow(S3SigV4QueryAuth):
    """botocore's own signer, at a moment of ours."""

    def _modify_request_before_signing(self, request: Any) -> None:
        request.context["timestamp"] = NOW.strftime(SIGV4_TIMESTAMP)
        super()._modify_request_before_signing(request)  # type: ignore[misc]  # in no stub


@pytest.mark.parametrize(
    "place",
    [
        {},
        {"bucket": "my.uploads", "region": "cn-north-1"},
        {"endpoint": "http://127.0.0.1:8333"},
        {"endpoint": "https://Store.Example.org:443/behind/"},
        {"endpoint": "http://[::1]:80"},
    ],
)
@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({}, {}),
        ({}, {"partNumber": 10_000, "uploadId": "a/b+c=~ü"}),
        ({"Content-Type": "text/plain; charset=utf-8", "If-None-Match": "*"}, {}),
        ({"x-amz-checksum-crc64nvme": " AAAA+/8=  x"}, {"uploadId": "1", "partNumber": 1}),
    ],
)
def test_it_signs_as_botocore_does(place: Any, headers: Any, query: Any) -> None:
    issued = _issued(**place)
    keys = Credentials(issued.keys.access_key_id, "secret-1", issued.keys.session_token)
    url = address_of(issued.place, KEY)
    if query:
        url += "?" + "&".join(f"{name}={quote(str(text))}" for name, text in query.items())
    request = AWSRequest("PUT", url, headers=headers)
    _AtNow(keys, "s3", issued.place.region, expires=900).add_auth(request)
    theirs = _query(str(request.url))
    assert _query(signed_put(issued, KEY, headers, query, now=NOW)) == theirs


@pytest.mark.parametrize(
    ("place", "host", "path"),
    [
        ({}, "https://uploads.s3.eu-west-1.amazonaws.com", f"/{KEY}"),
        ({"bucket": "my.uploads"}, "https://s3.eu-west-1.amazonaws.com", f"/my.uploads/{KEY}"),
        ({"region": "cn-north-1"}, "https://uploads.s3.cn-north-1.amazonaws.com.cn", f"/{KEY}"),
        ({"endpoint": "http://127.0.0.1:9/"}, "http://127.0.0.1:9", f"/uploads/{KEY}"),
    ],
)
def test_the_address_is_the_buckets_own_at_aws_and_by_path_elsewhere(
    place: Any, host: str, path: str
) -> None:
    parts = urlsplit(address_of(_issued(**place).place, KEY))
    assert f"{parts.scheme}://{parts.netloc}" == host
    assert unquote(parts.path) == path
    assert parts.query == ""


def test_everything_that_is_sent_is_signed() -> None:
    headers = {"x-amz-checksum-crc32": "AAAAAA==", "If-None-Match": "*"}
    url = signed_put(_issued(), KEY, headers, {"partNumber": 7, "uploadId": "a/b+c="}, now=NOW)
    query = _query(url)
    assert query["X-Amz-SignedHeaders"] == "host;if-none-match;x-amz-checksum-crc32"
    assert (query["partNumber"], query["uploadId"]) == ("7", "a/b+c=")
    assert query["X-Amz-Security-Token"] == "session-1"
    assert query["X-Amz-Date"] == "20300101T120000Z"
    assert query["X-Amz-Expires"] == "900"
    assert query["X-Amz-Credential"] == "ASIAEXAMPLE/20300101/eu-west-1/s3/aws4_request"


def test_it_is_signed_by_the_services_clock_and_not_beyond_the_keys_life() -> None:
    issued = _issued(life=100, skew=60)
    query = _query(signed_put(issued, KEY, {}, {}, now=NOW))
    assert query["X-Amz-Date"] == "20300101T120100Z"
    assert query["X-Amz-Expires"] == "40"


def test_another_moment_or_header_is_another_signature() -> None:
    def signature(headers: dict[str, str], seconds: float) -> str:
        moment = NOW + timedelta(seconds=seconds)
        return _query(signed_put(_issued(), KEY, headers, {}, now=moment))["X-Amz-Signature"]

    assert signature({}, 0) == signature({}, 0)
    assert len({signature({}, 0), signature({}, 1), signature({"If-None-Match": "*"}, 0)}) == 3
