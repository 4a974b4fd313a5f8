"""Commands that manage what a service has: never beside it, in a database of their own making."""

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli import main

URL = "https://127.0.0.1:9/hook"


def uploadgate(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(main.app, arguments, input=given)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "service.db"
    monkeypatch.setenv("UPLOADGATE_ENVIRONMENT", "development")
    monkeypatch.setenv("UPLOADGATE_DATABASE__URL", f"sqlite+aiosqlite:///{path}")
    return path


@pytest.mark.parametrize(
    "command", [["webhook", "list"], ["webhook", "add", URL], ["user", "list"]], ids=" ".join
)
def test_a_database_that_is_not_there_is_not_made(path: Path, command: list[str]) -> None:
    answer = uploadgate(*command)
    assert (answer.exit_code, answer.stdout) == (2, "")
    for text in (str(path), "UPLOADGATE_DATABASE__URL", "uploadgate db upgrade"):
        assert text in answer.stderr
    assert not path.exists()
    assert uploadgate("db", "upgrade").exit_code == 0
    assert uploadgate("webhook", "list").exit_code == 0


def test_the_first_user_may_be_there_before_the_service(path: Path) -> None:
    command = ["user", "add", "ada", "--password-stdin"]
    answer = uploadgate(*command, given="correct horse\n")
    assert answer.exit_code == 0
    assert f"{path} is made" in answer.stderr
    assert "ada" in uploadgate("user", "list").stdout


@pytest.mark.parametrize("made", [True, False])
def test_a_schema_that_must_not_be_made_is_asked_for(
    path: Path, made: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPLOADGATE_DATABASE__MIGRATE_ON_START", "false")
    if made:
        path.touch()
    for command in (["webhook", "list"], ["user", "add", "ada", "--password-stdin"]):
        answer = uploadgate(*command, given="correct horse\n")
        assert answer.exit_code == (1 if made else 2)
        assert "uploadgate db upgrade" in answer.stderr
    uploadgate("db", "upgrade")
    assert uploadgate("webhook", "list").exit_code == 0


@pytest.mark.parametrize("command", [["webhook", "list"], ["user", "list"], ["db", "upgrade"]])
def test_settings_are_refused_without_a_word_of_starting(
    path: Path, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UPLOADGATE_ENVIRONMENT")
    answer = uploadgate(*command)
    assert answer.exit_code == 2
    assert "start" not in answer.stderr
    assert "needs the settings that the service has" in answer.stderr
    assert "auth.signing_key is the development default" in answer.stderr
    assert not path.exists()
