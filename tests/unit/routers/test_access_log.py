"""One line a request, with nothing in it that may be secret."""

import json
import logging
from io import StringIO
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from errors import UnavailableError
from routers.middleware.access_log import AccessLog
from service.uploads.uploads import Uploads
from tests.fakes.asgi import Call, body, ok


def lines(written: StringIO) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in written.getvalue().splitlines()]
    return [line for line in found if line["event"] == "request"]


async def test_a_line_says_what_was_asked_and_answered(
    caller: httpx.AsyncClient, written: StringIO
) -> None:
    answer = await caller.get("/v1/uploads/upl_0?cursor=s3cr3t", headers={"X-Request-ID": "abc"})
    (line,) = lines(written)
    assert line["milliseconds"] >= 0
    assert {name: line[name] for name in ("method", "route", "status", "upload_id")} == {
        "method": "GET",
        "route": "/v1/uploads/{upload_id}",
        "status": 404,
        "upload_id": "upl_0",
    }
    assert (line["client"], line["request_id"]) == ("192.0.2.1", "abc")
    assert (line["bytes_sent"], line["level"]) == (len(answer.content), "info")


@pytest.mark.parametrize(
    "path",
    ["/v1/uploads?cursor=s3cr3t", "/v1/uppy/s3cr3t/s3/params", "/s3cr3t?X-Amz-Signature=s3cr3t"],
)
async def test_neither_query_nor_raw_path_is_logged(
    caller: httpx.AsyncClient, written: StringIO, path: str
) -> None:
    await caller.get(path)
    assert len(lines(written)) == 1
    assert "s3cr3t" not in written.getvalue()


async def test_neither_is_it_where_a_failure_is_told(
    caller: httpx.AsyncClient, written: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        raise UnavailableError

    monkeypatch.setattr(Uploads, "get", fails)
    assert (await caller.get("/v1/uploads/upl_0")).status_code == 503
    assert "/v1/uploads/{upload_id}" in written.getvalue()
    assert "/v1/uploads/upl_0" not in written.getvalue()


async def test_health_checks_do_not_fill_the_log(written: StringIO) -> None:
    for path in ("/livez", "/readyz", "/other"):
        await Call(path).to(AccessLog(ok))
    assert [line["level"] for line in lines(written)] == ["debug", "debug", "info"]


async def test_an_answer_is_counted_in_bytes(written: StringIO) -> None:
    await Call("/", [body(b"12345")]).to(AccessLog(ok))
    (line,) = lines(written)
    assert (line["status"], line["bytes_sent"]) == (200, 5)


async def test_a_request_that_ends_without_an_answer_is_logged_as_well(written: StringIO) -> None:
    async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await Call().to(AccessLog(breaks))
    assert lines(written)[0]["status"] == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Request-ID": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c3JfMSJ9.c2ln"},
        {"X-Request-ID": "rt_5xJ0mX3rT7mJm1bq8Zk2v9Q4hY6nW0cLd3sFgAeU"},
        {"X-Request-ID": "a-upt_5xJ0mX3rT7mJm1bq8Zk2v9Q4hY6nW0cLd3sFg"},
    ],
)
async def test_what_looks_like_a_secret_is_struck_from_an_id(
    caller: httpx.AsyncClient, written: StringIO, headers: dict[str, str]
) -> None:
    answer = await caller.get("/v1/uploads", headers=headers)
    (line,) = lines(written)
    assert answer.headers["x-request-id"] == headers["X-Request-ID"]
    assert "***" in line["request_id"]


async def test_what_is_no_id_of_ours_is_searched_for_secrets(
    caller: httpx.AsyncClient, written: StringIO
) -> None:
    ticket = "upt_5xJ0mX3rT7mJm1bq8Zk2v9Q4hY6nW0cLd3sFgAeUiOp"
    await caller.get(f"/v1/uploads/{ticket}")
    (line,) = lines(written)
    assert line["upload_id"] == "***"


async def test_nothing_is_made_of_a_line_that_nobody_wants(
    written: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routers.middleware.access_log.AccessRecord", None)
    monkeypatch.setattr(logging.getLogger(), "level", logging.WARNING)
    logging.getLogger("uploadgate.access").manager._clear_cache()  # type: ignore[attr-defined]
    assert (await Call().to(AccessLog(ok))).status == 200
    assert written.getvalue() == ""
