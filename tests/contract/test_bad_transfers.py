"""Whatever is sent to an upload in flight that is not in order: a clear problem, and the upload,
its parts and its quota are as before (the fixture `unharmed` sees to it).
"""

import json
from collections.abc import AsyncIterator
from io import StringIO
from typing import Any, NamedTuple

import httpx
import pytest

import errors
from errors import UploadgateError
from tests.fakes.house import House
from tests.fakes.problems import assert_problem
from tests.fakes.s3_api import S3Api
from tests.unit.routers.test_bad_tokens import token

MIB = 1024 * 1024
SIZE = 16 * MIB + 5
JSON = {"content-type": "application/json"}


class Route(NamedTuple):
    """Of one upload, and what it takes."""

    method: str
    path: str
    body: Any = None

    async def call(self, caller: httpx.AsyncClient, address: str) -> httpx.Response:
        return await caller.request(self.method, address + self.path, json=self.body)


ROUTES = [
    Route("GET", ""),
    Route("DELETE", ""),
    Route("GET", "/parts"),
    Route("POST", "/parts", {"part_numbers": [1]}),
    Route("POST", "/complete"),
    Route("POST", "/transport", {"transport": "presigned"}),
    Route("PUT", "/content"),
    Route("GET", "/download"),
    Route("POST", "/verdict", {"verdict": "clean"}),
]
VERDICT = ROUTES[-1]
EVERY_ROUTE = pytest.mark.parametrize("route", ROUTES)
TAKES_JSON = pytest.mark.parametrize("route", [route for route in ROUTES if route.body])


def allow(caller: httpx.AsyncClient, route: Route) -> None:
    """Verdicts are for administrators, who may see every upload."""
    if route is VERDICT:
        caller.headers["Authorization"] = f"Bearer {token(scope='admin')}"


@pytest.fixture
async def address(house: House, caller: httpx.AsyncClient) -> str:
    """Of an upload of three parts by ada, of which the first is there."""
    s3 = S3Api()
    house.stub.answer = s3
    announced = {"filename": "a.mp4", "size": SIZE, "transport": "presigned"}
    made = (await caller.post("/v1/uploads", json=announced)).json()
    s3.put(made["multipart"]["upload_id"], 8 * MIB)
    return f"/v1/uploads/{made['id']}"


@pytest.fixture
async def unharmed(
    house: House, caller: httpx.AsyncClient, address: str, written: StringIO
) -> AsyncIterator[str]:
    ada = dict(caller.headers)
    before = await shown(caller, address)
    rows = house.rows()
    yield address
    caller.headers.update(ada)
    assert await shown(caller, address) == before
    assert house.rows() == rows
    assert [secret for secret in house.secrets if secret in written.getvalue()] == []


async def shown(caller: httpx.AsyncClient, address: str) -> tuple[Any, Any]:
    upload = (await caller.get(address)).json()
    del upload["server_time"]
    return upload, (await caller.get(f"{address}/parts")).json()


@pytest.mark.parametrize("route", ROUTES[:-1])
async def test_another_users_upload_does_not_exist(
    caller: httpx.AsyncClient, unharmed: str, route: Route
) -> None:
    caller.headers["Authorization"] = f"Bearer {token(user_id='usr_eve')}"
    assert_problem(await route.call(caller, unharmed), errors.UploadNotFoundError)


@EVERY_ROUTE
@pytest.mark.parametrize("upload_id", ["upl_0", "%00", "%ED%A0%80", "..%2f..", "x" * 65])
async def test_an_upload_that_there_is_not(
    caller: httpx.AsyncClient, unharmed: str, route: Route, upload_id: str
) -> None:
    allow(caller, route)
    answer = await route.call(caller, f"/v1/uploads/{upload_id}")
    kinds = errors.UploadNotFoundError, errors.InvalidRequestError, errors.NotFoundError
    assert_problem(answer, *kinds)


@EVERY_ROUTE
async def test_who_does_not_say_who_they_are(
    caller: httpx.AsyncClient, unharmed: str, route: Route
) -> None:
    caller.headers["Authorization"] = ""
    assert_problem(await route.call(caller, unharmed), errors.NotAuthenticatedError)


@EVERY_ROUTE
async def test_a_token_without_the_scope(
    caller: httpx.AsyncClient, unharmed: str, route: Route
) -> None:
    for scope in ("other", "uploads" if route is VERDICT else "admin"):
        caller.headers["Authorization"] = f"Bearer {token(scope=scope)}"
        assert_problem(await route.call(caller, unharmed), errors.MissingScopeError)


@TAKES_JSON
@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{", errors.MalformedJsonError),
        (b"[" * 3000, errors.MalformedJsonError),
        (b"x" * 9000, errors.BodyTooLargeError),
        (b"[]", errors.InvalidRequestError),
        (b"null", errors.InvalidRequestError),
        (b"", errors.InvalidRequestError),
    ],
)
async def test_a_body_that_is_not_the_json_it_should_be(
    caller: httpx.AsyncClient,
    unharmed: str,
    route: Route,
    content: bytes,
    kind: type[UploadgateError],
) -> None:
    allow(caller, route)
    answer = await caller.post(unharmed + route.path, content=content, headers=JSON)
    assert_problem(answer, kind)


@TAKES_JSON
@pytest.mark.parametrize("content_type", ["text/plain", "application/octet-stream", None])
async def test_a_body_of_another_type(
    caller: httpx.AsyncClient, unharmed: str, route: Route, content_type: str | None
) -> None:
    allow(caller, route)
    headers = {"content-type": content_type} if content_type else {}
    content = json.dumps(route.body).encode()
    answer = await caller.post(unharmed + route.path, content=content, headers=headers)
    assert_problem(answer, errors.UnsupportedMediaTypeError)


@pytest.mark.parametrize(
    "numbers",
    [
        [],
        [0],
        [-1],
        [10_001],
        [2**200],
        [1.0],
        [1.5],
        ["1"],
        [True],
        [None],
        [[1]],
        [1, 0],
        1,
        None,
        "1",
        {"1": 1},
        list(range(1, 1002)),
    ],
)
async def test_part_numbers_that_no_part_can_have(
    caller: httpx.AsyncClient, unharmed: str, numbers: Any
) -> None:
    answer = await caller.post(f"{unharmed}/parts", json={"part_numbers": numbers})
    found = assert_problem(answer, errors.InvalidRequestError)
    assert found["errors"][0]["pointer"].startswith("/body/part_numbers")


@pytest.mark.parametrize("numbers", [[1, 1], [4], [1, 2, 3, 4], [10_000], [3, 2, 3]])
async def test_part_numbers_that_this_plan_does_not_have(
    caller: httpx.AsyncClient, unharmed: str, numbers: list[int]
) -> None:
    answer = await caller.post(f"{unharmed}/parts", json={"part_numbers": numbers})
    assert_problem(answer, errors.InvalidPartError)


@pytest.mark.parametrize(
    ("checksums", "kind"),
    [
        # Of a part that is not asked for.
        ({"2": "AAAAAA=="}, errors.InvalidRequestError),
        ({"01": "AAAAAA=="}, errors.InvalidRequestError),
        ({"1": "x" * 17}, errors.InvalidRequestError),
        ({"1": 7}, errors.InvalidRequestError),
        (["AAAAAA=="], errors.InvalidRequestError),
        # This upload's parts have none.
        ({"1": "AAAAAA=="}, errors.InvalidPartError),
    ],
)
async def test_checksums_that_no_part_of_it_can_have(
    caller: httpx.AsyncClient, unharmed: str, checksums: Any, kind: type[UploadgateError]
) -> None:
    body = {"part_numbers": [1], "checksums": checksums}
    assert_problem(await caller.post(f"{unharmed}/parts", json=body), kind)


@pytest.mark.parametrize("value", ["", "!", "AAAA", "AAAAAA", "AAAAAAAAAAA=", "\ud800"])
async def test_a_parts_checksum_that_is_none_of_its_algorithm(
    house: House, caller: httpx.AsyncClient, value: str
) -> None:
    house.stub.answer = S3Api()
    checksum = {"algorithm": "CRC32", "value": "AAAAAA=="}
    announced = {"filename": "a", "size": SIZE, "transport": "presigned", "checksum": checksum}
    made = (await caller.post("/v1/uploads", json=announced)).json()
    assert made["multipart"]["checksum_algorithm"] == "CRC32"
    body = json.dumps({"part_numbers": [1], "checksums": {"1": value}})
    answer = await caller.post(f"/v1/uploads/{made['id']}/parts", content=body, headers=JSON)
    assert_problem(answer, errors.InvalidPartError, errors.InvalidRequestError)


async def test_parts_of_an_upload_that_has_none(house: House, caller: httpx.AsyncClient) -> None:
    announced = {"filename": "a", "size": 5, "transport": "presigned"}
    made = (await caller.post("/v1/uploads", json=announced)).json()
    answer = await caller.post(f"/v1/uploads/{made['id']}/parts", json={"part_numbers": [1]})
    assert_problem(answer, errors.InvalidPartError)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"transport": "auto"},
        {"transport": "pigeon"},
        {"transport": ""},
        {"transport": None},
        {"transport": ["relay"]},
        {"transport": "relay", "reason": "x"},
    ],
)
async def test_a_transport_that_there_is_not(
    caller: httpx.AsyncClient, unharmed: str, body: dict[str, Any]
) -> None:
    answer = await caller.post(f"{unharmed}/transport", json=body)
    assert_problem(answer, errors.InvalidRequestError)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"verdict": "dirty"},
        {"verdict": None},
        {"verdict": "clean", "reason": "x" * 201},
        {"verdict": "clean", "reason": "a\x00b"},
        {"verdict": "clean", "reason": "a\u202eb"},
        {"verdict": "clean", "reason": "\ud800"},
        {"verdict": "clean", "by": "me"},
        {"verdict": "clean", "etag": ""},
        {"verdict": "clean", "etag": "x" * 256},
    ],
)
async def test_a_verdict_that_cannot_be_given(
    caller: httpx.AsyncClient, unharmed: str, body: dict[str, Any]
) -> None:
    caller.headers["Authorization"] = f"Bearer {token(scope='admin')}"
    content = json.dumps(body)
    answer = await caller.post(f"{unharmed}/verdict", content=content, headers=JSON)
    assert_problem(answer, errors.InvalidRequestError)


async def test_a_verdict_on_what_is_not_quarantined(
    caller: httpx.AsyncClient, unharmed: str
) -> None:
    caller.headers["Authorization"] = f"Bearer {token(scope='admin')}"
    answer = await caller.post(f"{unharmed}/verdict", json={"verdict": "clean"})
    assert_problem(answer, errors.UploadStateError)


async def test_a_download_of_what_is_not_there(caller: httpx.AsyncClient, unharmed: str) -> None:
    assert_problem(await caller.get(f"{unharmed}/download"), errors.UploadStateError)


async def test_completing_names_the_parts_that_are_missing(
    caller: httpx.AsyncClient, unharmed: str
) -> None:
    found = assert_problem(await caller.post(f"{unharmed}/complete"), errors.UploadIncompleteError)
    assert found["missing_parts"] == [2, 3]


BAD_KEYS = pytest.mark.parametrize(
    "key", [b"", b" ", b"a b", b"\xc3\xa9", b"a\x00", b"a\x7f", b"x" * 256]
)


@BAD_KEYS
async def test_a_completion_under_a_key_that_cannot_be_one(
    caller: httpx.AsyncClient, unharmed: str, key: bytes
) -> None:
    answer = await caller.post(f"{unharmed}/complete", headers={b"Idempotency-Key": key})
    found = assert_problem(answer, errors.InvalidRequestError)
    assert [entry["pointer"] for entry in found["errors"]] == ["/header/Idempotency-Key"]


@BAD_KEYS
async def test_a_creation_under_a_key_that_cannot_be_one(
    caller: httpx.AsyncClient, unharmed: str, key: bytes
) -> None:
    announced = {"filename": "a", "size": 5}
    headers = {b"Idempotency-Key": key}
    answer = await caller.post("/v1/uploads", json=announced, headers=headers)
    assert_problem(answer, errors.InvalidRequestError)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bytes",
        "bytes 0-4",
        "0-4/5",
        "bytes=0-4/5",
        "items 0-4/5",
        "bytes 0-/5",
        "bytes -4/5",
        "bytes 0-4/*",
        "bytes */5",
        "bytes 4-0/5",
        "bytes 0-5/5",
        "bytes -1-4/5",
        "bytes 0-4/5, 5-9/10",
        "bytes 0x0-0x4/0x5",
        f"bytes 0-4/{2**63}",
        "bytes 0-4/1" + "0" * 5000,
        # Another file.
        "bytes 0-4/5",
        f"bytes 0-{8 * MIB - 1}/{SIZE - 1}",
        # No whole parts.
        f"bytes 0-4/{SIZE}",
        f"bytes 0-{8 * MIB}/{SIZE}",
        f"bytes {8 * MIB}-{SIZE - 2}/{SIZE}",
    ],
)
async def test_a_range_that_cannot_be_one(
    caller: httpx.AsyncClient, unharmed: str, text: str
) -> None:
    headers = {"Content-Range": text}
    answer = await caller.put(f"{unharmed}/content", content=unread(), headers=headers)
    assert_problem(answer, errors.InvalidRequestError)


async def unread() -> AsyncIterator[bytes]:
    """More than could ever be read."""
    while True:
        yield b"x" * 1024


async def test_a_range_that_begins_within_a_part_hears_where_to_go_on(
    caller: httpx.AsyncClient, unharmed: str
) -> None:
    headers = {"Content-Range": f"bytes 5-{SIZE - 1}/{SIZE}"}
    answer = await caller.put(f"{unharmed}/content", content=unread(), headers=headers)
    found = assert_problem(answer, errors.ContentRangeError)
    assert found["expected_offset"] == 8 * MIB


@pytest.mark.parametrize("content", [b"hello", b"x"])
async def test_a_body_that_is_not_as_long_as_the_file_is_refused_at_once(
    house: House, caller: httpx.AsyncClient, unharmed: str, content: bytes
) -> None:
    house.stub.requests.clear()
    answer = await caller.put(f"{unharmed}/content", content=content)
    assert_problem(answer, errors.InvalidRequestError)
    assert house.stub.requests == []


async def test_a_body_of_another_length_than_its_range(
    caller: httpx.AsyncClient, unharmed: str
) -> None:
    headers = {"Content-Range": f"bytes {16 * MIB}-{SIZE - 1}/{SIZE}"}
    answer = await caller.put(f"{unharmed}/content", content=b"hell", headers=headers)
    assert_problem(answer, errors.InvalidRequestError)
