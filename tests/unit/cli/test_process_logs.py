import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from cli import process_logs, serve
from settings import Settings, SqsSettings

QUEUE = "https://sqs.eu-central-1.amazonaws.com/123456789012/uploads"


@pytest.fixture
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def _settings(**more: Any) -> Settings:
    return Settings(environment="development", **more)


@pytest.mark.usefixtures("as_before")
def test_alembic_tells_of_upgrades_alone(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        process_logs.configure(_settings())
    log = logging.getLogger("alembic.runtime.migration")
    log.info("Context impl %s.", "SQLiteImpl")
    log.info("Will assume %s DDL.", "non-transactional")
    log.info("Running %s", "upgrade  -> 1, the first")
    log.warning("something else")
    told = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert told == ["Running upgrade  -> 1, the first", "something else"]


@pytest.mark.parametrize(("queue", "events"), [(None, []), (QUEUE, ["queue.not_taken_from"])])
def test_a_service_says_that_it_leaves_the_queue_to_the_worker(
    queue: str | None, events: list[str]
) -> None:
    with structlog.testing.capture_logs() as lines:
        process_logs.tell_queue(_settings(sqs=SqsSettings(queue_url=queue)), taken=False)
    assert [line["event"] for line in lines] == events
    assert all("uploadgate worker" in line["hint"] for line in lines)


def test_serve_says_so_before_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_logs, "configure", lambda _: None)
    with structlog.testing.capture_logs() as lines:
        serve._server(_settings(sqs=SqsSettings(queue_url=QUEUE)))
    assert [line["event"] for line in lines] == ["queue.not_taken_from"]
