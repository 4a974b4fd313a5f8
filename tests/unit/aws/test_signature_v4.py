"""botocore is the judge: the same URL, byte for byte."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import example, given
from hypothesis import strategies as st

from aws.signer.address import BucketAddress
from aws.signer.credentials import SigningCredentials
from aws.signer.sigv4 import QuerySigner, SigningDay, SigningDays, stamp_of
from tests.fakes.clock import START

REGION = "eu-central-1"
HOST = "bucket.s3.eu-central-1.amazonaws.com"
# Added by the sender, never signed by botocore, or ours to add.
_OTHERS = {"host", "expect", "transfer-encoding", "user-agent"}

plain_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
awkward = st.text(
    st.sampled_from("aZ09-_.~/+ %?#&=;:@!$'()*,\\\"<>|^`äé漢😀\u00a0\x7f"), max_size=40
)
texts = plain_text | awkward
object_keys = texts.filter(bool)
names = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,12}", fullmatch=True)
query_names = names.filter(lambda name: not name.startswith("X-Amz-"))
header_names = names.map(str.lower).filter(lambda name: name not in _OTHERS)
# As HTTP lets a value be: printable, with as many spaces as it likes.
header_values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40)
times = st.datetimes(datetime(1980, 1, 1), datetime(2199, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda at: at.replace(microsecond=0)
)
credentials = st.builds(
    SigningCredentials,
    access_key_id=st.from_regex(r"[A-Z0-9]{16,20}", fullmatch=True),
    secret_access_key=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1),
    session_token=st.none() | st.from_regex(r"[A-Za-z0-9/+=]{1,200}", fullmatch=True),
)
KEYS = SigningCredentials("AKIAEXAMPLE", "secret", "token/+=")


@contextmanager
def _botocores_clock(at: datetime) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auth, "get_current_datetime", lambda *_, **__: at)
        yield


@dataclass(frozen=True)
class Case:
    """All that a signature depends on."""

    method: str
    key: str
    query: dict[str, str]
    headers: dict[str, str]
    keys: SigningCredentials = KEYS
    at: datetime = START
    seconds: int = 60


cases = st.builds(
    Case,
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"]),
    key=object_keys,
    query=st.dictionaries(query_names, texts, max_size=4),
    headers=st.dictionaries(header_names, header_values, max_size=4),
    keys=credentials,
    at=times,
    seconds=st.integers(1, 604_800),
)


def _ours(case: Case) -> str:
    stamp = stamp_of(case.at)
    day = SigningDay(case.keys, stamp[:8], REGION)
    path = BucketAddress(f"https://{HOST}", HOST, "").path(case.key)
    signer = QuerySigner(day, stamp, host=HOST, seconds=case.seconds)
    return f"https://{HOST}{path}?{signer.query(case.method, path, case.query, case.headers)}"


def _botocores(case: Case) -> str:
    url = f"https://{HOST}/{quote(case.key, safe='/~')}"
    request = AWSRequest(case.method, url, headers=case.headers, params=case.query)
    keys = case.keys
    held = Credentials(keys.access_key_id, keys.secret_access_key, keys.session_token)
    with _botocores_clock(case.at):
        auth.S3SigV4QueryAuth(held, "s3", REGION, expires=case.seconds).add_auth(request)
    return str(request.url)


@given(cases)
@example(Case("PUT", "a//b/../c ~+%2F?#", {}, {"a": "  two   spaces  "}))
@example(Case("GET", "/", {"a-b": "1", "a": "2", "A": "3", "empty": ""}, {"b": "", "a": "1"}))
def test_a_url_is_botocores_byte_for_byte(case: Case) -> None:
    assert _ours(case) == _botocores(case)


def test_amazons_own_example_comes_out_as_printed() -> None:
    """S3 API Reference, "Authenticating Requests: Using Query Parameters", example."""
    keys = SigningCredentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    day = SigningDay(keys, "20130524", "us-east-1")
    signer = QuerySigner(
        day, "20130524T000000Z", host="examplebucket.s3.amazonaws.com", seconds=86400
    )
    assert signer.query("GET", "/test.txt", {}, {}).endswith(
        "X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )


def test_a_day_s_key_is_made_once_and_the_next_day_has_another() -> None:
    days = SigningDays(REGION)
    first = days.of(KEYS, "20300101")
    assert days.of(KEYS, "20300101") is first
    assert days.of(KEYS, "20300102").signature("text") != first.signature("text")


def test_only_the_last_few_days_keys_are_kept() -> None:
    days = SigningDays(REGION)
    begin = datetime(2030, 1, 1, tzinfo=UTC)
    for number in range(100):
        days.of(KEYS, f"{begin + timedelta(days=number):%Y%m%d}")
    assert len(days._kept) <= 4


def test_other_credentials_on_the_same_day_never_share_a_key() -> None:
    days = SigningDays(REGION)
    renewed = SigningCredentials(KEYS.access_key_id, "another secret", KEYS.session_token)
    first, second = days.of(KEYS, "20300101"), days.of(renewed, "20300101")
    assert first.signature("text") != second.signature("text")


def test_a_days_key_does_not_show_itself() -> None:
    shown = repr(SigningDay(KEYS, "20300101", REGION)) + repr(SigningDays(REGION))
    assert "secret" not in shown
    assert "token" not in shown
