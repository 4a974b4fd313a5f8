"""Multiparts over a real wire: what is asked, what is read from lists, what errors become."""

import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree as ET

import pytest

from aws.clients import AwsClients
from aws.multiparts import MOST_PAGES, S3Multiparts
from aws.part_lister import PartLister
from errors import StoreRefusedError, StoreUnavailableError, UploadgateError
from service.uploads.model import Checksum, ChecksumAlgorithm
from service.uploads.ports import Completed, StoredPart
from tests.fakes.http_stub import HttpStub, Reply, Request
from tests.unit.aws.conftest import CALL_SECONDS, MAX_ATTEMPTS

BUCKET, KEY, ID = "uploads", "us-east-1:0000/upl_1/a.txt", "the-multipart"
PARTS = (StoredPart(1, 5, "one"), StoredPart(2, 3, "two"))
XML = {"Content-Type": "application/xml"}
NEWER, OLDER = "2026-01-01T00:00:02.000Z", "2026-01-01T00:00:01.000Z"


@pytest.fixture
def multiparts(stub: HttpStub, clients: AwsClients, lister: PartLister) -> S3Multiparts:
    return made(clients, lister)


def made(clients: AwsClients, lister: PartLister, **seconds: float) -> S3Multiparts:
    within = {"call_seconds": CALL_SECONDS, "complete_seconds": CALL_SECONDS} | seconds
    return S3Multiparts(clients.s3, clients.s3_completing, lister, **within)


def xml(body: str, status: int = 200) -> Reply:
    return Reply(status, f'<?xml version="1.0" encoding="UTF-8"?>\n{body}'.encode(), XML)


def error(code: str, status: int) -> Reply:
    return xml(f"<Error><Code>{code}</Code><Message>arn:aws:secret</Message></Error>", status)


def part(number: int, etag: str = "e", size: int = 5, at: str = NEWER, more: str = "") -> str:
    return (
        f"<Part><PartNumber>{number}</PartNumber><LastModified>{at}</LastModified>"
        f'<ETag>"{etag}"</ETag><Size>{size}</Size>{more}</Part>'
    )


def page(*entries: str, go_on: str | None = None, root: str = "ListPartsResult") -> Reply:
    """`go_on` are the markers of the next page; it may be that there are none."""
    truncated = "" if go_on is None else f"<IsTruncated>true</IsTruncated>{go_on}"
    return xml(f"<{root}>{''.join(entries)}{truncated}</{root}>")


def asked(request: Request) -> dict[str, str]:
    found = parse_qs(urlsplit(request.target).query, keep_blank_values=True)
    return {name: values[0] for name, values in found.items()}


DONE = xml('<CompleteMultipartUploadResult><ETag>"done-2"</ETag></CompleteMultipartUploadResult>')
CREATED = xml(
    "<InitiateMultipartUploadResult><UploadId>the-multipart</UploadId>"
    "</InitiateMultipartUploadResult>"
)


# --- create --------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC64NVME", None])
async def test_a_multipart_carries_the_uploads_id_and_checks_the_whole(
    multiparts: S3Multiparts, stub: HttpStub, algorithm: ChecksumAlgorithm | None
) -> None:
    stub.answer = CREATED
    found = await multiparts.create(
        BUCKET, KEY, content_type="video/mp4", upload_id="upl_1", algorithm=algorithm
    )
    assert found == ID
    (request,) = stub.requests
    assert (request.method, asked(request)) == ("POST", {"uploads": ""})
    assert request.headers["content-type"] == "video/mp4"
    assert request.headers["x-amz-meta-uploadgate-upload-id"] == "upl_1"
    assert request.headers.get("x-amz-checksum-algorithm") == algorithm
    assert request.headers.get("x-amz-checksum-type") == ("FULL_OBJECT" if algorithm else None)


# --- parts ---------------------------------------------------------------------------------------


async def test_parts_are_all_pages_by_number(multiparts: S3Multiparts, stub: HttpStub) -> None:
    stub.script = [
        page(part(2), part(1), go_on="<NextPartNumberMarker>2</NextPartNumberMarker>"),
        page(part(4), go_on="<NextPartNumberMarker>4</NextPartNumberMarker>"),
        page(part(10_000, "last", 1)),
    ]
    found = await multiparts.parts(BUCKET, KEY, ID)
    assert found is not None
    assert [one.number for one in found] == [1, 2, 4, 10_000]
    assert found[-1] == StoredPart(10_000, 1, "last")
    assert [asked(request).get("part-number-marker") for request in stub.requests] == [
        None,
        "2",
        "4",
    ]
    assert all(asked(request)["uploadId"] == ID for request in stub.requests)


async def test_a_part_tells_its_checksum(multiparts: S3Multiparts, stub: HttpStub) -> None:
    stub.answer = page(
        part(1, more="<ChecksumCRC32>DUoRhQ==</ChecksumCRC32>"),
        part(2, more="<ChecksumCRC64NVME>AAAAAAAAAAA=</ChecksumCRC64NVME>"),
        part(3, more="<ChecksumSHA256>deadbeef</ChecksumSHA256>"),
    )
    found = await multiparts.parts(BUCKET, KEY, ID)
    assert found is not None
    assert [one.checksum for one in found] == [
        Checksum("CRC32", "DUoRhQ=="),
        Checksum("CRC64NVME", "AAAAAAAAAAA="),
        None,
    ]


async def test_no_parts_are_not_no_multipart(multiparts: S3Multiparts, stub: HttpStub) -> None:
    stub.answer = page()
    assert await multiparts.parts(BUCKET, KEY, ID) == ()
    stub.answer = error("NoSuchUpload", 404)
    assert await multiparts.parts(BUCKET, KEY, ID) is None


async def test_a_multipart_that_goes_while_it_is_listed_is_gone(
    multiparts: S3Multiparts, stub: HttpStub
) -> None:
    stub.script = [
        page(part(1), go_on="<NextPartNumberMarker>1</NextPartNumberMarker>"),
        error("NoSuchUpload", 404),
    ]
    assert await multiparts.parts(BUCKET, KEY, ID) is None


async def test_of_a_part_sent_again_the_newer_counts(
    multiparts: S3Multiparts, stub: HttpStub
) -> None:
    """Some stores list both."""
    stub.answer = page(
        part(1, "new"), part(1, "old", at=OLDER), part(2, "same"), part(2, "same"), part(3)
    )
    found = await multiparts.parts(BUCKET, KEY, ID)
    assert found is not None
    assert [(one.number, one.etag) for one in found] == [(1, "new"), (2, "same"), (3, "e")]


async def test_a_part_of_which_nobody_can_say_which_is_newer_is_missing(
    multiparts: S3Multiparts, stub: HttpStub
) -> None:
    stub.answer = page(part(1, "this"), part(1, "that"), part(1, "old", at=OLDER), part(2))
    found = await multiparts.parts(BUCKET, KEY, ID)
    assert found is not None
    assert [one.number for one in found] == [2]


NEXT_PART = "<NextPartNumberMarker>{}</NextPartNumberMarker>"


@pytest.mark.parametrize(
    ("marker", "requests"),
    [
        (lambda _: "", 1),
        (lambda _: NEXT_PART.format(7), 2),
        (lambda _: NEXT_PART.format("seven"), 1),
        (NEXT_PART.format, MOST_PAGES),
    ],
    ids=["no marker", "the same for ever", "no number", "always one more"],
)
async def test_a_list_without_an_end_is_no_list(
    multiparts: S3Multiparts, stub: HttpStub, marker: Callable[[int], str], requests: int
) -> None:
    stub.answer = lambda _: page(part(1), go_on=marker(len(stub.requests)))
    with pytest.raises(StoreUnavailableError):
        await multiparts.parts(BUCKET, KEY, ID)
    assert len(stub.requests) == requests


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, b"<html>welcome", XML),
        page("<Part><PartNumber>1</PartNumber></Part>"),
        page("<Part><PartNumber>x</PartNumber><ETag>e</ETag><Size>1</Size></Part>"),
        Reply(200, b"<ListPartsResult><Pa", XML, promised=900),
    ],
    ids=["no xml", "half a part", "no number", "cut off"],
)
async def test_what_is_no_list_is_no_answer(
    multiparts: S3Multiparts, stub: HttpStub, reply: Reply
) -> None:
    stub.answer = reply
    with pytest.raises(StoreUnavailableError):
        await multiparts.parts(BUCKET, KEY, ID)


# --- complete ------------------------------------------------------------------------------------


async def completed(
    multiparts: S3Multiparts,
    parts: tuple[StoredPart, ...] = PARTS,
    checksum: Checksum | None = None,
) -> Completed:
    return await multiparts.complete(BUCKET, KEY, ID, parts, checksum=checksum)


async def test_completion_names_the_parts_and_the_size_and_overwrites_nothing(
    multiparts: S3Multiparts, stub: HttpStub
) -> None:
    stub.answer = DONE
    assert await completed(multiparts) is Completed.DONE
    (request,) = stub.requests
    assert (request.method, asked(request)) == ("POST", {"uploadId": ID})
    assert request.headers["if-none-match"] == "*"
    assert request.headers["x-amz-mp-object-size"] == "8"
    assert named(request) == [
        {"PartNumber": "1", "ETag": '"one"'},
        {"PartNumber": "2", "ETag": '"two"'},
    ]
    assert not {name for name in request.headers if "checksum" in name}


def named(request: Request) -> list[dict[str, str | None]]:
    root = ET.fromstring(request.body)  # noqa: S314 - our own request
    return [{field.tag.rpartition("}")[2]: field.text for field in part} for part in root]


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC64NVME"])
async def test_completion_tells_the_checksums_that_are_known(
    multiparts: S3Multiparts, stub: HttpStub, algorithm: ChecksumAlgorithm
) -> None:
    stub.answer = DONE
    parts = (StoredPart(1, 5, "one", Checksum(algorithm, "of part 1")), StoredPart(2, 3, "two"))
    assert await completed(multiparts, parts, Checksum(algorithm, "whole")) is Completed.DONE
    (request,) = stub.requests
    assert request.headers[f"x-amz-checksum-{algorithm.lower()}"] == "whole"
    assert request.headers["x-amz-checksum-type"] == "FULL_OBJECT"
    assert [each.get(f"Checksum{algorithm}") for each in named(request)] == ["of part 1", None]


REFUSALS = {
    Completed.EXISTS: [("PreconditionFailed", 412), ("Unheard", 412), ("", 412)],
    Completed.GONE: [("NoSuchUpload", 404)],
    Completed.CHECKSUM_DIFFERS: [
        ("BadDigest", 400),
        ("InvalidDigest", 400),
        ("XAmzContentChecksumMismatch", 400),
    ],
    Completed.PARTS_REFUSED: [
        ("InvalidPart", 400),
        ("InvalidPartOrder", 400),
        ("EntityTooSmall", 400),
        ("InvalidRequest", 400),
    ],
    Completed.CONFLICT: [("ConditionalRequestConflict", 409), ("Unheard", 409), ("", 409)],
}


@pytest.mark.parametrize(
    ("code", "status", "outcome"),
    [(*reply, outcome) for outcome, replies in REFUSALS.items() for reply in replies],
)
async def test_refusals_of_a_completion(
    multiparts: S3Multiparts, stub: HttpStub, code: str, status: int, outcome: Completed
) -> None:
    stub.answer = error(code, status) if code else Reply(status)
    assert await completed(multiparts) is outcome
    assert len(stub.requests) == 1


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("NoSuchUpload", Completed.GONE),
        ("PreconditionFailed", Completed.EXISTS),
        ("EntityTooSmall", Completed.PARTS_REFUSED),
    ],
)
async def test_an_error_inside_an_answer_of_200_is_that_error(
    multiparts: S3Multiparts, stub: HttpStub, code: str, outcome: Completed
) -> None:
    stub.answer = error(code, 200)
    assert await completed(multiparts) is outcome
    assert len(stub.requests) == MAX_ATTEMPTS


@pytest.mark.parametrize("code", ["InternalError", "SlowDown"])
async def test_an_internal_error_inside_an_answer_of_200_is_tried_again_but_not_for_ever(
    multiparts: S3Multiparts, stub: HttpStub, code: str
) -> None:
    stub.answer = error(code, 200)
    with pytest.raises(StoreUnavailableError):
        await completed(multiparts)
    assert len(stub.requests) == MAX_ATTEMPTS


async def test_what_fails_inside_an_answer_of_200_may_succeed_again(
    multiparts: S3Multiparts, stub: HttpStub
) -> None:
    stub.script = [error("InternalError", 200), DONE]
    assert await completed(multiparts) is Completed.DONE


async def test_an_answer_kept_alive_with_white_space_is_read(
    multiparts: S3Multiparts, stub: HttpStub
) -> None:
    head, _, body = DONE.body.partition(b"\n")
    stub.answer = Reply(200, head + b"\n" + b" \n" * 500 + body, XML)
    assert await completed(multiparts) is Completed.DONE


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200),
        Reply(200, b"      "),
        Reply(200, b"<html>welcome</html>"),
        Reply(200, DONE.body[:-20], XML),
        Reply(200, DONE.body[:-20], XML, promised=len(DONE.body)),
        Reply(204),
    ],
    ids=["empty", "blank", "a page", "half", "cut off", "no content"],
)
async def test_what_does_not_say_that_it_is_done_is_not_believed(
    multiparts: S3Multiparts, stub: HttpStub, reply: Reply
) -> None:
    stub.answer = reply
    with pytest.raises(StoreUnavailableError):
        await completed(multiparts)
    assert len(stub.requests) <= MAX_ATTEMPTS


async def test_nothing_is_never_completed(multiparts: S3Multiparts, stub: HttpStub) -> None:
    assert await completed(multiparts, ()) is Completed.PARTS_REFUSED
    assert not stub.requests


async def test_completion_has_a_time_of_its_own(
    stub: HttpStub, clients: AwsClients, lister: PartLister
) -> None:
    stub.answer = Reply(hang=True)
    began = time.monotonic()
    for multiparts, call in (
        (made(clients, lister, call_seconds=0.05), "abort"),
        (made(clients, lister, complete_seconds=0.05), "complete"),
    ):
        with pytest.raises(StoreUnavailableError):
            await CALLS[call](multiparts)
    assert time.monotonic() - began < 40


def test_the_completing_client_waits_longer(clients: AwsClients) -> None:
    patient: Any = clients.s3_completing.meta.config
    plain: Any = clients.s3.meta.config
    assert patient.read_timeout > plain.read_timeout
    assert patient.connect_timeout == plain.connect_timeout
    assert patient.s3 == plain.s3


# --- abort ---------------------------------------------------------------------------------------


async def test_what_is_gone_already_counts_as_aborted(
    multiparts: S3Multiparts, stub: HttpStub
) -> None:
    for reply in (Reply(204), error("NoSuchUpload", 404)):
        stub.answer = reply
        await multiparts.abort(BUCKET, KEY, ID)
    assert [(one.method, asked(one)) for one in stub.requests] == [("DELETE", {"uploadId": ID})] * 2


# --- of a key ------------------------------------------------------------------------------------


def uploads(*found: tuple[str, str], go_on: str | None = None) -> Reply:
    entries = (f"<Upload><Key>{k}</Key><UploadId>{u}</UploadId></Upload>" for k, u in found)
    return page(*entries, go_on=go_on, root="ListMultipartUploadsResult")


async def test_of_a_key_are_those_of_exactly_this_key(
    multiparts: S3Multiparts, stub: HttpStub
) -> None:
    stub.script = [
        uploads(
            (KEY, "a"),
            (KEY + ".bak", "b"),
            (KEY, "c"),
            go_on=f"<NextKeyMarker>{KEY}</NextKeyMarker><NextUploadIdMarker>c</NextUploadIdMarker>",
        ),
        # SeaweedFS names the one marker only.
        uploads((KEY + "/x", "d"), go_on="<NextUploadIdMarker>d</NextUploadIdMarker>"),
        uploads((KEY, "e")),
    ]
    assert await multiparts.of_key(BUCKET, KEY) == ("a", "c", "e")
    queries = [asked(request) for request in stub.requests]
    assert [query["prefix"] for query in queries] == [KEY] * 3
    markers = [(query.get("key-marker"), query.get("upload-id-marker")) for query in queries]
    assert markers == [(None, None), (KEY, "c"), (None, "d")]


async def test_of_a_key_without_any_are_none(multiparts: S3Multiparts, stub: HttpStub) -> None:
    stub.answer = uploads()
    assert await multiparts.of_key(BUCKET, KEY) == ()


@pytest.mark.parametrize(("counts", "requests"), [(False, 2), (True, MOST_PAGES)])
async def test_a_list_of_multiparts_without_an_end_is_no_list(
    multiparts: S3Multiparts, stub: HttpStub, counts: bool, requests: int
) -> None:
    def more(_: Request) -> Reply:
        marker = len(stub.requests) if counts else "same"
        return uploads(go_on=f"<NextUploadIdMarker>{marker}</NextUploadIdMarker>")

    stub.answer = more
    with pytest.raises(StoreUnavailableError):
        await multiparts.of_key(BUCKET, KEY)
    assert len(stub.requests) == requests


# --- all of them ---------------------------------------------------------------------------------

CALLS: Mapping[str, Callable[[S3Multiparts], Any]] = {
    "create": lambda m: m.create(
        BUCKET, KEY, content_type="a/b", upload_id="upl_1", algorithm=None
    ),
    "parts": lambda m: m.parts(BUCKET, KEY, ID),
    "complete": completed,
    "abort": lambda m: m.abort(BUCKET, KEY, ID),
    "of_key": lambda m: m.of_key(BUCKET, KEY),
}


UNAVAILABLE, REFUSED = (StoreUnavailableError, MAX_ATTEMPTS), (StoreRefusedError, 1)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (error("AccessDenied", 403), REFUSED),
        (error("NoSuchBucket", 404), REFUSED),
        (error("InvalidAccessKeyId", 403), REFUSED),
        (error("MalformedXML", 400), REFUSED),
        (error("SlowDown", 503), UNAVAILABLE),
        (error("InternalError", 500), UNAVAILABLE),
        (Reply(503, b"<html>busy</html>"), UNAVAILABLE),
        (Reply(429), UNAVAILABLE),
        (Reply(404), REFUSED),
        (Reply(400, b"<Error><Co", promised=500), UNAVAILABLE),
    ],
)
async def test_errors_of_any_call(
    multiparts: S3Multiparts,
    stub: HttpStub,
    call: Callable[[S3Multiparts], Any],
    reply: Reply,
    expected: tuple[type[UploadgateError], int],
) -> None:
    kind, requests = expected
    stub.answer = reply
    with pytest.raises(kind) as caught:
        await call(multiparts)
    assert "arn:aws" not in str(caught.value)
    assert len(stub.requests) <= requests
