"""`uploadgate webhook …`, from the command line to the database."""

import base64
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from cli import main
from cli.webhooks import _moment, opened, webhooks_app
from service.delivery.endpoints import BY_ADMINISTRATOR
from tests.fakes.house import opened_house, settings

# Of the network that the settings below allow: nothing is resolved, and nothing is sent.
URL = "https://127.0.0.1:9/hook"
OWN = "whsec_" + base64.b64encode(b"a secret of the operator").decode()

Run = Callable[..., Result]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "test.db"


@pytest.fixture
def run(path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("UPLOADGATE_ENVIRONMENT", "development")
    monkeypatch.setenv("UPLOADGATE_DATABASE__URL", f"sqlite+aiosqlite:///{path}")
    monkeypatch.setenv("UPLOADGATE_DELIVERY__ALLOWED_NETWORKS", '["127.0.0.0/8"]')
    monkeypatch.setenv("UPLOADGATE_DELIVERY__MAX_ENDPOINTS", "2")
    assert CliRunner().invoke(main.app, ["db", "upgrade"]).exit_code == 0

    def invoke(*arguments: str, given: str | None = None) -> Result:
        return CliRunner().invoke(webhooks_app, arguments, input=given)

    return invoke


def added(run: Run, *more: str, given: str | None = None) -> dict[str, Any]:
    answer = run("add", URL, "--json", *more, given=given)
    assert answer.exit_code == 0, answer.output
    made: dict[str, Any] = json.loads(answer.stdout)
    return made


def shown(run: Run, endpoint_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("show", endpoint_id, "--json").stdout)
    return found


def happen(path: Path, *, ago: list[timedelta]) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        for number, age in enumerate(ago, 1):
            at = (datetime.now(UTC) - age).strftime("%Y-%m-%d %H:%M:%S.%f")
            database.execute(
                "INSERT INTO events (id, type, user_id, sequence, at, payload, spread_at)"
                " VALUES (?, 'upload.completed', 'usr_hook', ?, ?, '{}', ?)",
                (f"evt_{number}", number, at, at),
            )


def write(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(statement)


def test_a_secret_is_shown_when_it_is_made_and_never_again(run: Run) -> None:
    made = added(run, "--description", "the app")
    answer = run("rotate", made["id"])
    assert answer.exit_code == 0
    (new,) = [word for word in answer.stdout.split() if word.startswith("whsec_")]
    assert made["secret"].startswith("whsec_")
    assert new != made["secret"]
    assert "The one till now signs beside it until 2" in answer.stdout
    for command in (["list"], ["show", made["id"]], ["deliveries", made["id"]]):
        for form in ([], ["--json"]):
            answer = run(*command, *form)
            assert answer.exit_code == 0, answer.output
            assert "whsec_" not in answer.output


def test_a_secret_of_ones_own_comes_by_stdin(run: Run) -> None:
    assert added(run, "--secret-stdin", given=f"{OWN}\n")["secret"] == OWN
    answer = run("add", URL, "--secret-stdin", given=f"{OWN[:-8]}\n")
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert OWN[:-8] not in answer.stderr


def test_add_says_the_secret_to_people_too(run: Run) -> None:
    answer = run("add", URL)
    assert answer.exit_code == 0
    first, second = answer.stdout.splitlines()
    assert first.startswith("whe_")
    assert first.endswith(URL)
    assert second.startswith("Secret, shown this once: whsec_")


def test_what_was_asked_for_is_shown(run: Run) -> None:
    events = ["--event", "upload.completed", "--event", "upload.quarantined"]
    made = added(run, "--description", "[bold]é", *events)
    del made["secret"]
    assert shown(run, made["id"]) == made
    assert made["event_types"] == ["upload.completed", "upload.quarantined"]
    assert json.loads(run("list", "--json").stdout) == [made]
    listed, whole = run("list").stdout, run("show", made["id"]).stdout
    for text in (made["id"], URL, "upload.completed, upload.quarantined", "enabled"):
        assert text in listed
        assert text in whole
    assert "[bold]é" in whole
    added(run)
    assert "all but upload.quarantined" in run("list").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["add", URL, "--event", "upload.uploading"],
        ["replay", "whe_0"],
        ["replay", "whe_0", "--since", "yesterday"],
        ["replay", "whe_0", "--since", "2h", "--until", "x"],
        ["replay", "whe_0", "--since", "2h", "--event", "upload.uploading"],
        ["replay", "whe_0", "--since", "2h", "--event-id", "evt_1"],
        ["replay", "whe_0", "--event-id", "evt_1", "--failed-only"],
        ["replay", "whe_0", "--event-id", "evt_1", "--until", "1h"],
        ["replay", "whe_0", "--event-id", "evt_1", "--event", "upload.completed"],
        ["replay", "whe_0", "--event-id", "\udcff"],
        ["deliveries", "whe_0", "--limit", "0"],
        ["deliveries", "whe_0", "--status", "sent"],
        ["deliveries", "whe_0", "--failed", "--status", "waiting"],
    ],
)
def test_what_is_not_understood(run: Run, arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "https://10.0.0.1/", "https://a b/"])
def test_the_address_is_looked_at_as_the_api_does(run: Run, url: str) -> None:
    answer = run("add", url)
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert answer.stderr.strip()
    assert json.loads(run("list", "--json").stdout) == []


def test_there_are_no_more_than_may_be(run: Run) -> None:
    added(run)
    added(run)
    answer = run("add", URL)
    assert answer.exit_code == 1
    assert answer.stderr == "There are as many webhook endpoints as there may be\n"


@pytest.mark.parametrize(
    "arguments",
    [
        *(["show"], ["enable"], ["disable"], ["rotate"], ["remove"], ["deliveries"]),
        *(["replay"], ["test"]),
    ],
)
def test_an_endpoint_that_there_is_not(run: Run, arguments: list[str]) -> None:
    more = ["--since", "2h"] if arguments == ["replay"] else []
    answer = run(*arguments, "whe_0", *more)
    assert (answer.exit_code, answer.stdout) == (1, "")
    assert answer.stderr == "There is no such webhook endpoint\n"


def test_disable_enable_remove(run: Run) -> None:
    made = added(run)
    assert run("disable", made["id"]).exit_code == 0
    off = shown(run, made["id"])
    assert (off["enabled"], off["disabled_reason"]) == (False, BY_ADMINISTRATOR)
    assert f"disabled: {BY_ADMINISTRATOR}" in run("list").stdout
    assert run("enable", made["id"]).exit_code == 0
    on = shown(run, made["id"])
    assert (on["enabled"], on["disabled_reason"]) == (True, None)
    assert run("remove", made["id"]).stdout == f"Removed {made['id']}\n"
    assert json.loads(run("list", "--json").stdout) == []


def test_a_replay_of_the_time_that_was_asked_for(run: Run, path: Path) -> None:
    made = added(run)
    happen(path, ago=[timedelta(days=2), timedelta(hours=3), timedelta(minutes=5)])
    assert run("replay", made["id"], "--since", "1m").stdout == "0 events go out again\n"
    assert run("replay", made["id"], "--since", "1h").stdout == "1 event goes out again\n"
    hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    answer = run("replay", made["id"], "--since", "7d", "--until", hour_ago, "--json")
    assert json.loads(answer.stdout) == {"replayed": 2}
    write(path, "UPDATE deliveries SET done_at = due_at, delivered = event_id = 'evt_2'")
    answer = run("replay", made["id"], "--since", "7d", "--failed-only", "--json")
    assert json.loads(answer.stdout) == {"replayed": 2}


def test_a_replay_of_some_types_and_of_one_event(run: Run, path: Path) -> None:
    made = added(run)
    happen(path, ago=[timedelta(hours=2), timedelta(hours=1)])
    write(path, "UPDATE events SET type = 'upload.rejected' WHERE id = 'evt_2'")

    def replayed(*arguments: str) -> int:
        answer = run("replay", made["id"], *arguments, "--json")
        return int(json.loads(answer.stdout)["replayed"])

    both = ["--event", "upload.rejected", "--event", "upload.completed"]
    assert replayed("--since", "1d", *both[:2]) == 1
    assert replayed("--since", "1d", *both) == 2
    assert replayed("--event-id", "evt_1") == 1
    assert replayed("--event-id", "evt_0") == 0


def test_deliveries_are_listed(run: Run, path: Path) -> None:
    made = added(run)
    happen(path, ago=[timedelta(hours=number) for number in range(4, 0, -1)])
    run("replay", made["id"], "--since", "1d")
    write(
        path,
        "UPDATE deliveries SET done_at = due_at, attempts = 9, last_status = 500,"
        " last_error = 'http_500' WHERE event_id = 'evt_3'",
    )
    every = json.loads(run("deliveries", made["id"], "--json").stdout)
    assert [found["event_id"] for found in every] == ["evt_4", "evt_3", "evt_2", "evt_1"]
    (failed,) = json.loads(run("deliveries", made["id"], "--failed", "--json").stdout)
    assert (failed["event_id"], failed["status"], failed["attempts"]) == ("evt_3", "failed", 9)
    (same,) = json.loads(run("deliveries", made["id"], "--status", "failed", "--json").stdout)
    assert same == failed
    waiting = json.loads(run("deliveries", made["id"], "--status", "waiting", "--json").stdout)
    assert [found["event_id"] for found in waiting] == ["evt_4", "evt_2", "evt_1"]
    table = run("deliveries", made["id"], "--limit", "2").stdout
    assert len(table.splitlines()) == 3
    assert "500 http_500" in table


def test_what_waits_for_a_disabled_endpoint_is_held(run: Run, path: Path) -> None:
    made = added(run)
    happen(path, ago=[timedelta(hours=2), timedelta(hours=1)])
    run("replay", made["id"], "--since", "1d")
    write(path, "UPDATE deliveries SET done_at = due_at, delivered = 1 WHERE event_id = 'evt_1'")
    assert "held" not in run("deliveries", made["id"]).stdout
    run("disable", made["id"])
    waits, done = run("deliveries", made["id"]).stdout.splitlines()[1:]
    assert "held: the endpoint is disabled" in waits
    assert "held" not in done


def test_more_than_a_page_of_deliveries(
    run: Run, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.webhooks._PAGE", 2)
    made = added(run)
    happen(path, ago=[timedelta(hours=1)] * 5)
    run("replay", made["id"], "--since", "1d")
    for limit in (3, 5, 50):
        answer = run("deliveries", made["id"], "--limit", str(limit), "--json")
        assert len(json.loads(answer.stdout)) == min(limit, 5)


def test_moments() -> None:
    now = datetime.now(UTC)
    for text, age in (("90s", 90), ("30m", 1800), ("2h", 7200), ("7d", 604_800)):
        off = (now - _moment(text)).total_seconds() - age
        assert abs(off) < 60
    assert _moment("2030-01-31T12:00:00+02:00") == datetime(2030, 1, 31, 10, tzinfo=UTC)
    assert _moment("2030-01-31T12:00:00Z") == datetime(2030, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["", "2", "h", "-2h", "2 h", "٢h", "999999999d", "2030-01-31T12:00:00", "2030-01-31", "2w\n"],
)
def test_no_moment(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        _moment(text)


def test_it_is_among_the_commands() -> None:
    runner = CliRunner()
    assert "webhook" in runner.invoke(main.app, ["--help"]).stdout
    for command in ("webhook", "user"):
        told = runner.invoke(main.app, [command, "--help"]).stdout
        assert "service's own database" in told
        assert "UPLOADGATE_DATABASE__URL" in told
    assert "rotate" in runner.invoke(main.app, ["webhook", "--help"]).stdout


async def test_it_works_beside_a_service_on_sqlite(tmp_path: Path) -> None:
    allowed = {"allowed_networks": ["127.0.0.0/8"]}
    async with opened_house(tmp_path, delivery=allowed) as house:
        async with opened(settings(tmp_path, house.stub.url, delivery=allowed)) as endpoints:
            made = await endpoints.create(URL)
            assert [one.id for one in await house.services.endpoints.list()] == [made.id]
            await house.services.endpoints.change(made.id, {"enabled": False})
            assert not (await endpoints.get(made.id)).enabled
            await endpoints.delete(made.id)
        assert list(await house.services.endpoints.list()) == []
