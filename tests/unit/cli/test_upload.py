import asyncio
import io
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.progress import Progress
from typer.testing import CliRunner

from cli import main
from cli.bars import bars
from cli.managers import Boto3Manager, Wishes, manager_for
from cli.upload import Batch, _ctrl_c
from client.engine.engine import Sent
from client.engine.events import Restarted, Switched
from client.problems import ApiError, TransferCancelledError
from client.wire import Upload

RECORD: dict[str, Any] = {
    "id": "upl_1",
    "status": "completed",
    "bucket": "uploads",
    "key": "me/upl_1/a",
    "created_at": "2030-01-01T12:00:00Z",
}


class FakeManager:
    """Sends at once, fails as told, or hangs until it is cancelled."""

    def __init__(self) -> None:
        self.failures: dict[str, Exception] = {}
        self.hangs: set[str] = set()
        self.hanging = asyncio.Event()
        self.transports: tuple[str, ...] = ("credentials",)
        self.events: list[Any] = []
        self.running = self.most = 0
        self.together: asyncio.Barrier | None = None

    async def send(self, path: Path, progress: Any, on_event: Any) -> Sent:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            return await self._sent(path, progress, on_event)
        finally:
            self.running -= 1

    async def _sent(self, path: Path, progress: Any, on_event: Any) -> Sent:
        for event in self.events:
            on_event(event)
        if self.together is not None:
            await self.together.wait()
        if path.name in self.hangs:
            self.hanging.set()
            await asyncio.Event().wait()
        if path.name in self.failures:
            raise self.failures[path.name]
        progress(1)
        return Sent(Upload.read(RECORD), self.transports, 1, 0.1)


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def progress(out: io.StringIO) -> Progress:
    return bars(Console(file=out))


@pytest.fixture
def manager() -> FakeManager:
    return FakeManager()


@pytest.mark.parametrize(
    ("transports", "by"),
    [
        (("credentials",), "by credentials"),
        (("credentials", "presigned"), "by credentials, then presigned"),
        ((), "had arrived before"),
    ],
)
async def test_each_file_is_told_of_with_what_carried_it(
    manager: FakeManager, progress: Progress, transports: tuple[str, ...], by: str
) -> None:
    manager.transports = transports
    batch = Batch(manager, progress)
    await batch.run([Path("a"), Path("b")], 2)
    assert sorted(batch.lines) == [f"✓ {n}: completed as me/upl_1/a (upl_1), {by}" for n in "ab"]
    assert not batch.failed
    assert not batch.interrupted


async def test_a_switch_is_told_when_it_happens(
    manager: FakeManager, progress: Progress, out: io.StringIO
) -> None:
    manager.events = [Switched("credentials", "presigned", "no keys [x]"), Restarted()]
    await Batch(manager, progress).run([Path("a")], 1)
    assert out.getvalue().splitlines() == [
        "a: from credentials to presigned: no keys [x]",
        "a: the store has dropped its parts; all of them go again",
    ]


async def test_one_failure_leaves_the_others_alone(
    manager: FakeManager, progress: Progress
) -> None:
    error = ApiError("policy", "No", "not you", status=403, request_id="req-1")
    error.add_note("6 parts are kept")
    manager.failures["b"] = error
    batch = Batch(manager, progress)
    await batch.run([Path("a"), Path("b")], 1)
    assert batch.lines[0].startswith("✓ a")
    assert batch.lines[1] == "✗ b: No: not you [policy] (request req-1)\n  6 parts are kept"
    assert batch.failed


async def test_no_more_files_go_at_once_than_asked_for(
    manager: FakeManager, progress: Progress
) -> None:
    manager.together = asyncio.Barrier(2)  # nobody goes on before two are there
    await Batch(manager, progress).run([Path(str(number)) for number in range(8)], 2)
    assert manager.most == 2


async def test_what_is_no_problem_of_ours_is_not_hidden(
    manager: FakeManager, progress: Progress
) -> None:
    manager.failures["a"] = ZeroDivisionError("a bug")
    with pytest.raises(ZeroDivisionError):
        await Batch(manager, progress).run([Path("a")], 1)


async def test_ctrl_c_cancels_what_runs_and_starts_nothing_more(
    manager: FakeManager, progress: Progress
) -> None:
    manager.hangs = {"a", "b"}
    batch = Batch(manager, progress)
    with _ctrl_c(batch):
        running = asyncio.create_task(batch.run([Path("a"), Path("b")], 1))
        await manager.hanging.wait()
        signal.raise_signal(signal.SIGINT)
        await running
    assert batch.interrupted
    assert batch.lines == ["✗ a: cancelled: its parts are removed, its record is aborted"]


async def test_the_second_ctrl_c_leaves_at_once(
    manager: FakeManager, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[int] = []
    monkeypatch.setattr(os, "_exit", left.append)
    batch = Batch(manager, progress)
    batch.interrupt()
    assert left == []
    batch.interrupt()
    assert left == [130]


class FakeUploader:
    """boto3's manager as far as it is used here: it hangs in a thread until it is cancelled."""

    def __init__(self, *, hangs: bool = False) -> None:
        self.cancelled = threading.Event()
        self.started = threading.Event()
        self.hangs = hangs

    def send(self, _: Path, progress: Any) -> Upload:
        self.started.set()
        progress(1)
        if self.hangs:
            self.cancelled.wait(10)
            raise TransferCancelledError
        return Upload.read({**RECORD, "status": "pending"})

    def cancel(self) -> None:
        self.cancelled.set()


class FakeApi:
    def upload(self, _: str) -> Upload:
        return Upload.read(RECORD)


@pytest.mark.parametrize(("wait", "status"), [(True, "completed"), (False, "pending")])
async def test_boto3s_manager_ends_in_the_same_way(wait: bool, status: str) -> None:
    told: list[int] = []
    boto = Boto3Manager(FakeApi(), FakeUploader(), wait=wait)  # type: ignore[arg-type]
    sent = await boto.send(Path("a"), told.append, lambda _: None)
    assert (sent.record.status, sent.transports, told) == (status, ("credentials",), [1])


async def test_boto3s_manager_is_stopped_and_waited_for() -> None:
    uploader = FakeUploader(hangs=True)
    boto = Boto3Manager(FakeApi(), uploader, wait=True)  # type: ignore[arg-type]
    sending = asyncio.create_task(boto.send(Path("a"), lambda _: None, lambda _: None))
    await asyncio.to_thread(uploader.started.wait, 10)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert uploader.cancelled.is_set()


async def test_the_engine_asks_for_no_keys_before_they_are_needed() -> None:
    async with manager_for(None, Wishes()) as manager:  # type: ignore[arg-type]
        assert type(manager).__name__ == "EngineManager"


@pytest.mark.parametrize(
    "more",
    [
        ("--transport", "presigned"),
        ("--resume",),
        ("--checksum", "crc32"),
        ("--limit-rate", "1M"),
        ("--profile", "video"),
    ],
)
def test_what_boto3s_manager_cannot_do_is_refused(more: tuple[str, ...], tmp_path: Path) -> None:
    result = CliRunner().invoke(main.app, ["upload", "--manager", "boto3", *more, str(tmp_path)])
    assert result.exit_code == 2
    assert "boto3" in result.output


def test_a_rate_that_is_none_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(main.app, ["upload", "--limit-rate", "fast", str(tmp_path)])
    assert result.exit_code == 2
    assert "no rate" in result.output


def test_the_options_reach_the_managers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[Any] = []

    def run(*told: Any) -> int:
        seen.extend(told)
        return 0

    monkeypatch.setattr("cli.upload.run", run)
    options = "--transport presigned --resume --checksum crc32 --limit-rate 2M --profile video "
    options += "--parallel-files 2 --parallel-parts 4 --no-wait --via exchange"
    result = CliRunner().invoke(main.app, ["upload", *options.split(), "a", "b"])
    assert result.exit_code == 0, result.output
    files, session, wishes = seen
    assert (files, session) == ([Path("a"), Path("b")], None)
    assert wishes == Wishes(
        transport="presigned",
        via="exchange",
        wait=False,
        resume=True,
        checksum="crc32",
        profile="video",
        limit_rate=2 * 1024 * 1024,
        parallel_files=2,
        parallel_parts=4,
    )
