"""The store over a real wire: what is read from a HEAD, and what errors become."""

import asyncio
import time

import pytest

from aws.clients import AwsClients
from aws.s3 import S3Store
from errors import StoreRefusedError, StoreUnavailableError, UploadgateError
from service.uploads.model import Checksum
from service.uploads.ports import StoredObject
from tests.fakes.http_stub import HttpStub, Reply
from tests.unit.aws.conftest import MAX_ATTEMPTS

BUCKET, KEY = "uploads", "us-east-1:0000/upl_1/a.txt"
MARKED = {"x-amz-request-id": "18EB80081BCF5E38"}
HEAD = {**MARKED, "ETag": '"one"', "Content-Type": "text/plain"}


def headed(**headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(200, b"", {**HEAD, **named}, promised=5)


def xml_error(code: str, status: int) -> Reply:
    body = f"<Error><Code>{code}</Code><Message>arn:aws:secret</Message></Error>"
    return Reply(status, body.encode(), {"Content-Type": "application/xml"})


def listed(key: str) -> Reply:
    found = f"<Key>{key}</Key><Size>5</Size><ETag>&quot;one&quot;</ETag>"
    body = f"<ListBucketResult><Name>{BUCKET}</Name><Contents>{found}</Contents></ListBucketResult>"
    return Reply(200, body.encode())


EMPTY = Reply(200, f"<ListBucketResult><Name>{BUCKET}</Name></ListBucketResult>".encode())


async def test_a_head_tells_what_is_stored(store: S3Store, stub: HttpStub) -> None:
    stub.answer = headed(x_amz_version_id="v1", x_amz_checksum_crc32="DUoRhQ==")
    assert await store.head(BUCKET, KEY) == StoredObject(
        size=5,
        etag="one",
        content_type="text/plain",
        version_id="v1",
        checksum=Checksum("CRC32", "DUoRhQ=="),
    )
    (request,) = stub.requests
    assert (request.method, request.target) == ("HEAD", f"/{BUCKET}/us-east-1%3A0000/upl_1/a.txt")
    assert request.headers["x-amz-checksum-mode"] == "ENABLED"
    assert request.headers["authorization"].startswith("AWS4-HMAC-SHA256 ")


@pytest.mark.parametrize(
    "name", ["x-amz-meta-uploadgate-upload-id", "X-Amz-Meta-Uploadgate-Upload-Id"]
)
async def test_a_head_tells_which_upload_the_object_is_of(
    store: S3Store, stub: HttpStub, name: str
) -> None:
    stub.answer = headed(**{name: "upl_1", "x-amz-meta-other": "upl_2"})
    found = await store.head(BUCKET, KEY)
    assert found is not None
    assert found.upload_id == "upl_1"


async def test_what_a_head_leaves_out(store: S3Store, stub: HttpStub) -> None:
    unversioned = {**MARKED, "ETag": '"e-2"', "x-amz-version-id": "null"}
    stub.answer = Reply(200, b"", unversioned, promised=0)
    found = await store.head(BUCKET, KEY)
    assert found == StoredObject(size=0, etag="e-2", content_type="application/octet-stream")


@pytest.mark.parametrize(
    ("headers", "checksum"),
    [
        ({"x_amz_checksum_crc32": "DUoRhQ=="}, Checksum("CRC32", "DUoRhQ==")),
        (
            {"x_amz_checksum_crc64nvme": "AAAAAAAAAAA=", "x_amz_checksum_type": "FULL_OBJECT"},
            Checksum("CRC64NVME", "AAAAAAAAAAA="),
        ),
        ({"x_amz_checksum_crc32": "DUoRhQ==-3", "x_amz_checksum_type": "COMPOSITE"}, None),
        ({"x_amz_checksum_crc32": "DUoRhQ==-3"}, None),
        ({"x_amz_checksum_crc32": "DUoRhQ==", "x_amz_checksum_type": "COMPOSITE"}, None),
        ({"x_amz_checksum_sha256": "deadbeef"}, None),
        ({}, None),
    ],
)
async def test_only_a_checksum_of_the_whole_object_is_one(
    store: S3Store, stub: HttpStub, headers: dict[str, str], checksum: Checksum | None
) -> None:
    stub.answer = headed(**headers)
    found = await store.head(BUCKET, KEY)
    assert found is not None
    assert found.checksum == checksum


async def test_an_absent_object_is_none(store: S3Store, stub: HttpStub) -> None:
    stub.answer = Reply(404, b"", MARKED)
    assert await store.head(BUCKET, KEY) is None


async def test_a_head_without_an_etag_is_no_answer(store: S3Store, stub: HttpStub) -> None:
    stub.answer = Reply(200, b"", {}, promised=5)
    with pytest.raises(StoreUnavailableError):
        await store.head(BUCKET, KEY)


@pytest.mark.parametrize("etag", ["one", None])
async def test_a_deletion_is_conditional_where_an_etag_was_seen(
    store: S3Store, stub: HttpStub, etag: str | None
) -> None:
    stub.answer = Reply(204)
    assert await store.delete(BUCKET, KEY, etag=etag)
    (request,) = stub.requests
    assert request.method == "DELETE"
    assert request.headers.get("if-match") == (None if etag is None else '"one"')


async def test_another_object_is_not_deleted(store: S3Store, stub: HttpStub) -> None:
    stub.script = [xml_error("PreconditionFailed", 412), headed(ETag='"two"')]
    assert not await store.delete(BUCKET, KEY, etag="one")
    assert [request.method for request in stub.requests] == ["DELETE", "HEAD"]


@pytest.mark.parametrize(
    "script",
    [
        [xml_error("NoSuchKey", 404)],
        [Reply(404, b"", MARKED)],
        [Reply(404, b"not here"), EMPTY],
        [xml_error("PreconditionFailed", 412), Reply(404, b"", MARKED)],
        [xml_error("PreconditionFailed", 412), Reply(404), EMPTY],
    ],
)
async def test_what_is_gone_already_counts_as_deleted(
    store: S3Store, stub: HttpStub, script: list[Reply]
) -> None:
    stub.script = list(script)
    assert await store.delete(BUCKET, KEY, etag="one")
    assert stub.script == []


@pytest.mark.parametrize("listing", [Reply(404, b"not here"), listed(KEY), Reply(200)])
async def test_a_deletion_that_somebody_else_knows_nothing_of_is_not_done(
    store: S3Store, stub: HttpStub, listing: Reply
) -> None:
    stub.script, stub.answer = [Reply(404, b"not here")], listing
    with pytest.raises(StoreUnavailableError):
        await store.delete(BUCKET, KEY, etag="one")


async def test_what_is_not_listed_is_absent_for_sure(store: S3Store, stub: HttpStub) -> None:
    for nothing in (EMPTY, listed(KEY + "2")):
        stub.answer = nothing
        await store.confirm_absent(BUCKET, KEY)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (listed(KEY), StoreUnavailableError),
        (Reply(404, b"not here"), StoreUnavailableError),
        (Reply(404, b"", MARKED), StoreUnavailableError),
        (Reply(200, b"<html></html>"), StoreUnavailableError),
        (xml_error("SlowDown", 503), StoreUnavailableError),
        (xml_error("NoSuchBucket", 404), StoreRefusedError),
        (xml_error("AccessDenied", 403), StoreRefusedError),
    ],
)
async def test_what_confirms_nothing(
    store: S3Store, stub: HttpStub, reply: Reply, kind: type[UploadgateError]
) -> None:
    stub.answer = reply
    with pytest.raises(kind):
        await store.confirm_absent(BUCKET, KEY)


async def test_a_version_is_asked_for_by_its_id(store: S3Store, stub: HttpStub) -> None:
    stub.answer = headed(x_amz_version_id="v1")
    assert await store.has_version(BUCKET, KEY, "v1")
    stub.answer = Reply(404, b"", MARKED)
    assert not await store.has_version(BUCKET, KEY, "v1")
    assert {request.method for request in stub.requests} == {"HEAD"}
    assert {request.target.partition("?")[2] for request in stub.requests} == {"versionId=v1"}
    stub.answer = Reply(400, b"", MARKED)  # for an id that another store has made
    assert not await store.has_version(BUCKET, KEY, "v1")


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(404), StoreUnavailableError),
        (Reply(400), StoreUnavailableError),
        (Reply(503), StoreUnavailableError),
        (Reply(403), StoreRefusedError),
    ],
)
async def test_a_version_of_which_nothing_is_told_is_not_gone(
    store: S3Store, stub: HttpStub, reply: Reply, kind: type[UploadgateError]
) -> None:
    stub.answer = reply
    with pytest.raises(kind):
        await store.has_version(BUCKET, KEY, "v1")


@pytest.mark.parametrize(
    ("reply", "kind", "requests"),
    [
        (xml_error("AccessDenied", 403), StoreRefusedError, 1),
        (xml_error("NoSuchBucket", 404), StoreRefusedError, 1),
        (xml_error("InvalidAccessKeyId", 403), StoreRefusedError, 1),
        (xml_error("SlowDown", 503), StoreUnavailableError, MAX_ATTEMPTS),
        (xml_error("InternalError", 500), StoreUnavailableError, MAX_ATTEMPTS),
        (xml_error("OperationAborted", 409), StoreUnavailableError, 1),
        (Reply(503, b"<html>busy</html>"), StoreUnavailableError, MAX_ATTEMPTS),
        (Reply(400, b"not xml"), UploadgateError, 1),
    ],
)
async def test_errors_of_a_deletion(
    store: S3Store, stub: HttpStub, reply: Reply, kind: type[UploadgateError], requests: int
) -> None:
    stub.answer = reply
    with pytest.raises(kind) as caught:
        await store.delete(BUCKET, KEY, etag="one")
    assert "arn:aws" not in str(caught.value)
    assert len(stub.requests) == requests


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (403, StoreRefusedError),
        (400, StoreRefusedError),
        (429, StoreUnavailableError),
        (500, StoreUnavailableError),
        (503, StoreUnavailableError),
    ],
)
async def test_errors_of_a_head_have_a_status_alone(
    store: S3Store, stub: HttpStub, status: int, kind: type[UploadgateError]
) -> None:
    stub.answer = Reply(status)
    for call in (store.head(BUCKET, KEY), store.ping(BUCKET)):
        with pytest.raises(kind):
            await call
    assert len(stub.requests) <= 2 * MAX_ATTEMPTS


async def test_a_ping_asks_for_the_bucket(store: S3Store, stub: HttpStub) -> None:
    await store.ping(BUCKET)
    assert [(one.method, one.target) for one in stub.requests] == [("HEAD", f"/{BUCKET}")]
    stub.answer = Reply(404)
    with pytest.raises(StoreRefusedError):
        await store.ping(BUCKET)


async def test_a_store_that_hangs_is_unavailable_within_the_calls_time(
    stub: HttpStub, clients: AwsClients
) -> None:
    stub.answer = Reply(hang=True)
    store = S3Store(clients.s3, call_seconds=0.05)
    began = time.monotonic()
    calls = (store.head(BUCKET, KEY), store.delete(BUCKET, KEY, etag="e"), store.ping(BUCKET))
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(result) for result in results} == {StoreUnavailableError}
    assert time.monotonic() - began < 40


async def test_a_body_that_is_cut_off_is_a_store_that_is_away(
    store: S3Store, stub: HttpStub
) -> None:
    stub.answer = Reply(400, b"<Error><Co", promised=500)
    with pytest.raises(StoreUnavailableError):
        await store.delete(BUCKET, KEY, etag="one")


# --- tags ----------------------------------------------------------------------------------------


def tagging(**tags: str) -> Reply:
    listed = "".join(f"<Tag><Key>{k}</Key><Value>{v}</Value></Tag>" for k, v in tags.items())
    body = f"<Tagging><TagSet>{listed}</TagSet></Tagging>"
    return Reply(200, body.encode(), {"Content-Type": "application/xml"})


@pytest.mark.parametrize("tags", [{"Scan": "CLEAN", "other": ""}, {}])
@pytest.mark.parametrize("version", ["v1", None])
async def test_the_tags_of_a_version_or_of_what_stands_there(
    store: S3Store, stub: HttpStub, tags: dict[str, str], version: str | None
) -> None:
    stub.answer = tagging(**tags)
    assert await store.tags(BUCKET, KEY, version_id=version) == tags
    [request] = stub.requests
    path, _, query = request.target.partition("?")
    assert (request.method, path) == ("GET", f"/{BUCKET}/us-east-1%3A0000/upl_1/a.txt")
    named = [] if version is None else [f"versionId={version}"]
    assert sorted(query.split("&")) == ["tagging", *named]


@pytest.mark.parametrize("code", ["NoSuchKey", "NoSuchVersion", "NoSuchTagSet"])
async def test_what_is_gone_has_no_tags(store: S3Store, stub: HttpStub, code: str) -> None:
    stub.answer = xml_error(code, 404)
    assert await store.tags(BUCKET, KEY, version_id=None) == {}


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (xml_error("AccessDenied", 403), StoreRefusedError),
        (xml_error("NoSuchBucket", 404), StoreRefusedError),
        (xml_error("SlowDown", 503), StoreUnavailableError),
        (Reply(200, b"<Tagging/>", {"Content-Type": "application/xml"}), StoreUnavailableError),
        (Reply(200, b"<html>", {"Content-Type": "text/html"}), StoreUnavailableError),
    ],
)
async def test_errors_of_tags(
    store: S3Store, stub: HttpStub, reply: Reply, kind: type[UploadgateError]
) -> None:
    stub.answer = reply
    with pytest.raises(kind):
        await store.tags(BUCKET, KEY, version_id=None)
