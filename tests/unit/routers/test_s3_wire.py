"""Uppy's `signRequest`: what is signed for whom, and the addresses that speak S3's XML."""

from io import StringIO
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

import errors
from tests.fakes.http_stub import Reply
from tests.fakes.uppy_page import SIZES, SigningPage, Xml, list_of

ORIGIN = {"Origin": "https://app.example"}


async def test_a_whole_file_goes_to_the_store_with_headers_that_a_script_may_set(
    signing: SigningPage,
) -> None:
    await signing.announce(size=5)
    signed = await signing.sign("PUT", contentType="text/plain")
    assert (signed["key"], set(signed)) == (signing.key, {"url", "key", "headers"})
    assert unquote(urlsplit(signed["url"]).path) == f"/uploads/{signing.key}"
    headers = {name.lower(): text for name, text in signed["headers"].items()}
    assert set(headers) == {"content-type", "if-none-match", "x-amz-meta-uploadgate-upload-id"}
    assert headers["content-type"] == "video/mp4"
    query = parse_qs(urlsplit(signed["url"]).query)
    assert "content-length" in query["X-Amz-SignedHeaders"][0].split(";")


async def test_a_multipart_from_its_beginning_to_its_end(signing_begun: SigningPage) -> None:
    for number in (1, 2, 3):
        signed = await signing_begun.sign(
            "PUT", uploadId=signing_begun.multipart_id, partNumber=number
        )
        query = parse_qs(urlsplit(signed["url"]).query)
        assert query["uploadId"] == [signing_begun.multipart_id]
        assert query["partNumber"] == [str(number)]
        assert set(signed) == {"url"}
    named = signing_begun.s3.put(signing_begun.multipart_id, *SIZES)
    listed = Xml(await signing_begun.call("GET", await signing_begun.ticket("GET")))
    assert (listed["IsTruncated"], listed["UploadId"]) == ("false", signing_begun.multipart_id)
    found = [part.findtext("ETag") for part in listed.root.findall("Part")]
    assert found == [f'"{etag}"' for etag in named.values()]
    done = Xml(await signing_begun.call("POST", await signing_begun.ticket("POST"), list_of(named)))
    assert (done.root.tag, done["Key"]) == ("CompleteMultipartUploadResult", signing_begun.key)
    assert unquote(done["Location"]).endswith(f"/uploads/{signing_begun.key}")
    assert "?" not in done["Location"]
    assert done["ETag"] == '"whole-3"'
    assert (await signing_begun.shown())["status"] == "completed"


async def test_the_multipart_is_the_services_own_and_carries_the_uploads_id(
    signing_begun: SigningPage,
) -> None:
    assert (
        signing_begun.s3.multiparts[signing_begun.multipart_id].upload_id
        == signing_begun.upload["id"]
    )
    assert (await signing_begun.shown())["status"] == "uploading"


async def test_beginning_again_after_a_lost_answer_is_the_same_multipart(
    signing: SigningPage,
) -> None:
    url = (await signing.sign("POST"))["url"]
    answers = [Xml(await signing.call("POST", url)) for _ in range(2)]
    assert answers[0]["UploadId"] == answers[1]["UploadId"]
    assert len(signing.s3.multiparts) == 1


@pytest.mark.parametrize("quote", ["", '"', "&quot;"])
async def test_completing_again_after_a_lost_answer_says_the_same(
    signing_begun: SigningPage, quote: str
) -> None:
    named = signing_begun.s3.put(signing_begun.multipart_id, *SIZES)
    url = await signing_begun.ticket("POST")
    answers = [Xml(await signing_begun.call("POST", url, list_of(named, quote))) for _ in range(2)]
    assert [(found.status, found["ETag"]) for found in answers] == [(200, '"whole-3"')] * 2


async def test_an_abort_ends_the_upload_and_every_ticket_of_it(signing_begun: SigningPage) -> None:
    tickets = {method: await signing_begun.ticket(method) for method in ("DELETE", "GET", "POST")}
    answer = await signing_begun.call("DELETE", tickets["DELETE"])
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await signing_begun.shown())["status"] == "aborted"
    assert signing_begun.s3.multiparts == {}
    for method, url in tickets.items():
        answer = await signing_begun.call(
            method, url, list_of({1: "x"}) if method == "POST" else None
        )
        assert Xml(answer).code == (404, "NoSuchUpload")
    await signing_begun.refused("POST", errors.UploadEndedError)


async def test_an_abort_that_comes_too_late_deletes_nothing(signing_begun: SigningPage) -> None:
    named = signing_begun.s3.put(signing_begun.multipart_id, *SIZES)
    abort = await signing_begun.ticket("DELETE")
    await signing_begun.call("POST", await signing_begun.ticket("POST"), list_of(named))
    assert Xml(await signing_begun.call("DELETE", abort)).code == (409, "OperationAborted")
    assert signing_begun.key in signing_begun.s3.objects
    assert (await signing_begun.shown())["status"] == "completed"


async def test_a_ticket_of_a_multipart_that_is_no_more_says_so(signing_begun: SigningPage) -> None:
    tickets = {method: await signing_begun.ticket(method) for method in ("GET", "POST")}
    signing_begun.s3.multiparts.clear()
    for method, url in tickets.items():
        answer = await signing_begun.call(
            method, url, list_of({1: "x"}) if method == "POST" else None
        )
        assert Xml(answer).code[1] in {"NoSuchUpload", "InvalidPart"}
    await signing_begun.refused(
        "GET", errors.MultipartGoneError, uploadId=signing_begun.multipart_id
    )


async def test_a_store_that_does_not_answer_is_told_in_xml(signing_begun: SigningPage) -> None:
    tickets = [
        ("GET", await signing_begun.ticket("GET")),
        ("POST", await signing_begun.ticket("POST")),
    ]
    signing_begun.s3.failure = Reply(503)
    for method, url in tickets:
        answer = await signing_begun.call(
            method, url, list_of({1: "x"}) if method == "POST" else None
        )
        assert Xml(answer).code == (503, "ServiceUnavailable")
        assert answer.headers["retry-after"]


async def test_more_than_was_announced_is_rejected_and_leaves_nothing(
    signing_begun: SigningPage,
) -> None:
    named = signing_begun.s3.put(signing_begun.multipart_id, *SIZES[:2], 8)
    answer = await signing_begun.call("POST", await signing_begun.ticket("POST"), list_of(named))
    assert Xml(answer).code == (422, "InvalidRequest")
    assert (await signing_begun.shown())["status"] == "rejected"
    assert (signing_begun.s3.multiparts, signing_begun.s3.objects) == ({}, {})


async def test_a_page_of_another_origin_may_call_a_ticket(signing: SigningPage) -> None:
    url = urlsplit((await signing.sign("POST"))["url"]).path
    asked = {
        **ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    answer = await signing.client.options(url, headers=asked)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN["Origin"]
    answer = await signing.client.post(url, headers={**ORIGIN, "Content-Type": "video/mp4"})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN["Origin"]


async def test_no_ticket_and_no_signature_reaches_a_log(
    signing: SigningPage, written: StringIO
) -> None:
    await signing.begin()
    put = await signing.sign("PUT", uploadId=signing.multipart_id, partNumber=1)
    tickets = {method: await signing.ticket(method) for method in ("GET", "POST", "DELETE")}
    for method, url in tickets.items():
        await signing.call(method, url, b"<" if method == "POST" else None)
    signing.s3.failure = Reply(500)
    await signing.call("GET", tickets["GET"])
    log = written.getvalue()
    assert log.count('"route": "/v1/s3/multipart/{ticket}"') == 5
    secrets = [url.rsplit("/", 1)[1] for url in tickets.values()]
    secrets += [secret[:40] for secret in secrets] + [put["url"].rsplit("=", 1)[1]]
    assert [secret for secret in secrets if secret in log] == []
