"""Who forges the store's word changes nothing."""

import json
from io import StringIO

import httpx
import pytest

import errors
from routers.webhooks import WebhookDoor
from tests.fakes.asgi import Call, body
from tests.fakes.house import WEBHOOK_TOKEN, House
from tests.fakes.problems import assert_problem

pytestmark = pytest.mark.usefixtures("untouched")

FILER, SNS = "/v1/webhooks/seaweedfs", "/v1/webhooks/sns"


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer wrong", f"Basic {WEBHOOK_TOKEN}", b"Bearer t\xf6ken"]
)
@pytest.mark.parametrize("body", [b"{", b"{}"])
async def test_a_forged_webhook(
    caller: httpx.AsyncClient, header: str | bytes | None, body: bytes
) -> None:
    del caller.headers["Authorization"]
    headers = {} if header is None else {"Authorization": header}
    answer = await caller.post(FILER, content=body, headers=headers)  # type: ignore[arg-type]
    assert_problem(answer, errors.WebhookForgedError)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b"\xff", b'{"message": 7}'])
async def test_a_webhook_of_another_shape(caller: httpx.AsyncClient, body: bytes) -> None:
    caller.headers["Authorization"] = f"Bearer {WEBHOOK_TOKEN}"
    answer = await caller.post(FILER, content=body)
    assert_problem(answer, errors.WebhookMalformedError)


async def test_a_webhook_source_that_is_not_configured(caller: httpx.AsyncClient) -> None:
    assert_problem(await caller.post(SNS, content=b"{}"), errors.WebhookDisabledError)


async def test_the_log_says_why_a_source_is_refused_and_nothing_of_its_message(
    house: House, caller: httpx.AsyncClient, written: StringIO
) -> None:
    await caller.post(FILER, content=b"{}", headers={"Authorization": "Bearer guessed"})
    door = WebhookDoor(FILER, lambda services: services.seaweedfs)
    call = Call(FILER, [body(b"of-anybody")], {"Authorization": "Bearer guessed"})
    call.scope["state"] = {"services": house.services}
    with pytest.raises(errors.WebhookForgedError):
        await door.answer(call.scope, call.receive)
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    told = [line for line in lines if line["event"] == "webhook.refused"][-1]
    assert (told["level"], told["source"], told["code"]) == (
        "warning",
        "seaweedfs",
        "webhook_forged",
    )
    assert told["detail"] == errors.WebhookForgedError.title
    assert "guessed" not in written.getvalue()
    assert "of-anybody" not in written.getvalue()
