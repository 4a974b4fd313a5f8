"""Uppy's `signRequest`: what is signed for whom, and the addresses that speak S3's XML."""

import dataclasses
from collections.abc import AsyncIterator
from io import StringIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

import errors
from service.uploads.operation_tickets import Operation
from tests.fakes.house import House
from tests.fakes.http_stub import Reply
from tests.fakes.problems import assert_problem
from tests.fakes.s3_api import S3Api
from tests.fakes.uppy_page import PRESIGN, SIZES, SigningPage, Xml, list_of

ORIGIN = {"Origin": "https://app.example"}


@pytest.fixture
async def page(house: House, caller: httpx.AsyncClient) -> AsyncIterator[SigningPage]:
    """With a file of three parts announced."""
    s3 = S3Api()
    house.stub.answer = s3
    async with house.client() as client:
        opened = SigningPage(client, house.token, s3)
        await opened.announce()
        yield opened


@pytest.fixture
async def begun(page: SigningPage) -> SigningPage:
    await page.begin()
    return page


async def test_a_whole_file_goes_to_the_store_with_headers_that_a_script_may_set(
    page: SigningPage,
) -> None:
    await page.announce(size=5)
    signed = await page.sign("PUT", contentType="text/plain")
    assert (signed["key"], set(signed)) == (page.key, {"url", "key", "headers"})
    assert urlsplit(signed["url"]).path == f"/uploads/{page.key}"
    headers = {name.lower(): text for name, text in signed["headers"].items()}
    assert set(headers) == {"content-type", "if-none-match", "x-amz-meta-uploadgate-upload-id"}
    assert headers["content-type"] == "video/mp4"
    query = parse_qs(urlsplit(signed["url"]).query)
    assert "content-length" in query["X-Amz-SignedHeaders"][0].split(";")


async def test_a_multipart_from_its_beginning_to_its_end(begun: SigningPage) -> None:
    for number in (1, 2, 3):
        signed = await begun.sign("PUT", uploadId=begun.multipart_id, partNumber=number)
        query = parse_qs(urlsplit(signed["url"]).query)
        assert query["uploadId"] == [begun.multipart_id]
        assert query["partNumber"] == [str(number)]
        assert set(signed) == {"url"}
    named = begun.s3.put(begun.multipart_id, *SIZES)
    listed = Xml(await begun.call("GET", await begun.ticket("GET")))
    assert (listed["IsTruncated"], listed["UploadId"]) == ("false", begun.multipart_id)
    found = [part.findtext("ETag") for part in listed.root.findall("Part")]
    assert found == [f'"{etag}"' for etag in named.values()]
    done = Xml(await begun.call("POST", await begun.ticket("POST"), list_of(named)))
    assert (done.root.tag, done["Key"]) == ("CompleteMultipartUploadResult", begun.key)
    assert done["Location"].endswith(f"/uploads/{begun.key}")
    assert "?" not in done["Location"]
    assert done["ETag"] == '"whole-3"'
    assert (await begun.shown())["status"] == "completed"


async def test_the_multipart_is_the_services_own_and_carries_the_uploads_id(
    begun: SigningPage,
) -> None:
    assert begun.s3.multiparts[begun.multipart_id].upload_id == begun.upload["id"]
    assert (await begun.shown())["status"] == "uploading"


async def test_beginning_again_after_a_lost_answer_is_the_same_multipart(
    page: SigningPage,
) -> None:
    url = (await page.sign("POST"))["url"]
    answers = [Xml(await page.call("POST", url)) for _ in range(2)]
    assert answers[0]["UploadId"] == answers[1]["UploadId"]
    assert len(page.s3.multiparts) == 1


@pytest.mark.parametrize("quote", ["", '"', "&quot;"])
async def test_completing_again_after_a_lost_answer_says_the_same(
    begun: SigningPage, quote: str
) -> None:
    named = begun.s3.put(begun.multipart_id, *SIZES)
    url = await begun.ticket("POST")
    answers = [Xml(await begun.call("POST", url, list_of(named, quote))) for _ in range(2)]
    assert [(found.status, found["ETag"]) for found in answers] == [(200, '"whole-3"')] * 2


async def test_an_abort_ends_the_upload_and_every_ticket_of_it(begun: SigningPage) -> None:
    tickets = {method: await begun.ticket(method) for method in ("DELETE", "GET", "POST")}
    answer = await begun.call("DELETE", tickets["DELETE"])
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await begun.shown())["status"] == "aborted"
    assert begun.s3.multiparts == {}
    for method, url in tickets.items():
        answer = await begun.call(method, url, list_of({1: "x"}) if method == "POST" else None)
        assert Xml(answer).code == (404, "NoSuchUpload")
    await begun.refused("POST", errors.UploadEndedError)


async def test_an_abort_that_comes_too_late_deletes_nothing(begun: SigningPage) -> None:
    named = begun.s3.put(begun.multipart_id, *SIZES)
    abort = await begun.ticket("DELETE")
    await begun.call("POST", await begun.ticket("POST"), list_of(named))
    assert Xml(await begun.call("DELETE", abort)).code == (409, "OperationAborted")
    assert begun.key in begun.s3.objects
    assert (await begun.shown())["status"] == "completed"


async def test_a_ticket_is_for_its_own_operation_alone(begun: SigningPage) -> None:
    tickets = {
        "create": (await begun.sign("POST"))["url"],
        "list": await begun.ticket("GET"),
        "complete": await begun.ticket("POST"),
        "abort": await begun.ticket("DELETE"),
    }
    methods = {"GET": {"list"}, "DELETE": {"abort"}, "POST": {"create", "complete"}}
    for method, own in methods.items():
        for name, url in tickets.items():
            if name not in own:
                answer = await begun.call(method, url)
                assert Xml(answer).code == (403, "AccessDenied"), (method, name)
    assert (await begun.shown())["status"] == "uploading"


@pytest.mark.parametrize("ticket", ["x", "x.y", "é.é", "A" * 3000, "%00", "e30.e30"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_what_is_no_ticket_opens_nothing(page: SigningPage, ticket: str, method: str) -> None:
    answer = await page.call(method, f"/v1/s3/multipart/{ticket}")
    assert Xml(answer).code == (403, "AccessDenied")


async def test_a_ticket_names_its_user_too(house: House, begun: SigningPage) -> None:
    """Even one that the service has signed does not make the upload another user's."""
    row = await house.services.completing._records.get(begun.upload["id"])
    assert row is not None
    of_eve = dataclasses.replace(row, user_id="usr_eve")
    ticket = house.services.operation_tickets.issue(Operation.ABORT, of_eve, begun.multipart_id)
    answer = await begun.call("DELETE", f"/v1/s3/multipart/{ticket}")
    assert Xml(answer).code == (404, "NoSuchUpload")


async def test_a_ticket_of_a_multipart_that_is_no_more_says_so(begun: SigningPage) -> None:
    tickets = {method: await begun.ticket(method) for method in ("GET", "POST")}
    begun.s3.multiparts.clear()
    for method, url in tickets.items():
        answer = await begun.call(method, url, list_of({1: "x"}) if method == "POST" else None)
        assert Xml(answer).code[1] in {"NoSuchUpload", "InvalidPart"}
    await begun.refused("GET", errors.MultipartGoneError, uploadId=begun.multipart_id)


async def test_only_ones_own_uploads_are_signed(house: House, begun: SigningPage) -> None:
    await house.services.accounts.add_user("eve", "another password")
    pair = await house.services.accounts.login("eve", "another password", "192.0.2.2")
    eve = SigningPage(begun.client, pair.access_token, begun.s3)
    for key in (begun.key, "unknown", f"{begun.key}/..", "é\U0001f389"):
        eve.upload = {"key": key}
        for method, more in (
            ("PUT", {}),
            ("POST", {}),
            ("GET", {"uploadId": begun.multipart_id}),
            ("DELETE", {"uploadId": begun.multipart_id}),
            ("PUT", {"uploadId": begun.multipart_id, "partNumber": 1}),
        ):
            await eve.refused(method, errors.UploadNotFoundError, **more)


async def test_nobody_signs_without_a_token(page: SigningPage) -> None:
    answer = await page.client.post(PRESIGN, json={"method": "PUT", "key": page.key})
    assert_problem(answer, errors.NotAuthenticatedError)


@pytest.mark.parametrize(
    ("method", "more"),
    [
        ("HEAD", {}),
        ("put", {}),
        ("GET", {}),
        ("DELETE", {}),
        ("PUT", {"uploadId": "x"}),
        ("PUT", {"partNumber": 1}),
        ("POST", {"partNumber": 1}),
        ("POST", {"uploadId": "x", "partNumber": 1}),
        ("PUT", {"uploadId": "x", "partNumber": 0}),
        ("PUT", {"uploadId": "x", "partNumber": 10_001}),
        ("PUT", {"uploadId": "x", "partNumber": "1"}),
        ("PUT", {"uploadId": "", "partNumber": 1}),
        ("PUT", {"uploadId": "x" * 1025, "partNumber": 1}),
        ("PUT", {"key": ""}),
        ("PUT", {"key": "x" * 1025}),
        ("PUT", {"key": None}),
    ],
)
async def test_what_s3_knows_no_request_for_is_refused(
    page: SigningPage, method: str, more: dict[str, Any]
) -> None:
    await page.refused(method, errors.InvalidRequestError, **more)


async def test_a_part_beyond_the_smallest_parts_is_none(begun: SigningPage) -> None:
    asked = {"uploadId": begun.multipart_id, "partNumber": 4}
    await begun.refused("PUT", errors.InvalidPartError, **asked)


async def test_another_multipart_is_gone(begun: SigningPage) -> None:
    for method in ("GET", "POST", "DELETE"):
        await begun.refused(method, errors.MultipartGoneError, uploadId="another")
    await begun.refused("PUT", errors.MultipartGoneError, uploadId="another", partNumber=1)


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaa">]><CompleteMultipartUpload>&a;</CompleteMultipartUpload>'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"<",
        b"<Other></Other>",
        b"<CompleteMultipartUpload><Part></Part></CompleteMultipartUpload>",
        list_of({0: "x"}),
        list_of({10_001: "x"}),
        list_of({1: "x"}).replace(b"</CompleteMultipartUpload>", list_of({1: "x"})[25:]),
        list_of({1: "x"}).replace(b">1<", b">one<"),
        list_of({1: "x"}).replace(b">1<", b">" + b"9" * 5000 + b"<"),
        b"<a>" * 100_000,
        BOMB,
        b"\xff\xfe" + b"<" * 3,
    ],
)
async def test_a_body_that_is_no_list_of_parts(begun: SigningPage, body: bytes) -> None:
    answer = await begun.call("POST", await begun.ticket("POST"), body)
    assert Xml(answer).code == (400, "MalformedXML")
    assert (await begun.shown())["status"] == "uploading"


@pytest.mark.parametrize("named", [{}, {1: "x"}, {1: "x", 2: "y", 3: "z"}, {7: "x"}])
async def test_a_list_of_other_parts_completes_nothing(
    begun: SigningPage, named: dict[int, str]
) -> None:
    begun.s3.put(begun.multipart_id, *SIZES)
    answer = await begun.call("POST", await begun.ticket("POST"), list_of(named))
    assert Xml(answer).code == (400, "InvalidPart")
    assert begun.s3.objects == {}


async def test_a_list_of_ten_thousand_parts_is_read(begun: SigningPage) -> None:
    body = list_of(dict.fromkeys(range(1, 10_001), "0" * 32), "&quot;")
    answer = await begun.call("POST", await begun.ticket("POST"), body)
    assert Xml(answer).code == (400, "InvalidPart")


async def test_a_body_without_end_is_not_read(begun: SigningPage) -> None:
    answer = await begun.call("POST", await begun.ticket("POST"), b" " * (2 * 1024 * 1024 + 1))
    assert Xml(answer).code == (400, "MaxMessageLengthExceeded")


async def test_a_body_is_not_read_without_a_ticket(page: SigningPage) -> None:
    read = False

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        read = True
        yield b"<"

    answer = await page.call("POST", "/v1/s3/multipart/x.y", body())
    assert Xml(answer).code == (403, "AccessDenied")
    assert not read


async def test_a_store_that_does_not_answer_is_told_in_xml(begun: SigningPage) -> None:
    tickets = [("GET", await begun.ticket("GET")), ("POST", await begun.ticket("POST"))]
    begun.s3.failure = Reply(503)
    for method, url in tickets:
        answer = await begun.call(method, url, list_of({1: "x"}) if method == "POST" else None)
        assert Xml(answer).code == (503, "ServiceUnavailable")
        assert answer.headers["retry-after"]


async def test_more_than_was_announced_is_rejected_and_leaves_nothing(begun: SigningPage) -> None:
    named = begun.s3.put(begun.multipart_id, *SIZES[:2], 8)
    answer = await begun.call("POST", await begun.ticket("POST"), list_of(named))
    assert Xml(answer).code == (422, "InvalidRequest")
    assert (await begun.shown())["status"] == "rejected"
    assert (begun.s3.multiparts, begun.s3.objects) == ({}, {})


async def test_a_page_of_another_origin_may_call_a_ticket(page: SigningPage) -> None:
    url = urlsplit((await page.sign("POST"))["url"]).path
    asked = {
        **ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    answer = await page.client.options(url, headers=asked)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN["Origin"]
    answer = await page.client.post(url, headers={**ORIGIN, "Content-Type": "video/mp4"})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN["Origin"]


async def test_no_ticket_and_no_signature_reaches_a_log(
    page: SigningPage, written: StringIO
) -> None:
    await page.begin()
    put = await page.sign("PUT", uploadId=page.multipart_id, partNumber=1)
    tickets = {method: await page.ticket(method) for method in ("GET", "POST", "DELETE")}
    for method, url in tickets.items():
        await page.call(method, url, b"<" if method == "POST" else None)
    page.s3.failure = Reply(500)
    await page.call("GET", tickets["GET"])
    log = written.getvalue()
    assert log.count('"route": "/v1/s3/multipart/{ticket}"') == 5
    secrets = [url.rsplit("/", 1)[1] for url in tickets.values()]
    secrets += [secret[:40] for secret in secrets] + [put["url"].rsplit("=", 1)[1]]
    assert [secret for secret in secrets if secret in log] == []
