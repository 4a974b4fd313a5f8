"""The bucket's multiparts, page by page, over a real wire."""

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from aws.clients import AwsClients
from aws.multipart_pages import PAGE_SIZE
from aws.multiparts import S3Multiparts
from aws.part_lister import PartLister
from errors import StoreRefusedError, StoreUnavailableError, UploadgateError
from service.uploads.ports import ListedMultipart, MultipartMarker
from tests.fakes.http_stub import HttpStub, Reply, Request
from tests.unit.aws.conftest import CALL_SECONDS, MAX_ATTEMPTS

BUCKET, KEY, ID = "uploads", "us-east-1:0000/a b+c%2Fd é.txt", "the-multipart"
INITIATED = datetime(2030, 1, 1, 12, tzinfo=UTC)
XML = {"Content-Type": "application/xml"}


@pytest.fixture
def multiparts(stub: HttpStub, clients: AwsClients, lister: PartLister) -> S3Multiparts:
    seconds = {"call_seconds": CALL_SECONDS, "complete_seconds": CALL_SECONDS}
    return S3Multiparts(clients.s3, clients.s3_completing, lister, **seconds)


def entry(key: str = KEY, multipart_id: str = ID, more: str | None = None) -> str:
    age = "<Initiated>2030-01-01T12:00:00.000Z</Initiated>" if more is None else more
    return f"<Upload><Key>{key}</Key><UploadId>{multipart_id}</UploadId>{age}</Upload>"


def page(*entries: str, following: str = "") -> Reply:
    """`following` are the markers of the next page."""
    go_on = f"<IsTruncated>true</IsTruncated>{following}" if following else ""
    body = f"<ListMultipartUploadsResult>{''.join(entries)}{go_on}</ListMultipartUploadsResult>"
    return Reply(200, body.encode(), XML)


def error(code: str, status: int) -> Reply:
    return Reply(status, f"<Error><Code>{code}</Code></Error>".encode(), XML)


def asked(request: Request) -> dict[str, str]:
    found = parse_qs(urlsplit(request.target).query, keep_blank_values=True)
    return {name: values[0] for name, values in found.items()}


async def test_a_page_tells_key_id_and_age(multiparts: S3Multiparts, stub: HttpStub) -> None:
    stub.answer = page(entry(), entry("b", "other"))
    found = await multiparts.page(BUCKET, None)
    assert found.items == (
        ListedMultipart(KEY, ID, INITIATED),
        ListedMultipart("b", "other", INITIATED),
    )
    assert found.following is None
    [request] = stub.requests
    assert asked(request) == {"uploads": "", "max-uploads": str(PAGE_SIZE)}


async def test_a_bucket_without_any_has_one_empty_page(
    multiparts: S3Multiparts, stub: HttpStub
) -> None:
    stub.answer = page()
    found = await multiparts.page(BUCKET, None)
    assert (found.items, found.following) == ((), None)


@pytest.mark.parametrize(
    ("following", "marker", "query"),
    [
        (
            "<NextKeyMarker>a</NextKeyMarker><NextUploadIdMarker>1</NextUploadIdMarker>",
            MultipartMarker("a", "1"),
            {"key-marker": "a", "upload-id-marker": "1"},
        ),
        # SeaweedFS would list the key of a marker alone.
        (
            "<NextUploadIdMarker>1</NextUploadIdMarker>",
            MultipartMarker(None, "1"),
            {"upload-id-marker": "1"},
        ),
        ("<NextKeyMarker>a</NextKeyMarker>", MultipartMarker("a", None), {"key-marker": "a"}),
    ],
)
async def test_the_next_page_is_asked_for_by_the_markers_that_were_named(
    multiparts: S3Multiparts,
    stub: HttpStub,
    following: str,
    marker: MultipartMarker,
    query: dict[str, str],
) -> None:
    stub.script = [page(entry(), following=following), page(entry("z"))]
    first = await multiparts.page(BUCKET, None)
    assert first.following == marker
    assert (await multiparts.page(BUCKET, first.following)).following is None
    sent = asked(stub.requests[-1])
    assert {name: value for name, value in sent.items() if "marker" in name} == query


async def test_a_list_that_does_not_go_on_is_an_answer_of_no_use(
    multiparts: S3Multiparts, stub: HttpStub
) -> None:
    stub.answer = page(entry(), following="<NextKeyMarker>a</NextKeyMarker>")
    with pytest.raises(StoreUnavailableError):
        await multiparts.page(BUCKET, MultipartMarker("a", None))
    stub.answer = page(entry(), following="<MaxUploads>1</MaxUploads>")
    with pytest.raises(StoreUnavailableError):
        await multiparts.page(BUCKET, None)


async def test_one_of_unknown_age_is_left_out(multiparts: S3Multiparts, stub: HttpStub) -> None:
    stub.answer = page(entry(more=""), entry("b"))
    assert [item.key for item in (await multiparts.page(BUCKET, None)).items] == ["b"]


async def test_a_key_that_no_xml_can_hold_hides_no_others(
    multiparts: S3Multiparts, stub: HttpStub
) -> None:
    plain = page(entry("a\x01"), entry(), following="<NextKeyMarker>a\x01</NextKeyMarker>")
    encoded = page(
        entry("a%01"),
        entry("us-east-1%3A0000/a+b%2Bc%252Fd+%C3%A9.txt"),
        following="<NextKeyMarker>a%01+</NextKeyMarker>",
    )
    stub.answer = lambda request: encoded if "encoding-type" in asked(request) else plain
    found = await multiparts.page(BUCKET, None)
    assert [item.key for item in found.items] == ["a\x01", KEY]
    assert found.following == MultipartMarker("a\x01 ", None)
    assert [asked(request).get("encoding-type") for request in stub.requests][-2:] == [None, "url"]
    stub.answer = page()
    await multiparts.page(BUCKET, found.following)
    assert asked(stub.requests[-1])["key-marker"] == "a\x01 "


async def test_nor_does_it_hide_those_of_another_key(
    multiparts: S3Multiparts, stub: HttpStub
) -> None:
    plain, encoded = (
        page(entry("a\x01", "1"), entry("a", "2")),
        page(entry("a%01", "1"), entry("a", "2")),
    )
    stub.answer = lambda request: encoded if "encoding-type" in asked(request) else plain
    assert await multiparts.of_key(BUCKET, "a\x01") == ("1",)
    assert await multiparts.of_key(BUCKET, "a") == ("2",)


@pytest.mark.parametrize(
    ("reply", "kind", "requests"),
    [
        (error("AccessDenied", 403), StoreRefusedError, 1),
        (error("SlowDown", 503), StoreUnavailableError, MAX_ATTEMPTS),
        (Reply(200, b"<html>busy", XML), StoreUnavailableError, 2 * MAX_ATTEMPTS),
        (page(entry(more="<Initiated>yesterday</Initiated>")), StoreUnavailableError, 1),
    ],
)
async def test_errors_of_a_page(
    multiparts: S3Multiparts,
    stub: HttpStub,
    reply: Reply,
    kind: type[UploadgateError],
    requests: int,
) -> None:
    stub.answer = reply
    with pytest.raises(kind):
        await multiparts.page(BUCKET, None)
    assert len(stub.requests) == requests
