"""One process serves with a SQLite file; the lock dies with its holder, however it dies."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from cli import serve, sole_process
from cli.configuration import REFUSED
from cli.sole_process import claim

_ROOT = Path(__file__).parents[3]
_HOLDER = """
import sys
from contextlib import ExitStack
from cli.sole_process import claim
with ExitStack() as life:
    print(claim(sys.argv[1], life), flush=True)
    sys.stdin.read()
"""


class Served:
    """Stands for the server: counts its runs."""

    def __init__(self) -> None:
        self.runs = 0

    def run(self) -> None:
        self.runs += 1


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite+aiosqlite:///{tmp_path / 'records.db'}"
    monkeypatch.setenv("UPLOADGATE_ENVIRONMENT", "development")
    monkeypatch.setenv("UPLOADGATE_DATABASE__URL", url)
    return url


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Served:
    served = Served()
    monkeypatch.setattr(serve, "_server", lambda _settings: served)
    return served


@contextmanager
def _another_process(url: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", _HOLDER, url]
    with subprocess.Popen(  # noqa: S603 - its own interpreter
        command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "None\n"
        yield holder
        holder.kill()


def test_a_second_process_is_refused_until_the_first_has_died(
    url: str,
    served: Served,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    with _another_process(url):
        with monkeypatch.context() as patch:
            patch.setattr(sole_process, "_PATIENCE_SECONDS", 0)
            assert serve.run(1) == REFUSED
        told = capsys.readouterr().err
        assert f"Another process serves with {tmp_path / 'records.db'} already" in told
        assert "Postgres" in told
        assert served.runs == 0
    assert serve.run(1) == 0
    assert served.runs == 1


def test_the_lock_is_held_while_serving_and_not_longer(
    url: str, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sole_process, "_PATIENCE_SECONDS", 0)
    refusals: list[str | None] = []

    def run() -> None:
        with ExitStack() as life:
            refusals.append(claim(url, life))

    monkeypatch.setattr(served, "run", run)
    assert serve.run(1) == 0
    run()
    assert refusals[0] is not None
    assert refusals[1] is None


def test_a_link_to_the_file_is_the_file(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sole_process, "_PATIENCE_SECONDS", 0)
    (tmp_path / "link.db").symlink_to(tmp_path / "records.db")
    with ExitStack() as life:
        assert claim(url, life) is None
        assert claim(url.replace("records.db", "link.db"), life) is not None


def test_a_folder_that_is_missing_is_named_and_not_made(
    served: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("UPLOADGATE_ENVIRONMENT", "development")
    monkeypatch.setenv("UPLOADGATE_DATABASE__URL", f"sqlite+aiosqlite:///{tmp_path}/no/x.db")
    assert serve.run(1) == REFUSED
    assert f"no folder {tmp_path / 'no'}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_cannot_be_opened_is_named(url: str, tmp_path: Path) -> None:
    (tmp_path / "records.db.lock").mkdir()
    with ExitStack() as life:
        assert "records.db.lock cannot be opened: Is a directory" in str(claim(url, life))


@pytest.mark.parametrize("url", ["sqlite+aiosqlite:///:memory:", "postgresql+asyncpg://h/d"])
def test_other_databases_need_no_lock(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with ExitStack() as life:
        assert claim(url, life) is None
        assert claim(url, life) is None
    assert list(tmp_path.iterdir()) == []
