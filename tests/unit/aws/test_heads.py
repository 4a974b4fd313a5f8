"""HEADs over a real wire: botocore's answers, and what is asked again, for how long."""

import asyncio
import contextlib
import time
import traceback
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from structlog.testing import capture_logs

from aws import heads as module
from aws.clients import AwsClients
from aws.heads import Heads
from aws.s3 import S3Store
from aws.signer.credentials import SigningCredentials
from aws.signer.presigner import Presigner
from errors import StoreRefusedError, StoreUnavailableError, UploadgateError
from service.uploads.model import Checksum
from service.uploads.ports import StoredObject
from tests.fakes.http_stub import HttpStub, Reply, Request
from tests.unit.aws.conftest import CALL_SECONDS, MAX_ATTEMPTS

BUCKET, KEY = "uploads", "us-east-1:0000/upl_1/a b+ü.txt"
SECRET, TOKEN = "the-service's-own-secret", "a/session+token=="
MARKED = {"x-amz-request-id": "18EB80081BCF5E38"}
USUAL = {**MARKED, "ETag": '"one"', "Content-Type": "text/plain"}


async def keys() -> SigningCredentials:
    return SigningCredentials("AKIAEXAMPLE", SECRET, TOKEN)


def opened(url: str, **options: Any) -> contextlib.AbstractAsyncContextManager[Heads]:
    usual = {
        "connections": 4,
        "connect_seconds": 60,
        "read_seconds": 60,
        "attempts": MAX_ATTEMPTS,
        "call_seconds": CALL_SECONDS,
    }
    signer = Presigner(credentials=keys, region="us-east-1", endpoint=url)
    return Heads.opened(signer, **(usual | options))


@pytest.fixture
async def store(
    stub: HttpStub, clients: AwsClients, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[S3Store]:
    monkeypatch.setattr(module, "_PAUSE", 0)
    async with opened(stub.url) as heads:
        yield S3Store(clients.s3, call_seconds=CALL_SECONDS, heads=heads)


@pytest.fixture
def botocores(stub: HttpStub, clients: AwsClients) -> S3Store:
    return S3Store(clients.s3, call_seconds=CALL_SECONDS)


async def told(store: S3Store) -> StoredObject | type[UploadgateError] | None:
    try:
        return await store.head(BUCKET, KEY)
    except UploadgateError as error:
        return type(error)


_OTHERWISE: dict[str, Any] = {"X-Amz-Meta-Uploadgate-Upload-Id": "upl_1"}
_LONG_NAME: dict[str, Any] = {"x" * 9000: "long"}


def headed(*, size: int = 5, **headers: Any) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(200, b"", {**USUAL, **named}, promised=size)


async def test_a_head_tells_what_is_stored(store: S3Store, stub: HttpStub) -> None:
    stub.answer = headed(
        x_amz_version_id="v1", x_amz_checksum_crc32="DUoRhQ==", x_amz_meta_uploadgate_upload_id="u"
    )
    assert await store.head(BUCKET, KEY) == StoredObject(
        size=5,
        etag="one",
        content_type="text/plain",
        version_id="v1",
        checksum=Checksum("CRC32", "DUoRhQ=="),
        upload_id="u",
    )


async def test_it_is_asked_as_s3_wants_it_without_a_secret_in_the_address(
    store: S3Store, stub: HttpStub
) -> None:
    stub.answer = headed()
    await store.head(BUCKET, KEY)
    (request,) = stub.requests
    path = f"/{BUCKET}/us-east-1%3A0000/upl_1/a%20b%2B%C3%BC.txt"
    assert (request.method, request.target) == ("HEAD", path)
    assert request.headers["host"] == urlsplit(stub.url).netloc
    assert request.headers["x-amz-checksum-mode"] == "ENABLED"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["x-amz-security-token"] == TOKEN
    signed = request.headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    sent = {name for name in request.headers if name.startswith("x-amz-")} | {"host"}
    assert set(signed) == sent


ANSWERS = {
    "an object": headed(),
    "of no bytes": headed(size=0),
    "a large one": headed(size=2**45),
    "without a type": Reply(
        200, b"", {**MARKED, "ETag": '"e-2"', "x-amz-version-id": "null"}, promised=0
    ),
    "an empty type": headed(Content_Type=""),
    "a type with parameters": headed(Content_Type="text/html; charset=utf-8"),
    "an etag without quotes": headed(ETag="one"),
    "a weak etag": headed(ETag='W/"one"'),
    "its upload": headed(x_amz_meta_uploadgate_upload_id="upl_1", x_amz_meta_other="upl_2"),
    "its upload, written otherwise": headed(**_OTHERWISE),
    "no upload": headed(x_amz_meta_uploadgate_upload_id=""),
    "an upload in UTF-8": headed(x_amz_meta_uploadgate_upload_id="Ã¼"),
    "a version": headed(x_amz_version_id="v1"),
    "a CRC32": headed(x_amz_checksum_crc32="DUoRhQ=="),
    "a CRC64": headed(x_amz_checksum_crc64nvme="AAAAAAAAAAA=", x_amz_checksum_type="FULL_OBJECT"),
    "both": headed(x_amz_checksum_crc64nvme="AAAAAAAAAAA=", x_amz_checksum_crc32="DUoRhQ=="),
    "a composite": headed(x_amz_checksum_crc32="DUoRhQ==-3", x_amz_checksum_type="COMPOSITE"),
    "a composite by its look": headed(x_amz_checksum_crc32="DUoRhQ==-3"),
    "a composite by its type": headed(
        x_amz_checksum_crc32="DUoRhQ==", x_amz_checksum_type="COMPOSITE"
    ),
    "another checksum": headed(x_amz_checksum_sha256="deadbeef"),
    "a delete marker": Reply(404, b"", {**MARKED, "x-amz-delete-marker": "true"}),
    "nothing": Reply(404, b"", MARKED),
    "nothing, and nobody's": Reply(404),
    "no length": Reply(200, b"", {**USUAL, "Content-Length": ""}),
    "no etag": Reply(200, b"", {}, promised=5),
    "forbidden": Reply(403),
    "unauthorized": Reply(401),
    "not allowed": Reply(405),
    "gone": Reply(410),
    "locked away": Reply(409),
    "busy": Reply(503),
    "broken": Reply(500),
    "too many": Reply(429),
    "no gateway": Reply(502),
    "unchanged": Reply(304),
    "empty": Reply(204),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
async def test_botocore_would_say_the_same(
    store: S3Store, botocores: S3Store, stub: HttpStub, answer: Reply
) -> None:
    stub.answer = answer
    assert await told(store) == await told(botocores)


LISTED = (
    "<ListBucketResult><Name>uploads</Name><Contents><Key>{}</Key><Size>7</Size><ETag>&quot;e&quot;</ETag></Contents>"
    "</ListBucketResult>"
)
UNREADABLE = StoredObject(size=7, etag="e", content_type="application/octet-stream", readable=False)


@pytest.mark.parametrize(
    "head",
    [Reply(400), headed(x_amz_meta_long="x" * 9000), headed(**_LONG_NAME)],
    ids=["only the client has the key", "a long header", "a long name"],
)
@pytest.mark.parametrize("listed", [KEY, KEY + "2"])
async def test_what_a_head_cannot_tell_a_listing_does(
    store: S3Store, botocores: S3Store, stub: HttpStub, head: Reply, listed: str
) -> None:
    expected = UNREADABLE if listed == KEY else None

    def answer(request: Request) -> Reply:
        return head if request.method == "HEAD" else Reply(body=LISTED.format(listed).encode())

    stub.answer = answer
    assert await told(store) == expected
    asked = [request.method for request in stub.requests]
    assert asked == ["HEAD", "GET", "HEAD"] if expected else ["HEAD", "GET"]
    assert await told(botocores) == expected


async def test_a_404_with_the_stores_mark_is_an_object_that_is_not_there(
    store: S3Store, botocores: S3Store, stub: HttpStub
) -> None:
    """In any case of the name, and with one request."""
    stub.answer = Reply(404, b"", {"X-Amz-Request-Id": "1"})
    assert await told(store) is None
    assert await told(botocores) is None
    assert [request.method for request in stub.requests] == ["HEAD", "HEAD"]


EMPTY = Reply(body=b"<ListBucketResult><Name>uploads</Name></ListBucketResult>")
NO_BUCKET = Reply(404, b"<Error><Code>NoSuchBucket</Code></Error>", MARKED)
INGRESS = Reply(404, b"default backend - 404", {"Content-Type": "text/plain"})


@pytest.mark.parametrize(
    ("listing", "expected"),
    [
        (EMPTY, None),
        (Reply(body=LISTED.format(KEY + "2").encode()), None),
        (Reply(body=LISTED.format(KEY).encode()), StoreUnavailableError),
        (INGRESS, StoreUnavailableError),
        (Reply(404, b"<html>gone</html>"), UploadgateError),
        (Reply(200, b"<html><body>hello</body></html>"), StoreUnavailableError),
        (Reply(200, b"hello"), StoreUnavailableError),
        (Reply(200), StoreUnavailableError),
        (Reply(503), StoreUnavailableError),
        (NO_BUCKET, StoreRefusedError),
    ],
)
async def test_a_404_that_may_be_anybodys_is_believed_if_the_store_lists_nothing(
    store: S3Store,
    botocores: S3Store,
    stub: HttpStub,
    listing: Reply,
    expected: type[UploadgateError] | None,
) -> None:
    stub.answer = lambda request: INGRESS if request.method == "HEAD" else listing
    for asked in (store, botocores):
        found = await told(asked)
        if expected is None:
            assert found is None
        else:
            assert isinstance(found, type)
            assert issubclass(found, expected)
    assert stub.requests[0].method == "HEAD"
    assert stub.requests[1].target.startswith(f"/{BUCKET}?list-type=2&")


PAGE = Reply(200, b"", {"ETag": '"e"', "Content-Type": "text/html"}, promised=7)


@pytest.mark.parametrize(
    ("listing", "believed"),
    [
        (Reply(body=LISTED.format(KEY).encode()), True),
        (Reply(body=LISTED.format(KEY).replace(";e&", ";f&").encode()), False),
        (Reply(body=LISTED.format(KEY).replace("<Size>7", "<Size>8").encode()), False),
        (EMPTY, False),
        (Reply(200, b"<html><body>hello</body></html>"), False),
        (Reply(503), False),
    ],
)
async def test_an_object_that_may_be_a_page_of_anybodys_is_believed_if_the_store_lists_it(
    store: S3Store, botocores: S3Store, stub: HttpStub, listing: Reply, believed: bool
) -> None:
    """As of a web application that answers whatever it is asked for."""
    stub.answer = lambda request: PAGE if request.method == "HEAD" else listing
    for asked in (store, botocores):
        found = await told(asked)
        if believed:
            assert isinstance(found, StoredObject)
            assert (found.etag, found.size, found.content_type) == ("e", 7, "text/html")
        else:
            assert found is StoreUnavailableError


@pytest.mark.parametrize("head", [Reply(400), headed(x_amz_meta_long="x" * 9000)])
async def test_an_object_that_can_be_read_again_is_not_unreadable(
    store: S3Store, stub: HttpStub, head: Reply
) -> None:
    stub.script = [head, Reply(body=LISTED.format(KEY).encode())]
    stub.answer = headed()
    found = await told(store)
    assert isinstance(found, StoredObject)
    assert (found.readable, found.etag) == (True, "one")


async def test_an_answer_that_is_no_http_says_nothing_of_the_object(
    store: S3Store, botocores: S3Store, stub: HttpStub
) -> None:
    garbage, listed = Reply(7), Reply(body=LISTED.format(KEY).encode())
    stub.answer = lambda request: garbage if request.method == "HEAD" else listed
    assert await told(store) is StoreUnavailableError
    assert await told(botocores) is StoreUnavailableError
    assert {request.method for request in stub.requests} == {"HEAD"}


async def test_headers_beyond_number_are_the_objects_own(store: S3Store, stub: HttpStub) -> None:
    names = {f"x-amz-meta-{number}": "x" for number in range(200)}
    many = Reply(200, b"", USUAL | names, promised=5)
    listed = Reply(body=LISTED.format(KEY).encode())
    stub.answer = lambda request: many if request.method == "HEAD" else listed
    assert await told(store) == UNREADABLE


@pytest.mark.parametrize(
    ("reply", "kind", "requests"),
    [
        (Reply(503), StoreUnavailableError, MAX_ATTEMPTS),
        (Reply(500), StoreUnavailableError, MAX_ATTEMPTS),
        (Reply(429), StoreUnavailableError, MAX_ATTEMPTS),
        (Reply(403), StoreRefusedError, 1),
        (Reply(301, b"", {"Location": "http://127.0.0.1:1/elsewhere"}), StoreRefusedError, 1),
    ],
)
async def test_what_passes_is_tried_again_and_nothing_else(
    store: S3Store, stub: HttpStub, reply: Reply, kind: type[UploadgateError], requests: int
) -> None:
    stub.answer = reply
    assert await told(store) is kind
    assert len(stub.requests) == requests
    stub.script = [Reply(503)]
    stub.answer = headed()
    assert isinstance(await told(store), StoredObject)


async def test_each_attempt_is_signed_anew(store: S3Store, stub: HttpStub) -> None:
    signed: list[int] = []

    async def fresh() -> SigningCredentials:
        signed.append(len(signed))
        return SigningCredentials(f"AKIA{len(signed)}", SECRET, None)

    signer = Presigner(credentials=fresh, region="us-east-1", endpoint=stub.url)
    stub.script, stub.answer = [Reply(503)], headed()
    async with Heads.opened(
        signer, connections=1, connect_seconds=60, read_seconds=60, attempts=2, call_seconds=60
    ) as heads:
        await heads.head(BUCKET, KEY)
    named = [request.headers["authorization"].split("/")[0] for request in stub.requests]
    assert [name[-5:] for name in named] == ["AKIA1", "AKIA2"]


async def test_a_store_that_is_not_there_is_away_and_no_error_tells_the_address(
    stub: HttpStub, clients: AwsClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0)
    async with opened("http://127.0.0.1:1") as heads:
        with capture_logs() as logs, pytest.raises(StoreUnavailableError) as caught:
            await heads.head(BUCKET, KEY)
    written = "".join(traceback.format_exception(caught.value)) + str(logs)
    assert "upl_1" not in written
    assert SECRET not in written
    assert [log["cause"] for log in logs] == ["ClientConnectorError"]


async def test_a_store_that_hangs_is_unavailable_within_the_calls_time(stub: HttpStub) -> None:
    stub.answer = Reply(hang=True)
    began = time.monotonic()
    async with opened(stub.url, call_seconds=0.05) as heads:
        # More than there are connections: waiting for one's turn counts.
        calls = [heads.head(BUCKET, KEY) for _ in range(8)]
        found = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(one) for one in found} == {StoreUnavailableError}
    assert time.monotonic() - began < 40


async def test_no_byte_for_so_long_is_a_failed_attempt(
    stub: HttpStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0)
    stub.script, stub.answer = [Reply(hang=True)], headed()
    async with opened(stub.url, read_seconds=0.05) as heads:
        assert await heads.head(BUCKET, KEY) is not None
    assert len(stub.requests) == 2
