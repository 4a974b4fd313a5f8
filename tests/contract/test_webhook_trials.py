"""A test message to a webhook endpoint, over the whole service and to a receiver that listens."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

import errors
from routers.event_examples import TEST_EVENT
from routers.event_schemas import WebhookTestEvent
from service.delivery.trial import TRIALS_AT_ONCE
from tests.contract.endpoint_admin import BASE, endpoint_admin
from tests.fakes.eventually import eventually
from tests.fakes.house import House, captured_logs, opened_house
from tests.fakes.http_stub import HttpStub, Reply
from tests.fakes.problems import assert_problem

HOOK = "/hook?key=of-the-receiver"


@pytest.fixture(scope="module")
async def own_house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """One that may send to the machine itself."""
    delivery = {"allowed_networks": ["127.0.0.1/32"], "allow_http": True, "max_endpoints": 3}
    folder = tmp_path_factory.mktemp("trials")
    async with opened_house(folder, delivery=delivery) as opened:
        yield opened


@pytest.fixture
async def admin(own_house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with endpoint_admin(own_house) as client:
        yield client


@pytest.fixture
async def receiver() -> AsyncIterator[HttpStub]:
    async with HttpStub.serving(Reply(204)) as stub:
        yield stub


async def created(admin: httpx.AsyncClient, url: str, **more: Any) -> dict[str, Any]:
    answer = await admin.post(BASE, json={"url": url, **more})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def tried(admin: httpx.AsyncClient, made: dict[str, Any]) -> dict[str, Any]:
    answer = await admin.post(f"{BASE}/{made['id']}/test")
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    found: dict[str, Any] = answer.json()
    return found


async def test_one_message_that_verifies(admin: httpx.AsyncClient, receiver: HttpStub) -> None:
    made = await created(admin, receiver.url + HOOK, event_types=["upload.deleted"])
    rotated = (await admin.post(f"{BASE}/{made['id']}/rotate")).json()
    found = await tried(admin, made)
    (request,) = receiver.requests
    assert request.target == HOOK
    assert request.headers["webhook-id"] == found["event_id"]
    for secret in (made["secret"], rotated["secret"]):
        message = Webhook(secret).verify(request.body, request.headers)
        assert message["data"] == {"endpoint_id": made["id"]}
    assert found.pop("milliseconds") >= 0
    assert found.pop("event_id").startswith("evt_test_")
    assert found == {"delivered": True, "status": 204, "error": None}


async def test_it_is_of_the_promised_shape(admin: httpx.AsyncClient, receiver: HttpStub) -> None:
    await tried(admin, await created(admin, receiver.url + HOOK))
    (request,) = receiver.requests
    read = WebhookTestEvent.model_validate_json(request.body)
    assert read.timestamp.tzinfo is not None
    example = WebhookTestEvent.model_validate(TEST_EVENT)
    sent = request.json()
    assert sent.keys() == TEST_EVENT.keys() == example.model_dump().keys()
    assert sent["data"].keys() == TEST_EVENT["data"].keys()


async def test_nothing_is_kept_of_it(
    admin: httpx.AsyncClient, own_house: House, receiver: HttpStub
) -> None:
    made = await created(admin, receiver.url + HOOK)
    before = own_house.rows()
    await tried(admin, made)
    assert own_house.rows() == before
    page = (await admin.get(f"{BASE}/{made['id']}/deliveries")).json()
    assert page == {"items": [], "next_cursor": None}


async def test_one_that_is_disabled_is_tried_and_stays_so(
    admin: httpx.AsyncClient, receiver: HttpStub
) -> None:
    made = await created(admin, receiver.url + HOOK)
    off = (await admin.patch(f"{BASE}/{made['id']}", json={"enabled": False})).json()
    assert (await tried(admin, made))["delivered"]
    assert (await admin.get(f"{BASE}/{made['id']}")).json() == off


async def test_gone_disables_nothing(admin: httpx.AsyncClient, receiver: HttpStub) -> None:
    receiver.answer = Reply(410)
    made = await created(admin, receiver.url + HOOK)
    found = await tried(admin, made)
    assert (found["delivered"], found["status"], found["error"]) == (False, 410, "http_410")
    shown = (await admin.get(f"{BASE}/{made['id']}")).json()
    assert (shown["enabled"], shown["disabled_reason"]) == (True, None)
    assert len(receiver.requests) == 1


async def test_an_address_that_has_become_forbidden(
    admin: httpx.AsyncClient, own_house: House, receiver: HttpStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await created(admin, receiver.url + HOOK)
    guard: Any = own_house.services.endpoints._addresses
    monkeypatch.setattr(guard, "_allowed", ())
    found = await tried(admin, made)
    assert (found["delivered"], found["status"]) == (False, None)
    assert found["error"] == "forbidden_address"
    monkeypatch.setattr(guard, "_allow_http", False)
    assert (await tried(admin, made))["error"] == "forbidden_url"
    assert receiver.requests == []


async def test_a_redirect_is_not_followed(admin: httpx.AsyncClient, receiver: HttpStub) -> None:
    receiver.answer = Reply(307, headers={"Location": f"{receiver.url}/elsewhere"})
    found = await tried(admin, await created(admin, receiver.url + HOOK))
    assert (found["delivered"], found["status"], found["error"]) == (False, 307, "http_307")
    assert len(receiver.requests) == 1


async def test_receivers_that_hang_do_not_pile_up(
    admin: httpx.AsyncClient, receiver: HttpStub
) -> None:
    receiver.answer = Reply(hang=True)
    made = await created(admin, receiver.url + HOOK)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(tried(admin, made)) for _ in range(TRIALS_AT_ONCE)]
        await eventually(lambda: len(receiver.requests) == TRIALS_AT_ONCE)
        answer = await admin.post(f"{BASE}/{made['id']}/test")
        assert_problem(answer, errors.OverloadedError)
        assert int(answer.headers["retry-after"]) >= 1
        for talk in receiver._talks:
            talk.cancel()
    assert {task.result()["error"] for task in tasks} == {"broken"}
    receiver.answer = Reply(204)
    assert (await tried(admin, made))["delivered"]


async def test_a_database_that_is_away(
    admin: httpx.AsyncClient, own_house: House, receiver: HttpStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await created(admin, receiver.url + HOOK)

    async def away(*_: object) -> None:
        raise errors.UnavailableError

    with monkeypatch.context() as patch:
        patch.setattr(type(own_house.services.endpoints._records), "get", away)
        answer = await admin.post(f"{BASE}/{made['id']}/test")
    assert_problem(answer, errors.UnavailableError)
    assert receiver.requests == []


async def test_the_log_says_who_tried_what(admin: httpx.AsyncClient, receiver: HttpStub) -> None:
    receiver.answer = Reply(500)
    made = await created(admin, receiver.url + HOOK)
    with captured_logs() as written:
        found = await tried(admin, made)
        text = written.getvalue()
    lines = [json.loads(line) for line in text.splitlines()]
    (told,) = [line for line in lines if line["event"] == "webhook_endpoint.tested"]
    assert (told["by"], told["endpoint_id"]) == ("usr_eve", made["id"])
    assert {name: told[name] for name in found} == found
    assert [hidden for hidden in ("of-the-receiver", made["secret"], "v1,") if hidden in text] == []
