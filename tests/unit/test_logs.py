"""No secret reaches a line, in whatever shape it is logged."""

import json
import logging
from datetime import timedelta
from typing import Any

import pytest
import structlog

from logs import AccessRecord, strike_secrets
from service.uploads.operation_tickets import Operation, OperationTickets
from tests.fakes.clock import Clock
from tests.fakes.house import captured_logs
from tests.fakes.records import upload

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c3JfMSJ9.c2lnbmF0dXJl"
REFRESH = "rt_5xJ0mX3rT7mJm1bq8Zk2v9Q4hY6nW0cLd3sFgAeUiOp"
COMPANION = "upt_5xJ0mX3rT7mJm1bq8Zk2v9Q4hY6nW0cLd3sFgAeUiOp"
OPERATION = OperationTickets(
    ["a-signing-key-of-thirty-two-chars"], life=timedelta(hours=1), clock=Clock()
).issue(Operation.COMPLETE, upload(), "mp_1")
WEBHOOK = "whsec_5xJ0mX3rT7mJm1bq8Zk2v9Q4hY6nW0cLd3sF"
URL = "https://s3.example/k?X-Amz-Credential=AKIA%2F1&X-Amz-Date=1&X-Amz-Signature=abcdef0123"


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "Authorization",
        "access_token",
        "open_id_token",
        "SecretKey",
        "secret_access_key",
        "SessionToken",
        "cookie",
        "Set-Cookie",
        "api_key",
        "x-apikey",
        "X-Amz-Signature",
        "credentials",
    ],
)
def test_what_stands_under_a_telling_name_is_struck(name: str) -> None:
    nested = {"outer": {"list": [{name: "hush"}]}, name: {"inner": "hush"}, "n": ({name: "hush"},)}
    assert "hush" not in str(strike_secrets(None, "info", nested))


@pytest.mark.parametrize(
    ("text", "secrets", "kept"),
    [
        (f"got {JWT}, sorry", [JWT, "c2lnbmF0dXJl"], ["got", "sorry"]),
        (f"Bearer {JWT}", [JWT], ["Bearer"]),
        (f"GET {URL}", ["abcdef0123", "AKIA%2F1"], ["s3.example", "X-Amz-Date=1"]),
        (URL.lower(), ["abcdef0123"], ["s3.example"]),
        (f"{URL}&X-Amz-Security-Token=FwoGZXI", ["FwoGZXI"], ["X-Amz-Date"]),
        (f"revoked {REFRESH}", [REFRESH], ["revoked"]),
        (f"GET /v1/uppy/{COMPANION}/s3/params", [COMPANION], ["/v1/uppy/", "/s3/params"]),
        (f"POST /v1/s3/multipart/{OPERATION} 200", OPERATION.split("."), ["multipart/", "200"]),
    ],
)
def test_what_looks_like_a_secret_is_struck_from_any_text(
    text: str, secrets: list[str], kept: list[str]
) -> None:
    for event in ({"event": text}, {"detail": text}, {"deep": [{"er": text}]}):
        shown = str(strike_secrets(None, "info", event))
        assert [secret for secret in secrets if secret in shown] == []
        assert all(part in shown for part in kept)


def test_what_is_no_secret_stays() -> None:
    event = {"event": "upload.completed", "size": 5, "key": "us-east-1:0/a", "ok": True, "n": None}
    assert strike_secrets(None, "info", dict(event)) == event


@pytest.mark.parametrize("shape", ["json", "console"])
def test_neither_our_lines_nor_a_librarys_nor_a_trace_show_a_secret(shape: str) -> None:
    with captured_logs(shape) as written:
        structlog.get_logger("uploadgate").info("ours", password="hush", note=JWT)
        logging.getLogger("library").warning("theirs %s", JWT)
        try:
            _fail(f"cannot use {REFRESH} at {URL}")
        except RuntimeError:
            structlog.get_logger("uploadgate").exception("broken")
            logging.getLogger("library").exception("broken, too")
    shown = written.getvalue()
    for secret in ("hush", JWT, REFRESH, "abcdef0123"):
        assert secret not in shown
    for kept in ("ours", "theirs", "broken", "RuntimeError"):
        assert kept in shown


def test_a_line_is_one_json_object_with_its_level_time_and_logger() -> None:
    with captured_logs() as written:
        structlog.get_logger("uploadgate.access").info("request", status=200)
        logging.getLogger("uvicorn.error").warning("two\nlines")
    ours, theirs = [_parsed(line) for line in written.getvalue().splitlines()]
    assert (ours["event"], ours["level"], ours["status"]) == ("request", "info", 200)
    assert (ours["logger"], ours["timestamp"][-1]) == ("uploadgate.access", "Z")
    assert (theirs["event"], theirs["logger"]) == ("two\nlines", "uvicorn.error")


ACCESS: dict[str, Any] = {
    "method": "POST",
    "route": "/v1/uploads/{upload_id}/parts",
    "upload_id": "upl_00000000000000000000000000000000",
    "status": 200,
    "milliseconds": 0.25,
    "bytes_sent": 12,
    "client": "192.0.2.1",
    "event": "request",
    "request_id": "abc",
}


def access_line(shape: str = "json", **values: Any) -> str:
    with captured_logs(shape) as written:
        record = AccessRecord("uploadgate.access", logging.INFO, {**ACCESS, **values})
        logging.getLogger("uploadgate.access").handle(record)
    (line,) = written.getvalue().splitlines()
    return line


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"upload_id": None, "client": None},
        {"upload_id": "None", "request_id": "None"},
        {"client": "2001:db8::1", "request_id": "a.b_c-D"},
        {"milliseconds": 0.0, "status": 0, "bytes_sent": 0},
        {"milliseconds": 1e9},
    ],
)
def test_an_access_line_is_like_every_other(values: dict[str, Any]) -> None:
    told = {**ACCESS, **values}
    bound = {name: told.pop(name) for name in ("event", "request_id")}
    with (
        captured_logs() as written,
        structlog.contextvars.bound_contextvars(request_id=bound["request_id"]),
    ):
        structlog.get_logger("uploadgate.access").info(bound["event"], **told)
    quick, usual = _parsed(access_line(**values)), _parsed(written.getvalue())
    assert quick.pop("timestamp")[-1] == usual.pop("timestamp")[-1] == "Z"
    assert list(quick.items()) == list(usual.items())
    assert AccessRecord("n", logging.INFO, {**ACCESS, **values}).plain() is not None


@pytest.mark.parametrize("shape", ["json", "console"])
@pytest.mark.parametrize("name", ["method", "upload_id", "client", "request_id"])
@pytest.mark.parametrize("secret", [JWT, REFRESH, COMPANION, OPERATION, WEBHOOK, 'a"b\nc'])
def test_no_access_line_shows_a_secret(shape: str, name: str, secret: str) -> None:
    line = access_line(shape, **{name: secret})
    assert secret not in line
    if shape == "json":
        assert list(_parsed(line)) == list(_parsed(access_line()))


def test_an_access_line_is_readable_on_a_console() -> None:
    line = access_line("console")
    assert "{" not in line.replace(ACCESS["route"], "")
    assert all(f"{name}={ACCESS[name]}" in line for name in ("method", "status", "client"))


def test_where_logs_are_set_up_otherwise_an_access_line_is_a_plain_record() -> None:
    record = AccessRecord("uploadgate.access", logging.INFO, ACCESS)
    assert logging.Formatter("%(levelname)s %(name)s %(message)s").format(record) == (
        "INFO uploadgate.access request"
    )


@pytest.mark.parametrize("library", ["botocore.auth", "aiobotocore", "httpx", "sqlalchemy.engine"])
def test_libraries_that_print_requests_whole_are_kept_quiet(library: str) -> None:
    with captured_logs() as written:
        logging.getLogger(library).debug("Authorization: s3cr3t")
        logging.getLogger(library).info("Authorization: s3cr3t")
    assert written.getvalue() == ""


def _fail(text: str) -> None:
    raise RuntimeError(text)


def _parsed(line: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(line)
    return found
