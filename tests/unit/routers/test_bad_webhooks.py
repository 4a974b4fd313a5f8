"""Who forges the store's word changes nothing."""

import httpx
import pytest

import errors
from tests.fakes.house import WEBHOOK_TOKEN
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
