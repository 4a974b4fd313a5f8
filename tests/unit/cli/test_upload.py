import io
import threading
from concurrent import futures
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.progress import Progress

from cli import upload
from cli.bars import bars
from cli.upload import Batch
from client.problems import ApiError, TransferCancelledError
from client.wire import Upload

RECORD: dict[str, Any] = {
    "id": "upl_1",
    "status": "pending",
    "bucket": "uploads",
    "key": "me/upl_1/a",
    "created_at": "2030-01-01T12:00:00Z",
}


class FakeUploader:
    """Sends at once, fails as told, or hangs until it is cancelled."""

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.failures: dict[str, Exception] = {}
        self.hangs: set[str] = set()

    def send(self, path: Path, progress: Any) -> Upload:
        if path.name in self.hangs:
            self.cancelled.wait(10)
            raise TransferCancelledError
        if path.name in self.failures:
            raise self.failures[path.name]
        progress(1)
        return Upload.read(RECORD)

    def cancel(self) -> None:
        self.cancelled.set()


class FakeApi:
    def upload(self, _: str) -> Upload:
        return Upload.read({**RECORD, "status": "completed"})


@pytest.fixture
def progress() -> Progress:
    return bars(Console(file=io.StringIO()))


@pytest.fixture
def uploader() -> FakeUploader:
    return FakeUploader()


def _batch(uploader: FakeUploader, progress: Progress, *, wait: bool = True) -> Batch:
    return Batch(FakeApi(), uploader, progress, wait=wait)  # type: ignore[arg-type]


@pytest.mark.parametrize(("wait", "status"), [(True, "completed"), (False, "pending")])
def test_each_file_is_told_of(
    uploader: FakeUploader, progress: Progress, wait: bool, status: str
) -> None:
    batch = _batch(uploader, progress, wait=wait)
    assert batch.run([Path("a"), Path("b")], 2) is False
    assert sorted(batch.lines) == [f"✓ {n}: {status} as me/upl_1/a (upl_1)" for n in "ab"]
    assert not batch.failed


def test_one_failure_leaves_the_others_alone(uploader: FakeUploader, progress: Progress) -> None:
    uploader.failures["b"] = ApiError("policy", "No", "not you", status=403, request_id="req-1")
    batch = _batch(uploader, progress)
    batch.run([Path("a"), Path("b")], 1)
    assert batch.lines[0].startswith("✓ a")
    assert batch.lines[1] == "✗ b: No: not you [policy] (request req-1)"
    assert batch.failed


def test_ctrl_c_cancels_what_runs_and_starts_nothing_more(
    uploader: FakeUploader, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploader.hangs = {"a", "b"}
    calls: list[Any] = []

    def wait(pending: Any) -> Any:
        calls.append(pending)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return futures.wait(pending)

    monkeypatch.setattr(upload, "wait", wait)
    batch = _batch(uploader, progress)
    assert batch.run([Path("a"), Path("b")], 1) is True
    assert batch.lines == ["✗ a: cancelled: its parts are removed, its record is aborted"]
