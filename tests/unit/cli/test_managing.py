"""Commands that manage what a service has: never beside it, in a database of their own making."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli import database, main
from errors import UnavailableError
from settings import Settings

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


def stamp(path: Path, revision: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [revision])
        connection.commit()


def test_a_schema_of_a_newer_version_is_gone_on_with(path: Path) -> None:
    assert "up to date" in uploadgate("db", "upgrade").stdout
    stamp(path, "0999")
    answer = uploadgate("db", "upgrade")
    assert answer.exit_code == 0
    assert "a newer version" in answer.stdout
    assert uploadgate("webhook", "list").exit_code == 0


def test_a_schema_that_this_version_cannot_work_with_is_named(path: Path) -> None:
    uploadgate("db", "upgrade")
    stamp(path, "1001")
    for command in (["db", "upgrade"], ["webhook", "list"]):
        answer = uploadgate(*command)
        assert (answer.exit_code, answer.stdout) == (1, "")
        assert "revision 1001" in answer.stderr


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


def test_the_first_user_makes_no_folder(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = path.parent / "nowhere" / path.name
    monkeypatch.setenv("UPLOADGATE_DATABASE__URL", f"sqlite+aiosqlite:///{nowhere}")
    answer = uploadgate("user", "add", "ada", "--password-stdin", given="correct horse\n")
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert f"There is no database {nowhere}" in answer.stderr


@pytest.mark.usefixtures("path")
def test_a_database_that_is_away_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_settings: Settings) -> None:
        raise UnavailableError("The database does not answer")

    monkeypatch.setattr(database, "_upgrade", away)
    answer = uploadgate("db", "upgrade")
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert answer.stderr == "The database does not answer\n"
