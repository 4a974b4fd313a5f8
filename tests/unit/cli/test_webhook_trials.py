"""`uploadgate webhook test ID`, from the command line to a receiver that listens."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from cli import webhook_views
from service.delivery.trial import Trial
from tests.fakes.http_stub import HttpStub, Reply
from tests.unit.cli.test_webhooks import Run, path, run, shown

__all__ = ["path", "run"]  # fixtures


@pytest.fixture
def receiver() -> Iterator[HttpStub]:
    """In a thread of its own: the command has a loop of its own, too."""
    stub = HttpStub(Reply(204))
    up, done = threading.Event(), threading.Event()

    async def serve() -> None:
        async with HttpStub.serving(lambda request: _answer(stub, request)) as serving:
            stub.url = serving.url
            up.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=asyncio.run, args=[serve()])
    thread.start()
    assert up.wait(10)
    yield stub
    done.set()
    thread.join(10)


def _answer(stub: HttpStub, request: Any) -> Reply:
    stub.requests.append(request)
    assert isinstance(stub.answer, Reply)
    return stub.answer


@pytest.fixture
def endpoint_id(run: Run, receiver: HttpStub, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("UPLOADGATE_DELIVERY__ALLOW_HTTP", "true")
    answer = run("add", f"{receiver.url}/hook", "--json")
    assert answer.exit_code == 0, answer.output
    return str(json.loads(answer.stdout)["id"])


def test_what_was_delivered(run: Run, receiver: HttpStub, endpoint_id: str) -> None:
    answer = run("test", endpoint_id)
    (request,) = receiver.requests
    assert answer.exit_code == 0, answer.output
    assert answer.stdout.startswith("Delivered: it answered 204 (evt_test_")
    assert request.headers["webhook-id"] in answer.stdout
    assert request.headers["user-agent"].startswith("uploadgate/")
    assert request.json()["data"] == {"endpoint_id": endpoint_id}


def test_for_programs(run: Run, receiver: HttpStub, endpoint_id: str) -> None:
    receiver.answer = Reply(410)
    before = shown(run, endpoint_id)
    answer = run("test", endpoint_id, "--json")
    assert answer.exit_code == 1
    found = json.loads(answer.stdout)
    assert found.pop("event_id") == receiver.requests[0].headers["webhook-id"]
    assert found.pop("milliseconds") >= 0
    assert found == {"delivered": False, "status": 410, "error": "http_410"}
    assert shown(run, endpoint_id) == before


def test_also_while_it_is_disabled(run: Run, receiver: HttpStub, endpoint_id: str) -> None:
    run("disable", endpoint_id)
    assert run("test", endpoint_id).exit_code == 0
    assert len(receiver.requests) == 1
    assert not shown(run, endpoint_id)["enabled"]


def test_what_was_refused(run: Run, receiver: HttpStub, endpoint_id: str) -> None:
    receiver.answer = Reply(302, headers={"Location": "/elsewhere"})
    answer = run("test", endpoint_id)
    assert answer.exit_code == 1
    assert answer.stdout.startswith("Not delivered: it answered 302; redirects are not followed (")
    assert len(receiver.requests) == 1


def test_an_address_that_is_allowed_no_more(
    run: Run, receiver: HttpStub, endpoint_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPLOADGATE_DELIVERY__ALLOWED_NETWORKS", "[]")
    answer = run("test", endpoint_id)
    assert answer.exit_code == 1
    assert "UPLOADGATE_DELIVERY__ALLOWED_NETWORKS" in answer.stdout
    assert receiver.requests == []


def test_where_nothing_listens(run: Run) -> None:
    """The port is taken, so that nobody else comes to listen there."""
    with closing(socket.socket()) as deaf:
        deaf.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{deaf.getsockname()[1]}/hook"
        made = json.loads(run("add", url, "--json").stdout)
        answer = run("test", made["id"])
    assert answer.exit_code == 1
    assert answer.stdout.startswith("Not delivered: nothing takes connections there (evt_test_")
    assert made["secret"] not in answer.output


@pytest.mark.parametrize(
    ("status", "error", "said"),
    [
        (500, "http_500", "Not delivered: it answered 500 ("),
        (None, "timeout", "Not delivered: it did not answer in time ("),
        (None, "another_word", "Not delivered: another_word ("),
    ],
)
def test_in_words(
    capsys: pytest.CaptureFixture[str], status: int | None, error: str, said: str
) -> None:
    trial = Trial(event_id="evt_test_1", status=status, error=error, milliseconds=12)
    webhook_views.show_trial(trial, as_json=False)
    assert capsys.readouterr().out == f"{said}evt_test_1, 12 ms)\n"
