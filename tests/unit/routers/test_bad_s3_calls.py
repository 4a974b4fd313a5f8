"""Tickets, signatures and lists that nobody should get anywhere with."""

import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import pytest

import errors
from service.clock import utc_now
from service.uploads.operation_tickets import Operation
from tests.fakes.house import House
from tests.fakes.problems import assert_problem
from tests.fakes.uppy_page import PRESIGN, SIZES, SigningPage, Xml, list_of


async def test_a_ticket_is_for_its_own_operation_alone(signing_begun: SigningPage) -> None:
    tickets = {
        "create": (await signing_begun.sign("POST"))["url"],
        "list": await signing_begun.ticket("GET"),
        "complete": await signing_begun.ticket("POST"),
        "abort": await signing_begun.ticket("DELETE"),
    }
    methods = {"GET": {"list"}, "DELETE": {"abort"}, "POST": {"create", "complete"}}
    for method, own in methods.items():
        for name, url in tickets.items():
            if name not in own:
                answer = await signing_begun.call(method, url)
                assert Xml(answer).code == (403, "AccessDenied"), (method, name)
    assert (await signing_begun.shown())["status"] == "uploading"


@pytest.mark.parametrize("ticket", ["x", "x.y", "é.é", "A" * 3000, "%00", "e30.e30"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_what_is_no_ticket_opens_nothing(
    signing: SigningPage, ticket: str, method: str
) -> None:
    answer = await signing.call(method, f"/v1/s3/multipart/{ticket}")
    assert Xml(answer).code == (403, "AccessDenied")


async def test_a_ticket_names_its_user_too(house: House, signing_begun: SigningPage) -> None:
    """Even one that the service has signed does not make the upload another user's."""
    row = await house.services.completing._records.get(signing_begun.upload["id"])
    assert row is not None
    of_eve = dataclasses.replace(row, user_id="usr_eve")
    ticket = house.services.operation_tickets.issue(
        Operation.ABORT, of_eve, signing_begun.multipart_id
    )
    answer = await signing_begun.call("DELETE", f"/v1/s3/multipart/{ticket}")
    assert Xml(answer).code == (404, "NoSuchUpload")


async def test_only_ones_own_uploads_are_signed(house: House, signing_begun: SigningPage) -> None:
    await house.services.accounts.add_user("eve", "another password")
    pair = await house.services.accounts.login("eve", "another password", "192.0.2.2")
    eve = SigningPage(signing_begun.client, pair.access_token, signing_begun.s3)
    for key in (signing_begun.key, "unknown", f"{signing_begun.key}/..", "é\U0001f389"):
        eve.upload = {"key": key}
        for method, more in (
            ("PUT", {}),
            ("POST", {}),
            ("GET", {"uploadId": signing_begun.multipart_id}),
            ("DELETE", {"uploadId": signing_begun.multipart_id}),
            ("PUT", {"uploadId": signing_begun.multipart_id, "partNumber": 1}),
        ):
            await eve.refused(method, errors.UploadNotFoundError, **more)


async def test_nobody_signs_without_a_token(signing: SigningPage) -> None:
    answer = await signing.client.post(PRESIGN, json={"method": "PUT", "key": signing.key})
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
    signing: SigningPage, method: str, more: dict[str, Any]
) -> None:
    await signing.refused(method, errors.InvalidRequestError, **more)


async def test_a_part_beyond_the_smallest_parts_is_none(signing_begun: SigningPage) -> None:
    asked = {"uploadId": signing_begun.multipart_id, "partNumber": 4}
    await signing_begun.refused("PUT", errors.InvalidPartError, **asked)


async def test_another_multipart_is_gone(signing_begun: SigningPage) -> None:
    for method in ("GET", "POST", "DELETE"):
        await signing_begun.refused(method, errors.MultipartGoneError, uploadId="another")
    await signing_begun.refused("PUT", errors.MultipartGoneError, uploadId="another", partNumber=1)


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
        b'<?xml version="1.0" encoding="foo"?>' + list_of({1: "x"}),
    ],
)
async def test_a_body_that_is_no_list_of_parts(signing_begun: SigningPage, body: bytes) -> None:
    answer = await signing_begun.call("POST", await signing_begun.ticket("POST"), body)
    assert Xml(answer).code == (400, "MalformedXML")
    assert (await signing_begun.shown())["status"] == "uploading"


@pytest.mark.parametrize("named", [{}, {1: "x"}, {1: "x", 2: "y", 3: "z"}, {7: "x"}])
async def test_a_list_of_other_parts_completes_nothing(
    signing_begun: SigningPage, named: dict[int, str]
) -> None:
    signing_begun.s3.put(signing_begun.multipart_id, *SIZES)
    answer = await signing_begun.call("POST", await signing_begun.ticket("POST"), list_of(named))
    assert Xml(answer).code == (400, "InvalidPart")
    assert signing_begun.s3.objects == {}


async def test_a_list_of_ten_thousand_parts_is_read(signing_begun: SigningPage) -> None:
    body = list_of(dict.fromkeys(range(1, 10_001), "0" * 32), "&quot;")
    answer = await signing_begun.call("POST", await signing_begun.ticket("POST"), body)
    assert Xml(answer).code == (400, "InvalidPart")


async def test_a_body_without_end_is_not_read(signing_begun: SigningPage) -> None:
    answer = await signing_begun.call(
        "POST", await signing_begun.ticket("POST"), b" " * (2 * 1024 * 1024 + 1)
    )
    assert Xml(answer).code == (400, "MaxMessageLengthExceeded")


async def test_a_body_is_not_read_without_a_ticket(signing: SigningPage) -> None:
    read = False

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        read = True
        yield b"<"

    answer = await signing.call("POST", "/v1/s3/multipart/x.y", body())
    assert Xml(answer).code == (403, "AccessDenied")
    assert not read


@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_a_key_that_no_database_could_keep_is_not_found(
    signing: SigningPage, method: str
) -> None:
    signing.upload = {"key": f"{signing.key}\0"}
    await signing.refused(method, errors.UploadNotFoundError)


async def test_what_has_expired_is_signed_no_more(house: House, signing_begun: SigningPage) -> None:
    """Its time is over, and the sweep has not come by."""
    row = await house.services.uploads._records.get(signing_begun.upload["id"])
    assert row is not None
    await house.services.uploads._records.amend(row, utc_now(), expires_at=row.created_at)
    await signing_begun.refused("PUT", errors.UploadEndedError)
    await signing_begun.refused(
        "PUT", errors.UploadEndedError, uploadId=signing_begun.multipart_id, partNumber=1
    )
