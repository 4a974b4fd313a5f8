import asyncio
import io
import os
import shlex
import signal
import socket
import stat
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from cli.demo import afterwards, summary
from cli.demo.act import Act
from cli.demo.application import Application, Heard
from cli.demo.evidence import ServiceLog
from cli.demo.keepsakes import Keepsakes
from cli.demo.service import environment, free_port, variables
from cli.demo.teller import StepFailedError, Teller
from cli.demo.traffic import Traffic
from client.wire import Upload
from localcloud import guardian

SENT = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def teller() -> Teller:
    return Teller(Console(file=io.StringIO(), width=40))


def _told(teller: Teller) -> str:
    file = teller.console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_a_busy_port_is_avoided() -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        assert free_port(port) != port


def test_secrets_are_kept_between_runs_for_their_owner_only(tmp_path: Path) -> None:
    keepsakes = Keepsakes(tmp_path)
    assert keepsakes.password() == Keepsakes(tmp_path).password()
    assert len(keepsakes.signing_key()) >= 32
    for name in ("demo-password", "signing-key"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_the_service_sees_only_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-users-own")
    cloud = {"UPLOADGATE_STORE__BUCKET": "uploads"}
    env = environment(Keepsakes(tmp_path), "http://127.0.0.1:8081", 8081, cloud)
    assert "the-users-own" not in env.values()
    assert env["UPLOADGATE_STORE__BUCKET"] == "uploads"
    assert env["UPLOADGATE_HTTP__PORT"] == "8081"


def test_a_failed_step_is_told_once_with_its_problem(teller: Teller) -> None:
    with pytest.raises(StepFailedError), teller.step("bring it up"):
        raise OSError("no [space] left")
    assert _told(teller) == "✗ bring it up: no [space] left\n"


def test_a_long_line_stays_one_to_be_pasted(teller: Teller) -> None:
    with teller.step("x") as step:
        step.found = "y" * 100
    assert _told(teller) == f"✓ x: {'y' * 100}\n"


class Io:
    """A process's counter, in a file as the kernel shows it."""

    def __init__(self, path: Path) -> None:
        self.path, self.read = path, 1000
        self.grow(0)

    def grow(self, count: int) -> None:
        self.read += count
        self.path.write_text(f"rchar: {self.read}\nwchar: 5\n")


@pytest.mark.parametrize("shows", [True, False])
def test_the_counter_is_believed_only_if_it_shows_a_known_request(
    tmp_path: Path, shows: bool
) -> None:
    io_file = Io(tmp_path / "io")
    traffic = Traffic(os.getpid())
    traffic._path = io_file.path
    traffic.begin(lambda size: io_file.grow(size + 300 if shows else 0))
    io_file.grow(1024 * 512)
    assert traffic.read() == (1024 * 512 if shows else None)


def test_without_such_a_counter_nothing_is_claimed(tmp_path: Path) -> None:
    traffic = Traffic(os.getpid())
    traffic._path = tmp_path / "missing"
    traffic.begin(lambda _: None)
    assert traffic.read() is None


def test_webhooks_before_the_completion_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "service.log"
    delivery = '{"route":"/v1/webhooks/seaweedfs","status":200}\n'
    path.write_text(delivery)
    log = ServiceLog(path)
    with path.open("a") as file:
        file.write(f'{delivery}request route=/v1/webhooks/seaweedfs status=200\n{{"status":401}}\n')
        file.write('{"event":"upload.completed","upload_id":"upl_0"}\n' + delivery)
        file.write('{"event":"upload.completed","upload_id":"upl_1"}\n' + delivery)
    assert log.deliveries_before_completion("upl_1") == 3


def _act(deliveries: int, seconds: float, *, stored: int = 8, called: bool = False) -> Act:
    completed = SENT + timedelta(seconds=seconds)
    record = Upload.read(
        {
            "id": "upl_1",
            "status": "completed",
            "bucket": "uploads",
            "key": "me/upl_1/a",
            "created_at": SENT.isoformat(),
            "completed_at": completed.isoformat(),
        }
    )
    return Act(
        title="64 MiB by relay",
        size=64 * 1024 * 1024,
        parts=8,
        seconds=2.0,
        sent_at=SENT,
        record=record,
        called=called,
        deliveries=deliveries,
        read=3 * 1024 * 1024,
        by=Counter({"credentials": 5, "presigned": 3}),
        answers=Counter({("REST.PUT.OBJECT", 200): stored, ("REST.PUT.OBJECT", 403): 2}),
    )


def test_the_summary_is_readable(teller: Teller) -> None:
    act = _act(3, 0.25)
    application = Application()
    application.heard["evt_1"] = Heard("evt_1", SENT, {"type": "upload.completed", "data": {}})
    summary.tell("demo", [act], application, teller)
    told = _told(teller)
    assert "64 MiB by relay        completed; 8 parts, 8 stored, 2 refused; 2.00 s" in told
    assert "through the service: 3.00 MiB" in told
    assert '"id": "upl_1"' in told
    assert "1 upload.completed; 0 repeated, 0 with a wrong signature" in told
    assert "webhook-id: evt_1" in told


def test_an_act_says_what_the_store_counted() -> None:
    told = "\n".join(_act(3, 0.25).told())
    assert "64 MiB in 8 parts, 2.00 s, 32 MiB/s" in told
    assert "8 PUTs stored, none of them twice; 2 refused; 5 by credentials, 3 by presigned" in told
    assert "0.25 s after the last byte, by the store's own webhook" in told


@pytest.mark.parametrize(
    ("deliveries", "told"),
    [(1, "the store sent 1 notification)"), (3, "the store sent 3 notifications, one settled it)")],
)
def test_it_says_how_often_the_store_told(deliveries: int, told: str) -> None:
    assert told in "\n".join(_act(deliveries, 0.25).told())


def test_what_the_application_heard_names_who_verified_it() -> None:
    heard = Heard("evt_1", SENT, {"type": "upload.completed", "data": {}})
    assert str(heard) == "upload.completed, verified by standardwebhooks, webhook-id evt_1"


def test_the_lines_to_paste_name_what_they_need(tmp_path: Path, teller: Teller) -> None:
    keepsakes = Keepsakes(tmp_path)
    stage: Any = SimpleNamespace(
        url="http://127.0.0.1:8081",
        keepsakes=keepsakes,
        cloud=SimpleNamespace(s3_endpoint="s3", cognito_endpoint="c", region="r", bucket="uploads"),
    )
    application = Application()
    application.url, application.endpoint_id = "http://127.0.0.1:1234/webhooks", "whe_1"
    afterwards.tell(
        stage,
        teller,
        password="p'w",
        file=tmp_path / "a file",
        last=_act(1, 0).record,
        application=application,
    )
    told = _told(teller)
    function = next(line for line in told.splitlines() if "gate()" in line)
    for name, value in variables(keepsakes).items():
        assert f"{name}={shlex.quote(value)}" in function
    assert keepsakes.signing_key() not in told
    for line in (
        "gate webhook deliveries whe_1",
        "gate webhook add http://127.0.0.1:",
        "curl -N http://127.0.0.1:8081/v1/events",
        "/v1/uploads/upl_1/timeline",
        "http://127.0.0.1:1234/webhooks",
        "422",
    ):
        assert line in told


def test_parts_that_were_sent_again_are_not_hidden() -> None:
    assert "2 more than there are parts" in "\n".join(_act(3, 0.25, stored=10).told())


@pytest.mark.parametrize(("deliveries", "seconds"), [(0, 12.0), (3, 40.0)])
def test_the_sweep_is_not_sold_as_a_webhook(deliveries: int, seconds: float) -> None:
    assert "by the sweep" in "\n".join(_act(deliveries, seconds).told())


def test_a_call_of_complete_is_not_sold_as_a_webhook() -> None:
    assert "on the call of complete" in "\n".join(_act(3, 0.1, called=True).told())


async def _guarded(pid_file: Path, code: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-IS", guardian.__file__, "10", str(pid_file), ""),
        *(sys.executable, "-c", code),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )


WAITING = "import signal; print('up', flush=True); signal.pause()"


async def test_the_service_does_not_outlive_the_demo(tmp_path: Path) -> None:
    process = await _guarded(tmp_path / "pid", WAITING)
    assert process.stdout is not None
    assert process.stdin is not None
    await process.stdout.readline()
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 120) == 128 + signal.SIGTERM
    assert not (tmp_path / "pid").exists()


async def test_a_sigterm_is_passed_on_and_the_exit_code_back(tmp_path: Path) -> None:
    code = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7));" + WAITING
    process = await _guarded(tmp_path / "pid", code)
    assert process.stdout is not None
    await process.stdout.readline()
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 120) == 7


async def test_a_service_that_ends_by_itself_ends_the_guardian(tmp_path: Path) -> None:
    process = await _guarded(tmp_path / "pid", "raise SystemExit(3)")
    assert await asyncio.wait_for(process.wait(), 120) == 3
