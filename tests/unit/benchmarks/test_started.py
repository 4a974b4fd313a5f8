"""What a stage starts keeps its words to itself, until it does not start."""

import sys
from pathlib import Path

import pytest

from benchmarks.stage import free_port, served, started

_WORDS = "import sys; print('of its own'); sys.exit('no such setting')"


async def test_what_does_not_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    url, command = f"http://127.0.0.1:{free_port()}", (sys.executable, "-c", _WORDS)
    with pytest.raises(RuntimeError, match="no such setting"):
        async with served(command, {}, url, log=tmp_path / "log"):
            raise AssertionError("it has started")


async def test_a_log_is_written_and_not_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with started((sys.executable, "-c", _WORDS), {}, log=tmp_path / "log") as process:
        await process.wait()
    assert "of its own" in (tmp_path / "log").read_text()
    assert capfd.readouterr() == ("", "")
