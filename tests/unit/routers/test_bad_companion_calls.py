"""What makes no sense on Uppy's Companion wire is a problem, and changes nothing."""

from typing import Any

import pytest

import errors
from tests.fakes.clock import Clock
from tests.fakes.companion_page import FILE, TICKETS, Begun, CompanionPage, every_call
from tests.fakes.problems import assert_problem
from tests.fakes.signer import ReadableSigner
from tests.fakes.uppy_page import SIZES


@pytest.mark.parametrize("ticket", ["tickets", "upt_x", "upt_" + "A" * 43, "%00", "é"])
async def test_what_is_no_ticket_opens_nothing(companion: CompanionPage, ticket: str) -> None:
    companion.root = f"/v1/uppy/{ticket}/s3"
    for answer in await every_call(companion):
        assert_problem(answer, errors.InvalidTicketError)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/0", {}),
        ("/10001", {}),
        ("/one", {}),
        ("/1", {"key": ""}),
        ("/1", {"key": "x" * 1025}),
        ("/batch", {}),
        ("/batch", {"partNumbers": ""}),
        ("/batch", {"partNumbers": "1,"}),
        ("/batch", {"partNumbers": "1,-2"}),
        ("/batch", {"partNumbers": ",".join(map(str, range(1, 1002)))}),
    ],
)
async def test_parts_that_cannot_be_asked_for(
    companion_begun: Begun, path: str, query: dict[str, str]
) -> None:
    answer = await companion_begun.page.call(
        "GET", companion_begun.path + path, params={"key": companion_begun.key} | query
    )
    assert_problem(answer, errors.InvalidRequestError)


@pytest.mark.parametrize("numbers", ["0", "1,1", "10001", "99999"])
async def test_parts_that_there_are_not(companion_begun: Begun, numbers: str) -> None:
    query = {"key": companion_begun.key, "partNumbers": numbers}
    answer = await companion_begun.page.call("GET", f"{companion_begun.path}/batch", params=query)
    assert_problem(answer, errors.InvalidPartError)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"filename": None}, "/body/filename"),
        ({"filename": ""}, "/body/filename"),
        ({"filename": "../a"}, "/body/filename"),
        ({"filename": "x" * 1025}, "/body/filename"),
        ({"type": "no type"}, "/body/type"),
        ({"type": 7}, "/body/type"),
        ({"metadata": []}, "/body/metadata"),
        ({"metadata": {"a b": "x"}}, "/body/metadata/a b/[key]"),
        ({"metadata": {"a": "x" * 513}}, "/body/metadata/a"),
        ({"metadata": {"a": ["x"]}}, "/body/metadata/a"),
        ({"metadata": {f"a{number}": "x" for number in range(21)}}, "/body/metadata"),
    ],
)
async def test_a_file_that_cannot_be(
    companion: CompanionPage, change: dict[str, Any], pointer: str
) -> None:
    before = companion.house.rows()
    found = assert_problem(
        await companion.call("POST", "/multipart", json={**FILE, **change}),
        errors.InvalidRequestError,
    )
    assert [entry["pointer"] for entry in found["errors"]] == [pointer]
    assert companion.house.rows() == before


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("", "/query/filename"),
        ("filename=..%2Fa", "/query/filename"),
        ("filename=a&type=b", "/query/type"),
        ("filename=a&metadata[b%20c]=d", "/query/metadata/b c/[key]"),
    ],
)
async def test_a_form_that_cannot_be(companion: CompanionPage, query: str, pointer: str) -> None:
    answer = await companion.call("GET", f"/params?{query}")
    found = assert_problem(answer, errors.InvalidRequestError)
    assert [entry["pointer"] for entry in found["errors"]] == [pointer]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", errors.MalformedJsonError),
        (b"{", errors.MalformedJsonError),
        (b"[]", errors.InvalidRequestError),
        (b"{}", errors.InvalidRequestError),
        (b'{"parts":[{}]}', errors.InvalidRequestError),
        (b'{"parts":[{"PartNumber":0,"ETag":"x"}]}', errors.InvalidRequestError),
        (b'{"parts":[{"PartNumber":1,"ETag":""}]}', errors.InvalidRequestError),
        (b'{"parts":[{"PartNumber":1,"ETag":"x"},{"PartNumber":1,"ETag":"x"}]}',
         errors.InvalidRequestError),
    ],
)  # fmt: skip
async def test_a_completion_that_names_no_parts(
    companion_begun: Begun, body: bytes, kind: Any
) -> None:
    answer = await companion_begun.page.call(
        "POST",
        f"{companion_begun.path}/complete",
        content=body,
        headers={"content-type": "application/json"},
        **companion_begun.where,
    )
    assert_problem(answer, kind)


async def test_a_list_of_ten_thousand_parts_is_read(companion_begun: Begun) -> None:
    named = dict.fromkeys(range(1, 10_001), "0" * 32)
    answer = await companion_begun.complete(named)
    assert answer.json()["code"] == "upload_incomplete"
    assert len(answer.json()["missing_parts"]) == 1000


async def test_parts_that_differ_complete_nothing(companion_begun: Begun) -> None:
    named = companion_begun.page.s3.put(companion_begun.id, *SIZES)
    assert_problem(await companion_begun.complete({**named, 2: "x"}), errors.InvalidPartError)
    assert_problem(await companion_begun.complete({1: named[1]}), errors.InvalidPartError)
    answer = await companion_begun.complete({**named, 9: "x"})
    assert (answer.status_code, answer.json()["missing_parts"]) == (409, [9])
    assert companion_begun.page.s3.objects == {}


@pytest.mark.parametrize("body", [{"profile": "video"}, {"profile": "A B"}, {"other": 1}])
async def test_no_ticket_for_what_there_is_not(
    companion: CompanionPage, body: dict[str, Any]
) -> None:
    answer = await companion.client.post(TICKETS, json=body, headers=companion.token)
    assert_problem(answer, errors.UnknownProfileError, errors.InvalidRequestError)


async def test_nobody_gets_or_revokes_tickets_without_a_token(companion: CompanionPage) -> None:
    for method in ("POST", "DELETE"):
        answer = await companion.client.request(method, TICKETS)
        assert_problem(answer, errors.NotAuthenticatedError)


async def test_of_ten_thousand_faults_a_few_are_told(companion_begun: Begun) -> None:
    body = {"parts": [{"PartNumber": 0, "ETag": ""}] * 10_000}
    answer = await companion_begun.page.call(
        "POST", f"{companion_begun.path}/complete", json=body, **companion_begun.where
    )
    found = assert_problem(answer, errors.InvalidRequestError)
    # The first part's alone: nothing after it is even looked at.
    assert [entry["pointer"] for entry in found["errors"]] == [
        "/body/parts/0/PartNumber",
        "/body/parts/0/ETag",
    ]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_key_that_no_database_could_keep_is_not_found(
    companion_begun: Begun, method: str
) -> None:
    answer = await companion_begun.page.call(
        method, companion_begun.path, params={"key": f"{companion_begun.key}\0"}
    )
    assert_problem(answer, errors.UploadNotFoundError)


@pytest.mark.parametrize("trouble", [errors.StoreRefusedError(), errors.StoreUnavailableError()])
async def test_a_form_that_cannot_be_signed_leaves_nothing_reserved(
    companion: CompanionPage, monkeypatch: pytest.MonkeyPatch, trouble: errors.UploadgateError
) -> None:
    """Nobody would ever hear of its record."""
    signer = ReadableSigner(Clock())
    signer.failures = [trouble]
    monkeypatch.setattr(companion.house.services.transfers, "_signer", signer)
    name = f"unsigned.{trouble.code}"
    answer = await companion.call("GET", "/params", params={"filename": name})
    assert_problem(answer, type(trouble))
    [left] = [upload for upload in await companion.uploads() if upload["filename"] == name]
    assert left["status"] == "aborted"
