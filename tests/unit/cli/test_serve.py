"""The drain: what signals do to a server, without a server."""

import asyncio
import signal
from typing import Any

import pytest
import typer
import uvicorn
from pydantic import ValidationError
from typer.testing import CliRunner

from cli import serve
from cli.configuration import REFUSED
from cli.http_protocol import BoundedHttpProtocol
from cli.main import app
from cli.serve import DrainingServer
from settings import HttpSettings, Settings


class Scheduled:
    """A loop that keeps what was put off instead of waiting."""

    def __init__(self) -> None:
        self.later: list[tuple[float, Any]] = []

    def call_soon_threadsafe(self, call: Any, *arguments: Any) -> None:
        call(*arguments)

    def call_later(self, seconds: float, call: Any) -> None:
        self.later.append((seconds, call))


@pytest.fixture
def drained() -> list[str]:
    return []


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Scheduled:
    scheduled = Scheduled()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: scheduled)
    return scheduled


@pytest.fixture
def server(drained: list[str]) -> DrainingServer:
    config = uvicorn.Config("main:create_app", log_config=None)
    server = DrainingServer(config, lambda: drained.append("drained"), drain_seconds=10)
    server.started = True
    return server


def _ends(server: DrainingServer) -> tuple[bool, bool]:
    return server.should_exit, server.force_exit


def test_the_first_sigterm_drains_and_ends_only_after_the_delay(
    server: DrainingServer, drained: list[str], loop: Scheduled
) -> None:
    server.handle_exit(signal.SIGTERM, None)
    assert drained == ["drained"]
    [(seconds, end)] = loop.later
    assert (seconds, _ends(server)) == (10, (False, False))
    end()
    assert _ends(server) == (True, False)


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_drain(
    server: DrainingServer, drained: list[str], loop: Scheduled, second: signal.Signals
) -> None:
    server.handle_exit(signal.SIGTERM, None)
    server.handle_exit(second, None)
    assert server.should_exit
    assert not server.force_exit
    assert drained == ["drained"]


def test_a_third_one_waits_for_nobody(server: DrainingServer, loop: Scheduled) -> None:
    for _ in range(3):
        server.handle_exit(signal.SIGTERM, None)
    assert server.force_exit


def test_ctrl_c_does_not_drain(server: DrainingServer, drained: list[str]) -> None:
    server.handle_exit(signal.SIGINT, None)
    assert server.should_exit
    assert drained == []


def test_a_sigterm_before_the_start_has_nothing_to_drain(
    server: DrainingServer, drained: list[str]
) -> None:
    server.started = False
    server.handle_exit(signal.SIGTERM, None)
    assert server.should_exit
    assert drained == []


def test_being_told_to_stop_is_no_failure(server: DrainingServer) -> None:
    server.handle_exit(signal.SIGINT, None)
    assert server._captured_signals == []


def test_what_uvicorn_is_told() -> None:
    http = HttpSettings.model_validate({"port": 0, "keep_alive_seconds": 61})
    config = serve._config(http, lambda: None)
    assert (config.loop, config.http, config.lifespan) == ("uvloop", BoundedHttpProtocol, "on")
    assert (config.access_log, config.server_header, config.proxy_headers) == (False,) * 3
    assert (config.timeout_keep_alive, config.workers) == (61, 1)


SQLITE, POSTGRES = "sqlite+aiosqlite:///x.db", "postgresql+asyncpg://ada:secret@h/d"
PRODUCTION = {
    "UPLOADGATE_ENVIRONMENT": "production",
    "UPLOADGATE_PUBLIC_URL": "https://uploads.example",
    "UPLOADGATE_AUTH__SIGNING_KEY": "a-signing-key-of-thirty-two-chars",
}


@pytest.mark.parametrize("url", [SQLITE, POSTGRES])
@pytest.mark.parametrize("number", [-1, 0, 2])
def test_any_other_number_of_processes_than_one_is_refused(
    url: str, number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UPLOADGATE_ENVIRONMENT", "development")
    monkeypatch.setenv("UPLOADGATE_DATABASE__URL", url)
    assert serve.run(number) == REFUSED
    told = capsys.readouterr().err
    assert f"--workers (or WEB_CONCURRENCY) is {number}" in told
    assert "start more replicas" in told
    assert ("set UPLOADGATE_DATABASE__URL to a Postgres" in told) is (url == SQLITE)
    assert "secret" not in told


def test_so_is_one_that_the_environment_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some platforms set it by themselves."""
    asked: list[int] = []

    def run(workers: int) -> int:
        asked.append(workers)
        return REFUSED

    monkeypatch.setattr(serve, "run", run)
    ended = CliRunner().invoke(app, ["serve"], env={"WEB_CONCURRENCY": "4"})
    assert (ended.exit_code, asked) == (REFUSED, [4])


@pytest.mark.parametrize(
    ("url", "redis", "environment", "refused"),
    [
        (SQLITE, "redis://:hidden@h", "production", True),
        (SQLITE, "redis://:hidden@h", "development", False),
        (SQLITE, None, "production", False),
        (POSTGRES, "redis://:hidden@h", "production", False),
    ],
)
def test_redis_beside_sqlite_is_refused_in_production(  # noqa: PLR0917 - one case
    url: str,
    redis: str | None,
    environment: str,
    refused: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Somebody means to run replicas, and each would have records of its own."""
    values = {**PRODUCTION, "UPLOADGATE_ENVIRONMENT": environment, "UPLOADGATE_DATABASE__URL": url}
    if redis is not None:
        values["UPLOADGATE_REDIS__URL"] = redis
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    if not refused:
        assert serve._refusal(Settings(), 1) is None
        return
    with pytest.raises(ValidationError) as error:
        Settings()
    assert "redis.url" in str(error.value)
    assert "database.url" in str(error.value)
    assert "hidden" not in str(error.value)


def test_refused_settings_are_named_without_their_values(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UPLOADGATE_AUTH__SIGNING_KEY", "short-and-secret")
    monkeypatch.setenv("UPLOADGATE_PUBLIC_URL", "http://unsafe.example")
    with pytest.raises(typer.Exit) as ended:
        serve.run(1)
    assert ended.value.exit_code == REFUSED
    told = capsys.readouterr().err
    assert "auth.signing_key is shorter than 32 characters" in told
    assert "public_url is not https" in told
    assert "short-and-secret" not in told
    assert "Traceback" not in told


def test_a_setting_of_the_wrong_kind_is_named_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UPLOADGATE_HTTP__PORT", "eighty-eighty")
    with pytest.raises(typer.Exit) as ended:
        serve.run(1)
    assert ended.value.exit_code == REFUSED
    told = capsys.readouterr().err
    assert "UPLOADGATE_HTTP__PORT" in told
    assert "eighty-eighty" not in told
