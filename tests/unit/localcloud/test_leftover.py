"""A store that a crash has left behind, as a child that nobody collects: a zombie once ended."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud.store.leftover import end_leftover

needs_proc = pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
INSTANCE = "instance-of-this-test"
SLEEPS = "import signal; print('up', flush=True); signal.pause()"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPS}"


@pytest.fixture(params=[SLEEPS, DEAF])
def leftover(request: pytest.FixtureRequest) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-c", request.param, INSTANCE]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:  # noqa: S603 - its own
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        try:
            yield process
        finally:
            process.kill()


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@needs_proc
async def test_one_that_has_ended_counts_as_ended_before_anybody_has_collected_it(
    leftover: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    pid_file = tmp_path / "weed.pid"
    pid_file.write_text(str(leftover.pid))
    await end_leftover(pid_file, INSTANCE)
    assert state_of(leftover.pid) == "Z"
    assert leftover.wait() in (-signal.SIGTERM, -signal.SIGKILL)


async def test_a_stranger_that_has_got_its_number_is_left_alone(
    leftover: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    pid_file = tmp_path / "weed.pid"
    pid_file.write_text(str(leftover.pid))
    await end_leftover(pid_file, "another-instance")
    assert leftover.poll() is None
