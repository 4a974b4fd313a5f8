"""What every problem must look like."""

import re
from typing import Any

import httpx

from errors import UploadgateError, UploadStateError
from routers.problems import MEDIA_TYPE, STATUS

CODES = {kind.code: kind for kind in STATUS}
MEMBERS = {"type", "title", "status", "detail", "code", "retry_mode", "request_id", "errors"}
# Those that one class may have besides its own.
MODES: dict[type[UploadgateError], set[str | None]] = {UploadStateError: {"wait", "fatal"}}
FACTS = {"missing_parts", "expected_offset"}
# What pydantic tells of Python: enum members, exceptions, types that JSON does not have.
PYTHON = re.compile(
    r"<\w+\.\w+|^[A-Za-z]+ error, |^Assertion failed|\bdictionary\b|\binstance of\b"
)


def assert_problem(
    answer: httpx.Response, *kinds: type[UploadgateError], request_id: bool = True
) -> dict[str, Any]:
    """One of these kinds, in the shape of RFC 9457 with our own members."""
    assert answer.headers["content-type"] == MEDIA_TYPE, answer.text
    body: dict[str, Any] = answer.json()
    assert body["code"] in {kind.code for kind in kinds}, body
    kind = CODES[body["code"]]
    assert answer.status_code == body["status"] == STATUS[kind]
    assert body["type"] == f"urn:uploadgate:problem:{kind.code}"
    assert body["title"] == kind.title
    assert body["detail"]
    assert body.get("retry_mode") in MODES.get(kind, {kind.retry_mode})
    assert set(body) <= MEMBERS | FACTS
    assert [one for one in body.get("errors", []) if PYTHON.search(one["message"])] == []
    assert answer.headers["cache-control"] == "no-store"
    assert ("retry-after" in answer.headers) is (body["status"] in (429, 503))
    assert ("www-authenticate" in answer.headers) is (body["status"] == 401)
    if request_id:
        assert body["request_id"] == answer.headers["x-request-id"]
    return body
