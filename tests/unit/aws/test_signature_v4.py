"""botocore is the judge: the same URL, byte for byte."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import boto3
import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from hypothesis import example, given
from hypothesis import strategies as st

from aws.signer.address import BucketAddress
from aws.signer.credentials import SigningCredentials
from aws.signer.presigner import Presigner
from aws.signer.sigv4 import QuerySigner, SigningDay, SigningDays, stamp_of
from service.uploads.model import Checksum
from service.uploads.signed import PartTerms

REGION = "eu-central-1"
ENDPOINT = "http://127.0.0.1:8333"

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
# What keys, names of parts of them, and values are made of when they hurt.
awkward = st.text(st.sampled_from("aZ09-_.~/+ %?#&=;:@!$'()*,\\\"<>[]{}|^`äé漢😀\u00a0\x7f"), max_size=40)
object_keys = (text | awkward).filter(bool)
names = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,12}", fullmatch=True)
query_names = names.filter(lambda name: not name.lower().startswith("x-amz-"))
# As HTTP lets a value be: printable, with as many spaces as it likes.
header_values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40)
times = st.datetimes(datetime(1980, 1, 1), datetime(2199, 1, 1), timezones=st.just(UTC)).map(
    lambda at: at.replace(microsecond=0)
)
credentials = st.builds(
    SigningCredentials,
    access_key_id=st.from_regex(r"[A-Z0-9]{16,20}", fullmatch=True),
    secret_access_key=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1),
    session_token=st.none() | st.from_regex(r"[A-Za-z0-9/+=]{1,200}", fullmatch=True),
)


@contextmanager
def botocores_clock(at: datetime) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auth, "get_current_datetime", lambda *_, **__: at)
        yield


def botocores(
    keys: SigningCredentials, at: datetime, seconds: int, request: AWSRequest, region: str = REGION
) -> str:
    held = Credentials(keys.access_key_id, keys.secret_access_key, keys.session_token)
    with botocores_clock(at):
        auth.S3SigV4QueryAuth(held, "s3", region, expires=seconds).add_auth(request)
    return str(request.url)


@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"]),
    key=object_keys,
    query=st.dictionaries(query_names, text | awkward, max_size=4),
    headers=st.dictionaries(names.filter(_signable := lambda name: name.lower() not in {  # noqa: F841
        "host", "expect", "transfer-encoding", "user-agent"
    }), header_values, max_size=4),
    keys=credentials,
    at=times,
    seconds=st.integers(1, 604_800),
)
def test_a_url_is_botocores_byte_for_byte(
    method: str,
    key: str,
    query: dict[str, str],
    headers: dict[str, str],
    keys: SigningCredentials,
    at: datetime,
    seconds: int,
) -> None: ...
