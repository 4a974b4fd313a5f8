"""The requests themselves, against a whole botocore client set up as ours are."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore import auth
from botocore.config import Config
from hypothesis import given
from hypothesis import strategies as st

from aws.signer.credentials import CredentialSource, SigningCredentials
from aws.signer.presigner import Presigner
from errors import StoreUnavailableError
from service.uploads.model import Checksum
from service.uploads.signed import PartTerms, SignedRequest
from tests.fakes.clock import START, Clock

REGION, BUCKET, ENDPOINT = "eu-central-1", "bucket", "http://127.0.0.1:8333"
KEYS = SigningCredentials("ASIAEXAMPLE", "s3cr3t/+=", "t0ken/+==")
WEEK = 7 * 24 * 3600
UPLOAD_ID = "upl_01"
# botocore's client tidies what stands at either end of a key; ours are never like that.
object_keys = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from("/+ %~.é"), min_size=1, max_size=80
).map(lambda key: f"users/1/{key}")
sizes = st.integers(0, 5 * 1024**3)
checksums = st.none() | st.sampled_from(
    [Checksum("CRC32", "DUoRhQ=="), Checksum("CRC64NVME", "AAAAAAAAAAA=")]
)
content_types = st.sampled_from(["text/plain", "text/plain;  charset=utf-8", "image/svg+xml"])


def source(keys: SigningCredentials) -> CredentialSource:
    async def now() -> SigningCredentials:
        return keys

    return now


def presigner(
    keys: SigningCredentials = KEYS,
    *,
    region: str = REGION,
    endpoint: str | None = None,
    clock: Clock | None = None,
) -> Presigner:
    return Presigner(
        credentials=source(keys),
        region=region,
        endpoint=endpoint,
        clock=clock or Clock(),
    )


def client(region: str = REGION, endpoint: str | None = None) -> Any:
    return boto3.client(
        "s3",
        region_name=region,
        endpoint_url=endpoint,
        aws_access_key_id=KEYS.access_key_id,
        aws_secret_access_key=KEYS.secret_access_key,
        aws_session_token=KEYS.session_token,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path" if endpoint else "virtual"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


@pytest.fixture(scope="module", autouse=True)
def _botocores_clock() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auth, "get_current_datetime", lambda *_, **__: START)
        # Its own code also where awscrt is installed, which it would prefer.
        patch.setitem(auth.AUTH_TYPE_MAPS, "s3v4-query", auth.S3SigV4QueryAuth)
        yield


@pytest.fixture(scope="module", params=[None, ENDPOINT])
def judge(request: pytest.FixtureRequest) -> tuple[Any, Presigner]:
    """botocore's client and our presigner at one place: AWS, and a store of one's own."""
    return client(endpoint=request.param), presigner(endpoint=request.param)


def _theirs(s3: Any, operation: str, **params: Any) -> str:
    url: str = s3.generate_presigned_url(
        operation, Params={"Bucket": BUCKET, **params}, ExpiresIn=600
    )
    return url


def _checksum(checksum: Checksum | None) -> dict[str, str]:
    return {} if checksum is None else {f"Checksum{checksum.algorithm}": checksum.value}


@given(key=object_keys, size=sizes, content_type=content_types, checksum=checksums)
async def test_a_put_is_the_one_that_botocores_client_signs(
    judge: tuple[Any, Presigner],
    key: str,
    size: int,
    content_type: str,
    checksum: Checksum | None,
) -> None:
    s3, ours = judge
    signed = await ours.put(
        BUCKET,
        key,
        size=size,
        content_type=content_type,
        checksum=checksum,
        upload_id=UPLOAD_ID,
        seconds=600,
    )
    assert signed.url == _theirs(
        s3,
        "put_object",
        Key=key,
        ContentLength=size,
        ContentType=content_type,
        IfNoneMatch="*",
        Metadata={"uploadgate-upload-id": UPLOAD_ID},
        **_checksum(checksum),
    )


@given(
    key=object_keys,
    multipart_id=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1),
    number=st.integers(1, 10_000),
    size=st.none() | sizes,
    checksum=checksums,
)
async def test_a_part_is_the_one_that_botocores_client_signs(
    judge: tuple[Any, Presigner],
    *,
    key: str,
    multipart_id: str,
    number: int,
    size: int | None,
    checksum: Checksum | None,
) -> None:
    s3, ours = judge
    (signed,) = await ours.parts(
        BUCKET, key, multipart_id, [PartTerms(number, size, checksum)], seconds=600
    )
    length = {} if size is None else {"ContentLength": size}
    assert signed.url == _theirs(
        s3,
        "upload_part",
        Key=key,
        UploadId=multipart_id,
        PartNumber=number,
        **length,
        **_checksum(checksum),
    )


@given(
    key=object_keys,
    version_id=st.none() | st.from_regex(r"[A-Za-z0-9._]{1,32}", fullmatch=True),
    disposition=st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)),
)
async def test_a_get_is_the_one_that_botocores_client_signs(
    judge: tuple[Any, Presigner], key: str, version_id: str | None, disposition: str
) -> None:
    s3, ours = judge
    signed = await ours.get(
        BUCKET,
        key,
        version_id=version_id,
        content_disposition=disposition,
        content_type="text/plain; charset=utf-8",
        seconds=600,
    )
    version = {} if version_id is None else {"VersionId": version_id}
    assert signed.url == _theirs(
        s3,
        "get_object",
        Key=key,
        ResponseContentDisposition=disposition,
        ResponseContentType="text/plain; charset=utf-8",
        **version,
    )
    assert signed.headers == {}


def _signed_headers(signed: SignedRequest) -> set[str]:
    (names,) = parse_qs(urlsplit(signed.url).query)["X-Amz-SignedHeaders"]
    return set(names.split(";"))


@given(size=sizes, checksum=checksums)
async def test_the_headers_given_are_exactly_those_signed(
    size: int, checksum: Checksum | None
) -> None:
    put = await presigner().put(
        BUCKET,
        "key",
        size=size,
        content_type="text/plain",
        checksum=checksum,
        upload_id=UPLOAD_ID,
        seconds=60,
    )
    parts = await presigner().parts(
        BUCKET, "key", "multipart", [PartTerms(1), PartTerms(2, size, checksum)], seconds=60
    )
    for signed in (put, *parts):
        sent = {name.lower() for name in signed.headers}
        assert _signed_headers(signed) == sent | {"host"}
    assert put.headers["Content-Length"] == str(size)
    assert put.headers["If-None-Match"] == "*"
    assert put.headers["x-amz-meta-uploadgate-upload-id"] == UPLOAD_ID


@pytest.mark.parametrize(
    "region", ["us-west-2", "eu-central-1", "cn-north-1", "us-gov-west-1", "us-iso-east-1"]
)
@pytest.mark.parametrize("bucket", ["bucket", "with.dots", "UPPER_case"])
async def test_the_address_is_the_one_of_the_partition(region: str, bucket: str) -> None:
    (signed,) = await presigner(region=region).parts(
        bucket, "key", "multipart", [PartTerms(1)], seconds=600
    )
    theirs = client(region).generate_presigned_url(
        "upload_part",
        Params={"Bucket": bucket, "Key": "key", "UploadId": "multipart", "PartNumber": 1},
        ExpiresIn=600,
    )
    assert signed.url == theirs


@given(
    key=object_keys,
    multipart_id=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1),
    after=st.integers(0, 10_000),
)
async def test_a_list_of_parts_is_the_one_that_botocores_client_signs(
    judge: tuple[Any, Presigner], key: str, multipart_id: str, after: int
) -> None:
    s3, ours = judge
    signed = await ours.list_parts(BUCKET, key, multipart_id, after=after, seconds=600)
    marker = {"PartNumberMarker": after} if after else {}
    assert signed.url == _theirs(s3, "list_parts", Key=key, UploadId=multipart_id, **marker)
    assert signed.headers == {}


async def _all_kinds(ours: Presigner, bucket: str) -> list[str]:
    """Of each kind of request the address that is signed, and a form's with its policy."""
    put = await ours.put(
        bucket, "k", size=1, content_type="a/b", checksum=None, upload_id="u", seconds=60
    )
    form = await ours.post(bucket, "k", largest=1, content_type="a/b", upload_id="u", seconds=60)
    parts = await ours.parts(bucket, "k", "m", [PartTerms(1)], seconds=60)
    get = await ours.get(
        bucket, "k", version_id=None, content_disposition="d", content_type="a/b", seconds=60
    )
    listed = await ours.list_parts(bucket, "k", "m", after=0, seconds=60)
    policy = form.fields["policy"]
    return [put.url, f"{form.url}?{policy}", *(one.url for one in parts), get.url, listed.url]


@pytest.mark.parametrize("endpoint", [None, ENDPOINT])
async def test_every_request_is_for_the_bucket_that_is_named(endpoint: str | None) -> None:
    """However many there were in between."""
    ours = presigner(endpoint=endpoint)
    before = await _all_kinds(ours, "first")
    for number in range(40):
        bucket = f"bucket-{number}"
        signed = await _all_kinds(ours, bucket)
        assert not set(signed) & set(before)
        assert [bucket in url for url in signed] == [True] * 5
        assert bucket in ours.location(bucket, "k")
        assert signed == await _all_kinds(presigner(endpoint=endpoint), bucket)
    assert await _all_kinds(ours, "first") == before


async def test_the_oldest_region_has_its_regional_host_too() -> None:
    (signed,) = await presigner(region="us-east-1").parts(
        BUCKET, "k", "m", [PartTerms(1)], seconds=600
    )
    assert signed.url.startswith("https://bucket.s3.us-east-1.amazonaws.com/k?")


async def test_a_region_newer_than_botocore_is_served() -> None:
    (signed,) = await presigner(region="eu-north-9").parts(
        BUCKET, "k", "m", [PartTerms(1)], seconds=600
    )
    assert signed.url.startswith("https://bucket.s3.eu-north-9.amazonaws.com/k?")


@pytest.mark.parametrize("region", ["", "nowhere", "eu-central-1.evil.example/"])
def test_a_region_of_no_partition_is_refused_at_start_up(region: str) -> None:
    with pytest.raises(ValueError, match="partition"):
        presigner(region=region)


@pytest.mark.parametrize(
    ("endpoint", "begin"),
    [
        ("http://store.example:8333", "http://store.example:8333/bucket/k?"),
        ("https://Store.Example:443/", "https://store.example/bucket/k?"),
        ("http://store.example:80/s3/", "http://store.example/s3/bucket/k?"),
        ("http://[::1]:8333", "http://[::1]:8333/bucket/k?"),
    ],
)
async def test_a_store_of_ones_own_is_addressed_by_path(endpoint: str, begin: str) -> None:
    (signed,) = await presigner(endpoint=endpoint).parts(
        BUCKET, "k", "m", [PartTerms(1)], seconds=600
    )
    assert signed.url.startswith(begin)


@pytest.mark.parametrize("endpoint", ["store.example", "ftp://store.example", "http://", ""])
def test_an_endpoint_that_is_no_address_is_refused_at_start_up(endpoint: str) -> None:
    with pytest.raises(ValueError, match="endpoint"):
        presigner(endpoint=endpoint)


@given(
    seconds=st.integers(1, 2 * WEEK),
    own=st.none() | st.floats(1, 2 * WEEK),
    fraction=st.integers(0, 999_999),
)
async def test_a_url_lives_as_long_as_asked_a_week_or_its_credentials_whatever_ends_first(
    seconds: int, own: float | None, fraction: int
) -> None:
    clock = Clock()
    clock.now += timedelta(microseconds=fraction)
    ends = None if own is None else clock() + timedelta(seconds=own)
    keys = SigningCredentials("id", "secret", "token", ends)
    (signed,) = await presigner(keys, clock=clock).parts(
        BUCKET, "k", "m", [PartTerms(1)], seconds=seconds
    )
    query = parse_qs(urlsplit(signed.url).query)
    began = datetime.strptime(query["X-Amz-Date"][0], "%Y%m%dT%H%M%S%z")
    life = timedelta(seconds=int(query["X-Amz-Expires"][0]))
    assert began == clock().replace(microsecond=0)
    assert signed.expires_at == began + life
    longest = [timedelta(seconds=seconds), timedelta(seconds=WEEK)]
    longest += [] if ends is None else [ends - began]
    assert min(longest) - timedelta(seconds=1) < life <= min(longest)


async def test_a_form_lives_no_longer_than_its_credentials() -> None:
    ends = START + timedelta(seconds=90)
    form = await presigner(SigningCredentials("id", "secret", "token", ends)).post(
        BUCKET, "key", largest=10, content_type="text/plain", upload_id=UPLOAD_ID, seconds=600
    )
    assert form.expires_at == ends


@pytest.mark.parametrize("left", [-1, 0, 0.5])
async def test_credentials_that_have_ended_sign_nothing(left: float) -> None:
    keys = SigningCredentials("id", "secret", "token", START + timedelta(seconds=left))
    with pytest.raises(StoreUnavailableError):
        await presigner(keys).parts(BUCKET, "k", "m", [PartTerms(1)], seconds=60)


async def test_at_midnight_the_next_days_key_signs() -> None:
    clock = Clock()
    clock.now = datetime(2030, 1, 1, 23, 59, 59, tzinfo=UTC)
    ours = presigner(clock=clock)
    await ours.parts(BUCKET, "k", "m", [PartTerms(1)], seconds=600)
    clock.advance(1)
    (after,) = await ours.parts(BUCKET, "k", "m", [PartTerms(1)], seconds=600)
    (fresh,) = await presigner(clock=clock).parts(BUCKET, "k", "m", [PartTerms(1)], seconds=600)
    assert after == fresh
    assert "%2F20300102%2F" in after.url


async def test_a_thousand_parts_ask_for_credentials_once() -> None:
    asked = 0

    async def counted() -> SigningCredentials:
        nonlocal asked
        asked += 1
        return KEYS

    ours = Presigner(credentials=counted, region=REGION, endpoint=None, clock=Clock())
    parts = [PartTerms(number) for number in range(1, 1001)]
    signed = await ours.parts(BUCKET, "k", "m", parts, seconds=600)
    assert asked == 1
    assert [parse_qs(urlsplit(each.url).query)["partNumber"] for each in signed] == [
        [str(number)] for number in range(1, 1001)
    ]


async def test_nothing_signed_shows_itself() -> None:
    (signed,) = await presigner().parts(BUCKET, "k", "m", [PartTerms(1)], seconds=600)
    form = await presigner().post(
        BUCKET, "k", largest=1, content_type="text/plain", upload_id=UPLOAD_ID, seconds=60
    )
    shown = f"{signed!r} {form!r} {presigner()!r} {KEYS!r}"
    for secret in ("Signature", "signature", KEYS.secret_access_key, str(KEYS.session_token)):
        assert secret not in shown
