"""Pages, uploads and addresses that there are not."""

import base64
import json

import httpx
import pytest

import errors
from tests.fakes.problems import assert_problem

pytestmark = pytest.mark.usefixtures("untouched")

UPLOADS, GRANTS, FILER = "/v1/uploads", "/v1/credentials", "/v1/webhooks/seaweedfs"


def cursor(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "query",
    [
        {"cursor": ""},
        {"cursor": "!!!"},
        {"cursor": "é"},
        {"cursor": "x" * 257},
        {"cursor": "AAAAA"},
        {"cursor": cursor("nonsense")},
        {"cursor": cursor("2030-01-01T00:00:00|upl_1")},
        {"cursor": cursor("2030-01-01T00:00:00+00:00|\x00")},
        # Times that no zone but their own can hold.
        {"cursor": cursor("0001-01-01T00:00:00+14:00|upl_1")},
        {"cursor": cursor("9999-12-31T23:59:59-14:00|upl_1")},
        {"limit": "0"},
        {"limit": "101"},
        {"limit": "-1"},
        {"limit": "many"},
        {"limit": "9" * 5000},
        {"status": "done"},
        {"status": ""},
    ],
)
async def test_a_page_that_cannot_be_asked_for(
    caller: httpx.AsyncClient, query: dict[str, str]
) -> None:
    answer = await caller.get(UPLOADS, params=query)
    found = assert_problem(answer, errors.InvalidRequestError)
    assert next(iter(query)) in json.dumps(found)


@pytest.mark.parametrize(
    "upload_id", ["upl_0", "x" * 65, "%00", "%ED%A0%80", "..%2f..", "%E2%80%AE"]
)
async def test_an_upload_that_there_is_not(caller: httpx.AsyncClient, upload_id: str) -> None:
    for call in (caller.get(f"{UPLOADS}/{upload_id}"), caller.delete(f"{UPLOADS}/{upload_id}")):
        kinds = errors.UploadNotFoundError, errors.InvalidRequestError, errors.NotFoundError
        assert_problem(await call, *kinds)


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/nothing", "/v1/uploads/a/b/c", "/%00", "/v1/uploads/", "//v1/uploads"]
)
async def test_an_address_that_there_is_not(caller: httpx.AsyncClient, path: str) -> None:
    assert_problem(await caller.get(path), errors.NotFoundError)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PATCH", UPLOADS, {"GET", "POST"}),
        ("GET", GRANTS, {"POST"}),
        ("PUT", f"{UPLOADS}/upl_1", {"GET", "DELETE"}),
        ("DELETE", FILER, {"POST"}),
        ("BREW", UPLOADS, {"GET", "POST"}),
    ],
)
async def test_a_method_that_an_address_does_not_take(
    caller: httpx.AsyncClient, method: str, path: str, allow: set[str]
) -> None:
    answer = await caller.request(method, path)
    assert_problem(answer, errors.MethodNotAllowedError)
    assert set(answer.headers["allow"].split(", ")) <= allow


async def test_head_is_answered_by_the_head_alone(caller: httpx.AsyncClient) -> None:
    answer = await caller.head(UPLOADS)
    assert answer.status_code in (200, 405)
