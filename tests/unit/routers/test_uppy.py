"""Uppy's Companion wire: what a ticket opens, and in whose words it is answered."""

from io import StringIO
from urllib.parse import unquote

import pytest

import errors
from tests.fakes import cognito_api
from tests.fakes.companion_page import FILE, TICKETS, Begun, CompanionPage, every_call
from tests.fakes.house import House
from tests.fakes.http_stub import Reply
from tests.fakes.problems import assert_problem
from tests.fakes.uppy_page import SIZES, SigningPage


async def test_a_small_file_gets_a_form_and_a_record(companion: CompanionPage) -> None:
    query = {
        "filename": "a b+c.txt",
        "type": "text/plain",
        "metadata[name]": "a b+c.txt",
        "metadata[album]": "été",
        "metadata[relativePath]": "null",
    }
    said = await companion.said("GET", "/params", params=query)
    assert set(said) == {"method", "url", "fields", "expires"}
    assert (said["method"], said["fields"]["Content-Type"]) == ("POST", "text/plain")
    assert 0 < said["expires"] <= 3600
    record = await companion.record(said["fields"]["key"])
    assert (record["filename"], record["size"]) == ("a b+c.txt", None)
    assert (record["transport"], record["profile"]) == ("presigned", "default")
    assert record["metadata"] == {"album": "été"}


@pytest.mark.parametrize("kind", [None, "", "null", "undefined"])
async def test_a_type_that_uppy_does_not_know_is_no_fault(
    companion: CompanionPage, kind: str | None
) -> None:
    said = await companion.said("POST", "/multipart", json={**FILE, "type": kind})
    assert (await companion.record(said["key"]))["content_type"] == "application/octet-stream"
    query = {"filename": "a"} if kind is None else {"filename": "a", "type": kind}
    said = await companion.said("GET", "/params", params=query)
    assert said["fields"]["Content-Type"] == "application/octet-stream"


async def test_what_a_page_has_noted_about_a_file_is_kept_as_text(companion: CompanionPage) -> None:
    noted = {"name": "x", "type": "y", "relativePath": None, "width": 640, "ok": True, "t": "z"}
    said = await companion.said("POST", "/multipart", json={**FILE, "metadata": noted})
    record = await companion.record(said["key"])
    assert record["metadata"] == {"width": "640", "ok": "true", "t": "z"}


async def test_a_file_in_parts_from_its_beginning_to_its_end(companion_begun: Begun) -> None:
    companion = companion_begun.page
    one = await companion.said("GET", f"{companion_begun.path}/1", **companion_begun.where)
    assert set(one) == {"url", "expires"}
    assert "partNumber=1" in one["url"]
    query = {"key": companion_begun.key, "partNumbers": "2,3"}
    two = await companion.said("GET", f"{companion_begun.path}/batch", params=query)
    assert set(two["presignedUrls"]) == {"2", "3"}
    assert "partNumber=3" in two["presignedUrls"]["3"]
    named = companion.s3.put(companion_begun.id, *SIZES)
    listed = await companion.said("GET", companion_begun.path, **companion_begun.where)
    assert listed == [
        {"PartNumber": number, "ETag": f'"{etag}"', "Size": SIZES[number - 1]}
        for number, etag in named.items()
    ]
    as_listed = {part["PartNumber"]: part["ETag"] for part in listed}
    for _ in range(2):  # the first answer may be lost
        answer = await companion_begun.complete(as_listed)
        assert answer.status_code == 200, answer.text
        assert answer.json()["key"] == companion_begun.key
        assert unquote(answer.json()["location"]).endswith(f"/uploads/{companion_begun.key}")
    record = await companion.record(companion_begun.key)
    assert (record["status"], record["size"]) == ("completed", sum(SIZES))
    assert record["filename"] == "Übung 1.mp4"


async def test_an_abort_ends_the_upload(companion_begun: Begun) -> None:
    companion = companion_begun.page
    assert await companion.said("DELETE", companion_begun.path, **companion_begun.where) == {}
    assert (await companion.record(companion_begun.key))["status"] == "aborted"
    assert companion.s3.multiparts == {}
    for method, path in (
        ("GET", companion_begun.path),
        ("GET", f"{companion_begun.path}/1"),
        ("DELETE", companion_begun.path),
    ):
        answer = await companion.call(method, path, **companion_begun.where)
        assert_problem(answer, errors.UploadEndedError)
    assert_problem(await companion_begun.complete({1: "x"}), errors.UploadEndedError)


async def test_a_ticket_deletes_nothing_that_has_arrived(companion_begun: Begun) -> None:
    named = companion_begun.page.s3.put(companion_begun.id, *SIZES)
    await companion_begun.complete(named)
    answer = await companion_begun.page.call(
        "DELETE", companion_begun.path, **companion_begun.where
    )
    assert_problem(answer, errors.UploadStateError)
    assert companion_begun.key in companion_begun.page.s3.objects


async def test_another_key_or_multipart_does_not_exist_for_a_ticket(companion_begun: Begun) -> None:
    companion = companion_begun.page
    paths = (("GET", ""), ("GET", "/1"), ("DELETE", ""))
    for method, more in paths:
        answer = await companion.call(
            method, companion_begun.path + more, params={"key": "another"}
        )
        assert_problem(answer, errors.UploadNotFoundError)
        answer = await companion.call(method, "/multipart/another" + more, **companion_begun.where)
        assert_problem(answer, errors.MultipartGoneError)


async def test_a_ticket_is_its_users_own(house: House, companion_begun: Begun) -> None:
    companion = companion_begun.page
    await house.services.accounts.add_user("mallory", "another password")
    pair = await house.services.accounts.login("mallory", "another password", "192.0.2.3")
    companion.token = {"Authorization": f"Bearer {pair.access_token}"}
    await companion.get_ticket()
    for method, more in (("GET", ""), ("GET", "/1"), ("DELETE", "")):
        answer = await companion.call(method, companion_begun.path + more, **companion_begun.where)
        assert_problem(answer, errors.UploadNotFoundError)
    assert_problem(await companion_begun.complete({1: "x"}), errors.UploadNotFoundError)


async def test_a_revoked_ticket_opens_nothing(companion: CompanionPage) -> None:
    before = companion.house.rows()
    answer = await companion.client.delete(TICKETS, headers=companion.token)
    assert (answer.status_code, answer.content) == (204, b"")
    for answer in await every_call(companion):
        assert_problem(answer, errors.InvalidTicketError)
    assert companion.house.rows() == before


async def test_credentials_by_ticket_are_those_of_the_exchange(companion: CompanionPage) -> None:
    said = await companion.said("GET", "/sts")
    assert set(said) == {"credentials", "bucket", "region"}
    keys = said["credentials"]
    assert keys["SecretAccessKey"] == cognito_api.SECRET_KEY
    assert keys["SessionToken"] == cognito_api.SESSION_TOKEN
    assert set(keys) == {"AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"}


async def test_no_ticket_reaches_a_log(companion: CompanionPage, written: StringIO) -> None:
    answers = await every_call(companion)
    companion.s3.failure = Reply(500)
    answers += await every_call(companion)
    log = written.getvalue()
    assert '"route": "/v1/uppy/{ticket}/s3/multipart/{multipart_id}"' in log
    ticket = companion.root.split("/")[3]
    assert ticket.startswith("upt_")
    secrets = [*companion.house.secrets, ticket, ticket[:20], "X-Amz-Signature"]
    assert [secret for secret in secrets if secret in log] == []
    assert [answer for answer in answers if ticket in answer.text] == []


async def test_a_page_of_another_origin_may_call_a_ticket(companion: CompanionPage) -> None:
    origin = {"Origin": "https://app.example"}
    for method in ("POST", "DELETE"):
        asked = {
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "content-type",
        }
        answer = await companion.client.options(
            f"{companion.root}/multipart", headers=origin | asked
        )
        assert answer.status_code == 200
    answer = await companion.call("GET", "/params?filename=a.txt", headers=origin)
    assert answer.headers["access-control-allow-origin"] == origin["Origin"]


async def test_the_same_upload_by_signed_requests_is_a_form_too(companion: CompanionPage) -> None:
    """Its size is not known there either."""
    form = await companion.said("GET", "/params?filename=a.txt&type=text/plain")
    signing = SigningPage(companion.client, companion.house.token, companion.s3)
    signing.upload = await companion.record(form["fields"]["key"])
    signed = await signing.sign("PUT")
    assert (signed["key"], signed["fields"]["key"]) == (signing.key, signing.key)
    assert "headers" not in signed
