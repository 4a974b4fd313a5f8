"""Credentials cannot hold a limit, so where there is one they are issued as the setting says."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.integration import store
from tests.integration.replica import Replica, replica
from tests.integration.sender import Sender, problem
from tests.integration.stack import Stack, eventually

SETTINGS: dict[str, dict[str, str]] = {
    "when_unlimited": {"UPLOADGATE_UPLOADS__PROFILES": json.dumps({"small": {"max_size": 10}})},
    "never": {"UPLOADGATE_CREDENTIALS__ISSUE": "never"},
    "checked_after_arrival": {
        "UPLOADGATE_CREDENTIALS__ISSUE": "checked_after_arrival",
        "UPLOADGATE_UPLOADS__PROFILES": json.dumps({"default": {"max_size": 10, "quota": 15}}),
        "UPLOADGATE_COMPLETION__OVERDUE_SECONDS": "1",
    },
}


async def _running(stack: Stack, folder: Path, issue: str) -> AsyncIterator[tuple[Replica, Sender]]:
    url = f"sqlite+aiosqlite:///{folder / 'records.db'}"
    async with replica(stack, url, **SETTINGS[issue]) as running, running.sender() as sender:
        yield running, sender


@pytest_asyncio.fixture(params=["when_unlimited", "never"], scope="module", loop_scope="session")
async def strict(
    stack: Stack, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Sender]:
    async for _, sender in _running(stack, tmp_path_factory.mktemp("strict"), request.param):
        yield sender


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def checked(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Replica, Sender]]:
    folder = tmp_path_factory.mktemp("checked")
    async for found in _running(stack, folder, "checked_after_arrival"):
        yield found


async def _credentials(sender: Sender, path: str, body: Any = None) -> Any:
    return await sender.api.post(path, headers=sender.user.headers, json=body)


async def test_no_credentials_are_issued_by_any_route(strict: Sender) -> None:
    grant = (await _credentials(strict, "/v1/credentials", {"mode": "auto"})).json()
    assert (grant["mode"], grant["reason"]) == ("presigned", "policy")
    for path, body in (("", {"mode": "cognito"}), ("/exchange", None)):
        told = problem(await _credentials(strict, f"/v1/credentials{path}", body), 403, "policy")
        assert told["retry_mode"] == "switch_transport"
    problem(await strict.create(5, transport="credentials"), 403, "policy")


async def test_auto_is_presigned_and_says_why(strict: Sender) -> None:
    upload = await strict.announce(5, transport="auto")
    assert (upload["transport"], upload["transport_reason"]) == ("presigned", "policy")
    problem(await strict.switch(upload, "credentials"), 403, "policy")
    assert (await strict.put(upload["put"], b"hello")).status_code == 200
    await strict.completed(upload)


async def test_credentials_that_are_issued_all_the_same_are_checked_after_arrival(
    stack: Stack, checked: tuple[Replica, Sender]
) -> None:
    running, sender = checked
    upload = await sender.announce(5, transport="credentials")
    keys = (await _credentials(sender, "/v1/credentials/exchange")).json()
    owner = store.client(keys)
    owner.put_object(**store.place(upload), Body=b"hello, far too much of it")
    rejected = await sender.becomes(upload, "rejected")
    assert rejected["status_reason"] == "5 bytes were announced, 25 arrived"
    await eventually(lambda: store.gone(stack, upload), "the object is gone")
    await running.usage_is(sender.user, 0, 0, "default")

    problem(await sender.create(11, transport="credentials"), 422, "upload_too_large")
    await sender.announce(10, transport="credentials")
    problem(await sender.create(6, transport="credentials"), 403, "quota_exceeded")
