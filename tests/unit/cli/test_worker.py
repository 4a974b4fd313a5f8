"""`uploadgate worker`: works until it is told to stop, ends what it began, and exits with 0."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

import logs
import wiring
from cli import worker
from cli.configuration import REFUSED
from cli.outcome import FAILED
from tests.unit.cli.test_sole_process import _another_process


class Work:
    """Stands for the background work. While it runs, this process is sent `number`; without one it
    fails.
    """

    def __init__(self, number: int | None) -> None:
        self.number = number
        self.told: list[str] = []
        self.handlers: list[Any] = []

    async def _run(self) -> None:
        if self.number is None:
            raise RuntimeError("a bug")
        os.kill(os.getpid(), self.number)
        await asyncio.Event().wait()

    @asynccontextmanager
    async def opened(self, settings: Any, version: str) -> AsyncIterator[asyncio.Task[None]]:
        self.told.append(f"began {version}")
        task = asyncio.create_task(self._run())
        try:
            yield task
        finally:
            self.handlers = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)]
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self.told.append("ended")


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite+aiosqlite:///{tmp_path / 'records.db'}"
    monkeypatch.setenv("UPLOADGATE_ENVIRONMENT", "development")
    monkeypatch.setenv("UPLOADGATE_DATABASE__URL", url)
    monkeypatch.setattr(logs, "configure", lambda *_: None)
    return url


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.usefixtures("url")
def test_a_signal_ends_it_cleanly(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    work, before = Work(number), signal.getsignal(number)
    monkeypatch.setattr(wiring, "opened_worker", work.opened)
    assert worker.run() == 0
    assert work.told[1:] == ["ended"]
    assert work.told[0].startswith("began ")
    # While it ends, a second one does what it does to any program.
    assert work.handlers == [signal.SIG_DFL, signal.default_int_handler]
    signal.signal(number, before)


@pytest.mark.usefixtures("url")
def test_work_that_ends_by_itself_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that whatever started the process starts it anew."""
    work = Work(None)
    monkeypatch.setattr(wiring, "opened_worker", work.opened)
    assert worker.run() == FAILED
    assert work.told[1:] == ["ended"]


def test_where_a_service_holds_the_sqlite_file_it_does_not_start(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    work = Work(signal.SIGTERM)
    monkeypatch.setattr(wiring, "opened_worker", work.opened)
    with _another_process(url):
        assert worker.run() == REFUSED
    assert "SQLite is for one process" in capsys.readouterr().err
    assert work.told == []


@pytest.mark.parametrize(
    ("url_of_queue", "told"),
    [
        (None, {"event": "queue.none", "hint": "UPLOADGATE_SQS__QUEUE_URL is not set"}),
        (
            "https://sqs.eu-central-1.amazonaws.com/123456789012/uploads",
            {
                "event": "queue.taken_from",
                "queue": "sqs.eu-central-1.amazonaws.com/123456789012/uploads",
            },
        ),
        ("http://me:pw@queue:9324/0/uploads", {"queue": "queue:9324/0/uploads"}),
    ],
)
@pytest.mark.usefixtures("url")
def test_it_says_from_which_queue_it_takes(
    monkeypatch: pytest.MonkeyPatch, url_of_queue: str | None, told: dict[str, str]
) -> None:
    if url_of_queue is not None:
        monkeypatch.setenv("UPLOADGATE_SQS__QUEUE_URL", url_of_queue)
    monkeypatch.setattr(wiring, "opened_worker", Work(signal.SIGTERM).opened)
    with structlog.testing.capture_logs() as lines:
        assert worker.run() == 0
    events = [line["event"] for line in lines]
    assert (events[0], events[-1]) == ("worker.starts", "worker.stops")
    assert told.items() <= lines[1].items()


def test_settings_that_are_refused_end_it(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UPLOADGATE_SQS__WAIT_SECONDS", "21")
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - typer's own
        worker.run()
    assert getattr(caught.value, "exit_code", None) == REFUSED
    assert "UPLOADGATE_SQS__WAIT_SECONDS" in capsys.readouterr().err
