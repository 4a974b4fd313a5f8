"""Which way the bytes go, and changing it on the way: finished parts are never sent again."""

import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.integration import store
from tests.integration.replica import Replica, replica
from tests.integration.sender import MIB, Sender, piece, problem
from tests.integration.stack import Stack

PART = 5 * MIB
CONTENT = os.urandom(3 * PART + 1000)
SIZE = len(CONTENT)
SETTINGS = {"UPLOADGATE_UPLOADS__PART_SIZE": str(PART)}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replica]:
    """Of its own: what it remembers of Cognito's trouble is nobody else's."""
    url = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('switching') / 'records.db'}"
    async with replica(stack, url, **SETTINGS) as running:
        yield running


@pytest.fixture
async def sender(service: Replica) -> AsyncIterator[Sender]:
    async with service.sender() as opened:
        yield opened


@pytest.fixture
async def without_cognito(stack: Stack, sender: Sender) -> AsyncIterator[None]:
    """Away. Once it is back, somebody who insists finds out, and with them everybody."""
    await stack.cloud.stop_cognito()
    try:
        yield
    finally:
        await stack.cloud.start_cognito()
        insisting = {"mode": "cognito"}
        answer = await sender.api.post(
            "/v1/credentials", headers=sender.user.headers, json=insisting
        )
        assert answer.status_code == 200, answer.text


async def _range(sender: Sender, upload: Any, first: int, end: int) -> Any:
    span = f"bytes {first}-{end - 1}/{SIZE}"
    answer = await sender.relay(upload, CONTENT[first:end], Content_Range=span)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_auto_is_credentials_where_they_can_be_had(sender: Sender) -> None:
    upload = await sender.announce(SIZE, transport="auto")
    assert (upload["transport"], upload["transport_reason"]) == ("credentials", "auto")
    keys = await sender.api.post("/v1/credentials/exchange", headers=sender.user.headers)
    assert upload["key"].startswith(keys.json()["key_prefix"])


@pytest.mark.usefixtures("without_cognito")
async def test_auto_is_presigned_while_cognito_is_away_and_says_why(sender: Sender) -> None:
    upload = await sender.announce(SIZE, transport="auto")
    reason = (upload["transport"], upload["transport_reason"])
    assert reason == ("presigned", "cognito_unavailable")
    assert upload["key"].startswith(f"users/{sender.user.id}/")
    await sender.send(upload, CONTENT, [1, 2, 3, 4])
    assert (await sender.completed(upload))["size"] == SIZE


async def test_parts_stay_from_one_transport_to_the_next(stack: Stack, sender: Sender) -> None:
    upload = await sender.announce(SIZE)
    await sender.send(upload, CONTENT, [2])
    etags = {2: await _etag(sender, upload, 2)}

    switched = await sender.switch(upload, "relay")
    assert switched.status_code == 200, switched.text
    shown = switched.json()
    assert (shown["transport"], shown["transport_reason"]) == ("relay", "switched")
    assert shown["multipart"] == upload["multipart"]
    await _range(sender, upload, 0, PART)
    etags[1] = await _etag(sender, upload, 1)

    assert (await sender.switch(upload, "presigned")).json()["transport"] == "presigned"
    assert await sender.arrived(upload) == {1: PART, 2: PART}
    await sender.send(upload, CONTENT, [3, 4])
    assert {number: await _etag(sender, upload, number) for number in etags} == etags
    await sender.completed(upload)
    assert (await sender.download(upload)).content == CONTENT


async def _etag(sender: Sender, upload: Any, number: int) -> str:
    listed = (await sender.ask("GET", f"/{upload['id']}/parts")).json()["items"]
    [etag] = [part["etag"] for part in listed if part["part_number"] == number]
    return str(etag)


async def test_asking_for_parts_is_the_switch_from_credentials(
    stack: Stack, sender: Sender
) -> None:
    upload = await sender.announce(SIZE, transport="credentials")
    keys = await sender.api.post("/v1/credentials/exchange", headers=sender.user.headers)
    named = {**store.place(upload), "UploadId": upload["multipart"]["upload_id"]}
    store.client(keys.json()).upload_part(**named, PartNumber=1, Body=piece(upload, CONTENT, 1))
    await sender.send(upload, CONTENT, [2])
    shown = await sender.show(upload)
    assert (shown["transport"], shown["transport_reason"]) == ("presigned", "switched")
    assert await sender.arrived(upload) == {1: PART, 2: PART}

    back = await sender.switch(upload, "credentials")
    assert (back.status_code, back.json()["transport"]) == (200, "credentials")
    store.client(keys.json()).upload_part(**named, PartNumber=3, Body=piece(upload, CONTENT, 3))
    assert (await _range(sender, upload, 3 * PART, SIZE))["status"] == "completed"
    assert (await sender.download(upload)).content == CONTENT


async def test_no_credentials_for_a_key_that_they_could_not_write_to(sender: Sender) -> None:
    """A user's first upload was presigned: its key lies in no identity's folder."""
    upload = await sender.announce(SIZE)
    assert upload["key"].startswith(f"users/{sender.user.id}/")
    await sender.send(upload, CONTENT, [1])
    told = problem(await sender.switch(upload, "credentials"), 409, "transport_unavailable")
    assert told["retry_mode"] == "fatal"
    shown = await sender.show(upload)
    assert (shown["transport"], shown["multipart"]) == ("presigned", upload["multipart"])
    assert await sender.arrived(upload) == {1: PART}


async def test_a_small_file_may_change_its_way_too(sender: Sender) -> None:
    upload = await sender.announce(5, transport="relay")
    shown = (await sender.switch(upload, "presigned")).json()
    assert (await sender.put(shown["put"], b"hello")).status_code == 200
    await sender.completed(upload)
    for transport in ("relay", "credentials", "presigned"):
        problem(await sender.switch(upload, transport), 409, "upload_state")


@pytest.mark.parametrize("transport", ["auto", "", None, "PRESIGNED", ["relay"]])
async def test_a_transport_that_is_none_is_refused(sender: Sender, transport: Any) -> None:
    upload = await sender.announce(5)
    problem(await sender.switch(upload, transport), 422, "invalid_request")


@pytest.mark.usefixtures("without_cognito")
async def test_switching_to_credentials_needs_cognito(sender: Sender) -> None:
    upload = await sender.announce(5)
    told = problem(await sender.switch(upload, "credentials"), 503, "cognito_unavailable")
    assert told["retry_mode"] == "wait"
    assert (await sender.show(upload))["transport"] == "presigned"
