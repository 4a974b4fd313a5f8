"""A source hears 4xx for what can never be right, and 5xx for all that may pass: SNS counts 4xx as
delivered and never sends again.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

import errors
from errors import UploadgateError
from routers.problems import MEDIA_TYPE, STATUS
from routers.webhooks import NEVER_RIGHT, router
from service.clock import utc_now
from service.completion.completion import Completion
from service.completion.sources.eventbridge_door import EventBridgeReceiver
from state import schema
from state.database import Database
from state.inbox import SqlInbox
from tests.fakes.eventually import eventually
from tests.fakes.house import WEBHOOK_TOKEN, House, opened_house
from tests.fakes.problems import assert_problem
from tests.unit.sns import sender
from tests.unit.sources.test_eventbridge import CREATED
from tests.unit.sources.test_seaweedfs import EVENTS

KEY = "the-key-of-the-connection"
FILER, SNS, BRIDGE = (f"/v1/webhooks/{name}" for name in ("seaweedfs", "sns", "eventbridge"))
PROOF = {
    FILER: {"Authorization": f"Bearer {WEBHOOK_TOKEN}"},
    BRIDGE: {"X-Api-Key": KEY},
    SNS: {"x-amz-sns-topic-arn": sender.TOPIC},
}
GOOD = {
    FILER: json.dumps(EVENTS["put"]).encode(),
    SNS: sender.body(sender.signed(sender.notification())),
    BRIDGE: json.dumps(CREATED).encode(),
}
EVERY_DOOR = pytest.mark.parametrize("path", GOOD)
EVERY_ERROR = pytest.mark.parametrize("kind", STATUS, ids=lambda kind: kind.code)


@dataclass
class Failing:
    """Stands for a source's receiver or for the completion, and always fails."""

    error: Exception

    def admit(self, headers: Any) -> None:
        pass

    async def receive(self, body: bytes, headers: Any) -> Any:
        raise self.error

    async def accept(self, events: Any) -> int:
        raise self.error


@dataclass
class Doors:
    """A house that listens to every source, and the other side of SNS."""

    house: House
    sns: sender.Door

    def put(self, **services: Any) -> None:
        self.house.state["services"] = replace(self.house.services, **services)

    async def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        async with self.house.client() as client:
            content = GOOD[path] if body is None else body
            return await client.post(path, content=content, headers={**PROOF[path], **headers})


@asynccontextmanager
async def opened_doors(house: House) -> AsyncIterator[Doors]:
    before, sns = house.services, sender.Door()
    doors = Doors(house, sns)
    bridge = EventBridgeReceiver(keys=[KEY], header="X-Api-Key")
    doors.put(sns=sns.receiver, eventbridge=bridge)
    yield doors
    house.state["services"] = before


@pytest.fixture
async def doors(house: House) -> AsyncIterator[Doors]:
    async with opened_doors(house) as opened:
        yield opened


@asynccontextmanager
async def kept_in(doors: Doors, url: str, *, limit: int) -> AsyncIterator[Database]:
    """What the house accepts goes into an inbox of its own in this database."""
    nobody: Any = None
    async with Database.opened(url) as database:
        completion = Completion(
            inbox=SqlInbox(database, limit=limit),
            processor=nobody,
            sweep=nobody,
            sweep_seconds=1,
            upkeep=nobody,
            orphans=nobody,
            orphan_seconds=3600,
            bucket="uploads",
            clock=utc_now,
        )
        doors.put(completion=completion)
        yield database
        await completion.aclose()


def told(answer: httpx.Response, kind: type[UploadgateError]) -> None:
    """This very thing, or for what may pass at least a 5xx."""
    if kind in NEVER_RIGHT:
        assert_problem(answer, kind)
        assert 400 <= answer.status_code < 500
    else:
        assert answer.status_code >= 500, answer.text
        assert_problem(answer, kind, errors.WebhookUnverifiableError)


@EVERY_DOOR
@EVERY_ERROR
async def test_every_error_that_may_pass_is_a_5xx(
    doors: Doors, path: str, kind: type[UploadgateError]
) -> None:
    name = path.rsplit("/", 1)[-1]
    doors.put(**{name: Failing(kind(retry_after=7))})
    answer = await doors.post(path)
    told(answer, kind)
    assert answer.headers.get("retry-after") in (None, "7")


@EVERY_DOOR
@EVERY_ERROR
async def test_so_is_every_error_of_the_acceptance(
    doors: Doors, path: str, kind: type[UploadgateError]
) -> None:
    doors.put(completion=Failing(kind()))
    told(await doors.post(path), kind)


def test_no_route_of_a_source_documents_another_4xx() -> None:
    routes = [route for route in router.routes if isinstance(route, APIRoute)]
    assert {route.path for route in routes} == set(GOOD), "a source without a test here"
    codes = {kind.code for kind in NEVER_RIGHT}
    for route in routes:
        for status, response in route.responses.items():
            examples = response["content"][MEDIA_TYPE]["examples"]
            assert int(status) >= 500 or set(examples) <= codes


@EVERY_DOOR
async def test_what_is_good_is_taken(doors: Doors, path: str) -> None:
    answer = await doors.post(path)
    assert (answer.status_code, answer.json()["accepted"]) in ((200, 0), (200, 1))


@EVERY_DOOR
async def test_a_database_that_is_away(doors: Doors, path: str) -> None:
    async with kept_in(doors, "sqlite+aiosqlite:////nowhere/at/all.db", limit=10):
        assert_problem(await doors.post(path), errors.UnavailableError)


@EVERY_DOOR
async def test_a_database_that_is_not_brought_up_to_date_yet(
    doors: Doors, path: str, tmp_path: Path
) -> None:
    async with kept_in(doors, f"sqlite+aiosqlite:///{tmp_path / 'new.db'}", limit=10):
        assert (await doors.post(path)).status_code >= 500


@EVERY_DOOR
async def test_an_inbox_that_is_full(doors: Doors, path: str, tmp_path: Path) -> None:
    async with kept_in(doors, f"sqlite+aiosqlite:///{tmp_path / 'new.db'}", limit=0) as database:
        await schema.upgrade(database)
        answer = await doors.post(path)
    assert_problem(answer, errors.OverloadedError)
    assert answer.headers["retry-after"] == "30"


@EVERY_DOOR
async def test_a_fault_of_the_services_own(doors: Doors, path: str) -> None:
    doors.put(completion=Failing(RuntimeError("a bug")))
    assert_problem(await doors.post(path), errors.InternalError)


async def test_a_certificate_that_cannot_be_fetched_now(doors: Doors) -> None:
    doors.sns.fetcher.failures = [errors.WebhookUnverifiableError("no answer")]
    assert_problem(await doors.post(SNS), errors.WebhookUnverifiableError)


async def test_a_confirmation_that_sns_does_not_take_now(doors: Doors) -> None:
    doors.sns.confirmations.failure = errors.WebhookUnverifiableError("no answer")
    body = sender.body(sender.signed(sender.confirmation()))
    assert_problem(await doors.post(SNS, body), errors.WebhookUnverifiableError)


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (FILER, {"Authorization": "Bearer wrong"}),
        (BRIDGE, {"X-Api-Key": "wrong"}),
        (SNS, {"x-amz-sns-rawdelivery": "true"}),
        (SNS, {"x-amz-sns-topic-arn": "another"}),
        (SNS, {"x-amz-sns-topic-arn": sender.CHINA_TOPIC}),
    ],
)
async def test_what_is_forged(doors: Doors, path: str, headers: dict[str, str]) -> None:
    assert_problem(await doors.post(path, **headers), errors.WebhookForgedError)


@EVERY_DOOR
async def test_who_shows_nothing_is_refused_before_a_byte_of_the_body_is_read(
    doors: Doors, path: str
) -> None:
    read: list[bytes] = []

    async def watched() -> AsyncIterator[bytes]:
        read.append(b"{")
        yield b"{"

    # Of SNS's headers a proxy may have dropped one.
    expected = errors.WebhookUnverifiableError if path == SNS else errors.WebhookForgedError
    async with doors.house.client() as client:
        assert_problem(await client.post(path, content=watched()), expected)
    assert read == []


async def test_an_event_of_a_rule_whose_target_is_the_topic(doors: Doors) -> None:
    message = sender.notification(Message=json.dumps(CREATED))
    answer = await doors.post(SNS, sender.body(sender.signed(message)))
    assert (answer.status_code, answer.json()) == (200, {"accepted": 1})
    # By whichever door it comes, the inbox knows it by one key.
    message |= {"MessageId": "another"}
    again = await doors.post(SNS, sender.body(sender.signed(message)))
    assert (again.status_code, again.json()) == (200, {"accepted": 0})


@pytest.mark.parametrize("hours", [3, -1])
async def test_a_stranger_cannot_fill_the_log_with_503s(
    doors: Doors, written: StringIO, hours: int
) -> None:
    """As for a message whose time may be right by another clock: see Refusals."""
    sent = f"{sender.NOW - timedelta(hours=hours):%Y-%m-%dT%H:%M:%S}.000Z"
    unproven = sender.body(sender.signed(sender.notification(Timestamp=sent)))
    for _ in range(3):
        assert_problem(await doors.post(SNS, unproven), errors.WebhookUnverifiableError)
    assert '"problem"' not in written.getvalue()


@EVERY_DOOR
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b"\xff"])
async def test_what_is_malformed(doors: Doors, path: str, body: bytes) -> None:
    assert_problem(await doors.post(path, body), errors.WebhookMalformedError)


@EVERY_DOOR
async def test_what_is_too_large(doors: Doors, path: str) -> None:
    answer = await doors.post(path, b"{}", **{"content-length": "99999999"})
    assert_problem(answer, errors.BodyTooLargeError)


async def test_a_source_that_is_not_configured(house: House) -> None:
    async with house.client() as client:
        answer = await client.post(SNS, content=GOOD[SNS])
        assert_problem(answer, errors.WebhookDisabledError)


@EVERY_DOOR
async def test_before_the_services_are_there(house: House, path: str) -> None:
    async def unready(scope: Any, receive: Any, send: Any) -> None:
        await house.app({**scope, "state": {}}, receive, send)

    transport = httpx.ASGITransport(unready)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.post(path, content=GOOD[path], headers=PROOF[path])
    assert_problem(answer, errors.InternalError)


async def dawdling(begun: asyncio.Event | None = None) -> AsyncIterator[bytes]:
    yield b"{"
    if begun is not None:
        begun.set()
    await asyncio.Event().wait()


@EVERY_DOOR
async def test_a_body_that_comes_too_slowly(
    path: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("slow")
    async with (
        opened_house(folder, http={"body_seconds": 0.05}) as house,
        opened_doors(house) as doors,
    ):
        assert_problem(await doors.post(path, dawdling()), errors.WebhookUnverifiableError)


async def test_a_gate_that_is_full(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Of one source: the others are heard."""
    http = {"body_seconds": 60, "max_concurrent_webhooks": 1, "max_waiting": 0}
    async with (
        opened_house(tmp_path_factory.mktemp("full"), http=http) as house,
        opened_doors(house) as doors,
    ):
        begun = asyncio.Event()
        first = asyncio.create_task(doors.post(FILER, dawdling(begun)))
        await begun.wait()
        await eventually(lambda: not first.done())
        assert_problem(await doors.post(FILER), errors.OverloadedError)
        for path in (SNS, BRIDGE):
            assert (await doors.post(path)).status_code == 200
        first.cancel()
        await asyncio.wait([first])


async def test_who_dawdles_at_the_door_of_sns_holds_no_place(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    http = {"body_seconds": 60, "max_concurrent_webhooks": 1, "max_waiting": 0}
    async with (
        opened_house(tmp_path_factory.mktemp("dawdling"), http=http) as house,
        opened_doors(house) as doors,
    ):
        begun = [asyncio.Event() for _ in range(3)]
        slow = [asyncio.create_task(doors.post(SNS, dawdling(event))) for event in begun]
        for event in begun:
            await event.wait()
        for path in GOOD:
            assert (await doors.post(path)).status_code == 200
        for task in slow:
            task.cancel()
        await asyncio.wait(slow)
