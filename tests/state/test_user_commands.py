"""`uploadgate user …`, from the command line to the database."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.users import ensure_user, opened, users_app
from settings import DatabaseSettings, Settings

PASSWORD = "correct horse"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path / 'users.db'}"


@pytest.fixture
def settings(url: str) -> Settings:
    return Settings(
        environment="development", database=DatabaseSettings.model_validate({"url": url})
    )


@pytest.fixture
def run(url: str, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.setenv("UPLOADGATE_ENVIRONMENT", "development")
    monkeypatch.setenv("UPLOADGATE_DATABASE__URL", url)
    return CliRunner()


def test_add_list_disable(run: CliRunner) -> None:
    added = run.invoke(users_app, ["add", "Ada", "--admin", "--password-stdin"], input=PASSWORD)
    assert added.exit_code == 0, added.output
    assert "Added Ada (usr_" in added.output
    assert PASSWORD not in added.output
    run.invoke(users_app, ["add", "bob", "--password-stdin"], input=f"{PASSWORD}\n")
    assert run.invoke(users_app, ["disable", "BOB"]).exit_code == 0
    ada, bob = run.invoke(users_app, ["list"]).stdout.splitlines()
    assert ada.split()[1::2] == ["admin,uploads", "enabled"]
    assert bob.split()[1::2] == ["uploads", "disabled"]


def test_a_second_of_a_name_is_refused(run: CliRunner) -> None:
    command = ["add", "ada", "--password-stdin"]
    assert run.invoke(users_app, command, input=PASSWORD).exit_code == 0
    answer = run.invoke(users_app, command, input=PASSWORD)
    assert answer.exit_code == 1
    assert answer.stderr == "A user of that name exists\n"


def test_an_unknown_name(run: CliRunner) -> None:
    run.invoke(users_app, ["add", "ada", "--password-stdin"], input=PASSWORD)
    answer = run.invoke(users_app, ["disable", "nobody"])
    assert (answer.exit_code, answer.stderr) == (1, "There is no such user\n")


def test_without_a_terminal_the_password_comes_by_stdin_or_not_at_all(run: CliRunner) -> None:
    answer = run.invoke(users_app, ["add", "ada"], input=f"{PASSWORD}\n{PASSWORD}\n")
    assert answer.exit_code == 2
    assert "--password-stdin" in answer.output


def test_a_terminal_is_asked_twice_without_echo(
    run: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, bool] = {}

    def prompt(_: str, **options: bool) -> str:
        asked.update(options)
        return PASSWORD

    monkeypatch.setattr("cli.users._is_terminal", lambda: True)
    monkeypatch.setattr("typer.prompt", prompt)
    assert run.invoke(users_app, ["add", "ada"]).exit_code == 0
    assert asked == {"hide_input": True, "confirmation_prompt": True}


async def test_a_user_is_ensured_once(settings: Settings) -> None:
    first = await ensure_user(settings, "demo", PASSWORD, admin=True)
    assert await ensure_user(settings, "demo", "another password") == first
    async with opened(settings) as accounts:
        await accounts.login("demo", PASSWORD, "192.0.2.1")
