"""A fault of ours: a problem for the client, the trace for the log, nothing else for anybody."""

from io import StringIO

import httpx
import pytest
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

import errors
from routers.middleware.faults import FaultBarrier
from service.uploads.uploads import Uploads
from tests.fakes.asgi import Call
from tests.fakes.problems import assert_problem

ORIGIN = "https://app.example"


async def test_a_fault_is_a_problem_like_any_other(
    caller: httpx.AsyncClient, written: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(*_: object, **__: object) -> None:
        raise RuntimeError("inner matters")

    monkeypatch.setattr(Uploads, "page", breaks)
    headers = {"Origin": ORIGIN, "X-Request-ID": "abc"}
    answer = await caller.get("/v1/uploads", headers=headers)
    body = assert_problem(answer, errors.InternalError)
    assert body["request_id"] == "abc"
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "inner" not in answer.text
    assert "inner matters" in written.getvalue()
    assert '"status": 500' in written.getvalue()


async def test_half_an_answer_is_cut_off() -> None:
    async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError

    with capture_logs() as lines, pytest.raises(RuntimeError):
        await Call().to(FaultBarrier(breaks))
    assert [line["log_level"] for line in lines] == ["error"]


async def test_a_client_that_leaves_while_it_sends_is_no_fault_of_ours(
    caller: httpx.AsyncClient, written: StringIO
) -> None:
    transport = caller._transport
    assert isinstance(transport, httpx.ASGITransport)
    for path in ("/v1/uploads", "/v1/webhooks/seaweedfs"):
        call = Call(path, [{"type": "http.disconnect"}], {"Content-Type": "application/json"})
        call.scope |= {"root_path": "", "scheme": "http", "raw_path": path.encode()}
        await call.to(transport.app)
    assert "unhandled error" not in written.getvalue()
