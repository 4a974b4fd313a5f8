"""Whatever is sent, the answer is a problem with a known code, nothing is written, and no secret
reaches a log (the fixture `untouched` sees to both).
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

import errors
from errors import UploadgateError
from service.uploads.policy import LARGEST_OBJECT
from tests.fakes.problems import assert_problem

pytestmark = pytest.mark.usefixtures("untouched")

UPLOADS, GRANTS, FILER = "/v1/uploads", "/v1/credentials", "/v1/webhooks/seaweedfs"
GOOD: dict[str, Any] = {"filename": "a.txt", "size": 5, "content_type": "text/plain"}
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("path", [UPLOADS, GRANTS, "/v1/auth/login"])
@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"[" * 3000, b'{"size":' + b"9" * 5000 + b"}"])
async def test_a_body_that_is_no_json(caller: httpx.AsyncClient, path: str, body: bytes) -> None:
    answer = await caller.post(path, content=body, headers=JSON)
    assert_problem(answer, errors.MalformedJsonError)


@pytest.mark.parametrize("path", [UPLOADS, "/v1/auth/login"])
@pytest.mark.parametrize("body", [b"7", b"[]", b'"text"', b"null", b"NaN"])
async def test_json_that_is_no_object(caller: httpx.AsyncClient, path: str, body: bytes) -> None:
    answer = await caller.post(path, content=body, headers=JSON)
    assert_problem(answer, errors.InvalidRequestError, errors.MalformedJsonError)


@pytest.mark.parametrize(
    "path", [UPLOADS, GRANTS, "/v1/auth/login", "/v1/auth/refresh", "/v1/auth/logout"]
)
@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "json"],
)
async def test_a_body_of_another_type(caller: httpx.AsyncClient, path: str, kind: str) -> None:
    body = json.dumps(GOOD).encode()
    answer = await caller.post(path, content=body, headers={"content-type": kind})
    assert_problem(answer, errors.UnsupportedMediaTypeError)


async def test_a_body_of_no_type(caller: httpx.AsyncClient) -> None:
    answer = await caller.post(UPLOADS, content=json.dumps(GOOD).encode())
    assert_problem(answer, errors.UnsupportedMediaTypeError)


async def chunks(size: int) -> AsyncIterator[bytes]:
    yield b'{"filename": "'
    for _ in range(size // 1024):
        yield b"x" * 1024


@pytest.mark.parametrize("path", [UPLOADS, GRANTS, "/v1/auth/login"])
async def test_a_body_over_the_limit(caller: httpx.AsyncClient, path: str) -> None:
    headers = dict(JSON)
    for content in (b"x" * 9000, chunks(9 * 1024)):
        answer = await caller.post(path, content=content, headers=headers)
        assert_problem(answer, errors.BodyTooLargeError)
    declared = {**headers, "content-length": "999999999999"}
    answer = await caller.post(path, content=b"{", headers=declared)
    assert_problem(answer, errors.BodyTooLargeError)


async def refused(caller: httpx.AsyncClient, pointer: str, **changes: Any) -> None:
    body = json.dumps({**GOOD, **changes}).encode()
    answer = await caller.post(UPLOADS, content=body, headers=JSON)
    found = assert_problem(answer, errors.InvalidRequestError)
    assert [entry["pointer"] for entry in found["errors"]] == [pointer]
    for entry in found["errors"]:
        assert set(entry) == {"pointer", "message", "type"}


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../../etc/passwd",
        "a/b",
        "a\\b",
        "/",
        "a\x00b",
        "a\nb",
        "a\x7f",
        "a\x85",
        "a\u202egnp.exe",
        "a\u2028b",
        "\ud800",
        "a\udfff.txt",
        "x" * 1025,
        "é" * 513,
        "🎉" * 257,
        7,
        None,
        ["a"],
    ],
)
async def test_a_name_that_cannot_be_one(caller: httpx.AsyncClient, name: Any) -> None:
    await refused(caller, "/body/filename", filename=name)


@pytest.mark.parametrize(
    "size",
    [-1, True, False, 1.0, 1.5, "5", None, LARGEST_OBJECT + 1, 2**63, 2**200, float("nan"), 1e999],
)
async def test_a_size_that_cannot_be_one(caller: httpx.AsyncClient, size: Any) -> None:
    await refused(caller, "/body/size", size=size)


@pytest.mark.parametrize(
    "kind", ["", "text", "text/", "/plain", "text/plain\n", "text/plain\r\n;a=b", "é/é", "a/b;\x00"]
)
async def test_a_content_type_that_cannot_be_one(caller: httpx.AsyncClient, kind: str) -> None:
    await refused(caller, "/body/content_type", content_type=kind)


@pytest.mark.parametrize(
    "value", ["", "!", "é", "AAAAAA", "AAAA", "AAAAAAAAAAA=", "AAAAAA==\n", "x" * 17]
)
async def test_a_checksum_that_cannot_be_one(caller: httpx.AsyncClient, value: str) -> None:
    checksum = {"algorithm": "CRC32", "value": value}
    answer = await caller.post(UPLOADS, json={**GOOD, "checksum": checksum})
    found = assert_problem(answer, errors.InvalidRequestError)
    assert found["errors"][0]["pointer"].startswith("/body/checksum")


@pytest.mark.parametrize("algorithm", ["MD5", "SHA256", "crc32", ""])
async def test_a_checksum_that_is_never_of_the_whole(
    caller: httpx.AsyncClient, algorithm: str
) -> None:
    checksum = {"algorithm": algorithm, "value": "AAAAAA=="}
    await refused(caller, "/body/checksum/algorithm", checksum=checksum)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"transport": "pigeon"}, "/body/transport"),
        ({"profile": "A b"}, "/body/profile"),
        ({"fingerprint": ""}, "/body/fingerprint"),
        ({"fingerprint": "\ud800"}, "/body/fingerprint"),
        ({"metadata": {"a": "\x00"}}, "/body/metadata/a"),
        ({"metadata": {"a": "x" * 513}}, "/body/metadata/a"),
        ({"metadata": {str(n): "" for n in range(21)}}, "/body/metadata"),
        ({"owner": "usr_eve"}, "/body/owner"),
        ({"key": "../../x"}, "/body/key"),
        # RFC 6901: a name's own slash and tilde are escaped.
        ({"a/b~c": 1}, "/body/a~1b~0c"),
    ],
)
async def test_fields_that_are_unknown_or_wrong(
    caller: httpx.AsyncClient, changes: dict[str, Any], pointer: str
) -> None:
    await refused(caller, pointer, **changes)


@pytest.mark.parametrize(
    "body",
    [
        rb'{"\ud800": 1, "filename": "a", "size": 1}',
        rb'{"filename": "a", "size": 1, "metadata": {"\ud800": "x"}}',
        rb'{"filename": "a", "size": 1, "metadata": {"a": "\udfff"}}',
        rb'{"filename": "a", "size": 1, "\u0000": 1}',
    ],
)
async def test_names_that_no_text_can_hold(caller: httpx.AsyncClient, body: bytes) -> None:
    answer = await caller.post(UPLOADS, content=body, headers=JSON)
    assert_problem(answer, errors.InvalidRequestError, errors.MalformedJsonError)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"profile": "nothing"}, errors.UnknownProfileError),
    ],
)
async def test_what_is_not_offered(
    caller: httpx.AsyncClient, changes: dict[str, str], kind: type[UploadgateError]
) -> None:
    assert_problem(await caller.post(UPLOADS, json={**GOOD, **changes}), kind)


@pytest.mark.parametrize("body", [{"mode": "sts"}, {"mode": None}, {"mode": "auto", "x": 1}])
async def test_a_grant_that_cannot_be_asked_for(
    caller: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    assert_problem(await caller.post(GRANTS, json=body), errors.InvalidRequestError)
