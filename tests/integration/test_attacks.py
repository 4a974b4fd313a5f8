"""What an attack on the presigned fallback found, at the real store, so that it stays mended."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
import pytest_asyncio

from cli.users import opened
from tests.integration import store
from tests.integration.replica import Replica, replica
from tests.integration.sender import MIB, Sender, problem
from tests.integration.stack import Stack, eventually, settings_from

SMALLEST = 5 * MIB
CONTENT = os.urandom(9 * MIB)
FIRST, OTHER = b"hello, form", b"HELLO, FORM"
PROFILES: dict[str, Any] = {
    "film": {"max_size": SMALLEST + 1, "quota": 20 * MIB},
    "shelf": {"quota": 20 * MIB},
    "vault": {"quarantine": True},
}
URL_SECONDS = 10
SETTINGS = {
    "UPLOADGATE_UPLOADS__PROFILES": json.dumps(PROFILES),
    # The stock manager below has to get keys in spite of those profiles.
    "UPLOADGATE_CREDENTIALS__ISSUE": "checked_after_arrival",
    "UPLOADGATE_UPLOADS__URL_SECONDS": str(URL_SECONDS),
    "UPLOADGATE_COMPLETION__OVERDUE_SECONDS": "1",
    "UPLOADGATE_HTTP__MAX_CONCURRENT": "2",
    "UPLOADGATE_HTTP__MAX_WAITING": "0",
    "UPLOADGATE_RELAY__MAX_PER_USER": "1",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replica]:
    """No event of the store reaches it: what it finds, its sweep finds."""
    url = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('attacks') / 'records.db'}"
    async with replica(stack, url, **SETTINGS) as running:
        yield running


@pytest.fixture
async def sender(shop: Replica) -> AsyncIterator[Sender]:
    async with shop.sender() as opened_sender:
        yield opened_sender


async def _whole(sender: Sender, upload: Any, content: bytes) -> httpx.Response:
    """As Uppy puts a file that the service had planned in parts."""
    body = {"method": "PUT", "key": upload["key"]}
    answer = await sender.api.post("/v1/s3/presign", json=body, headers=sender.user.headers)
    assert answer.status_code == 200, answer.text
    return await sender.store.put(
        answer.json()["url"], content=content, headers=answer.json()["headers"]
    )


async def _begun_elsewhere(stack: Stack, sender: Sender, upload: Any) -> str:
    """A multipart at the upload's key, made and half sent by the client's own keys."""
    answer = await sender.api.post("/v1/credentials/exchange", headers=sender.user.headers)
    s3 = store.client(answer.json())
    made = await asyncio.to_thread(s3.create_multipart_upload, **store.place(upload))
    named = {**store.place(upload), "UploadId": made["UploadId"]}
    await asyncio.to_thread(s3.upload_part, **named, PartNumber=1, Body=CONTENT[:SMALLEST])
    return str(made["UploadId"])


async def test_parts_beside_a_whole_object_do_not_stay(stack: Stack, sender: Sender) -> None:
    upload = await sender.announce(len(CONTENT))
    await sender.send(upload, CONTENT, [1, 2])
    # Once the object is there, the sweep may clear them away at any time.
    assert await store.multiparts(stack, upload) == [upload["multipart"]["upload_id"]]
    assert (await _whole(sender, upload, CONTENT)).status_code == 200
    await sender.completed(upload)
    await eventually(lambda: store.no_multipart(stack, upload), "no multipart is left")
    assert (await sender.show(upload))["status"] == "completed"
    assert (await sender.download(upload)).content == CONTENT


async def test_a_second_multipart_of_the_clients_own_does_not_stay(
    stack: Stack, sender: Sender
) -> None:
    upload = await sender.announce(len(CONTENT), transport="credentials")
    stranger = await _begun_elsewhere(stack, sender, upload)
    await sender.send(upload, CONTENT, [1, 2])
    assert stranger in await store.multiparts(stack, upload)
    await sender.completed(upload)
    await eventually(lambda: store.no_multipart(stack, upload), "no multipart is left")
    assert (await sender.download(upload)).content == CONTENT


async def _completed_by_form(sender: Sender) -> Any:
    """`post` is still the form."""
    upload = await sender.announce(len(FIRST), content_type="text/plain")
    assert (await sender.post(upload["post"], FIRST)).status_code == 201
    return await sender.completed(upload) | {"post": upload["post"]}


async def test_a_form_sent_again_is_found_though_its_event_was_lost(sender: Sender) -> None:
    done = await _completed_by_form(sender)
    assert (await sender.post(done["post"], OTHER)).status_code == 201
    replaced = await sender.becomes(done, "replaced")
    assert replaced["etag"] != done["etag"]
    assert (await sender.download(done)).content == OTHER


async def test_what_was_written_again_is_not_given_back_unverified(sender: Sender) -> None:
    done = await _completed_by_form(sender)
    assert (await sender.download(done)).content == FIRST
    assert (await sender.post(done["post"], OTHER)).status_code == 201
    answer = await sender.ask("GET", f"/{done['id']}/download")
    assert problem(answer, 409, "upload_state")["retry_mode"] == "wait"
    await sender.becomes(done, "replaced")
    assert (await sender.download(done)).content == OTHER


async def test_where_a_verdict_is_waited_for_there_is_nothing_to_send_again(
    stack: Stack, sender: Sender
) -> None:
    upload = await sender.announce(len(FIRST), profile="vault")
    assert (upload["put"] is None, upload["post"]) == (False, None)
    assert (await sender.put(upload["put"], FIRST)).status_code == 200
    await sender.becomes(upload, "quarantined")
    assert (await sender.put(upload["put"], OTHER)).status_code == 412


class Companion:
    """One ticket, as Uppy uses it: without any token."""

    def __init__(self, sender: Sender, root: str) -> None:
        self.api, self.root = sender.api, root

    @classmethod
    async def of(cls, sender: Sender, **body: str) -> "Companion":
        answer = await sender.api.post("/v1/uppy/tickets", json=body, headers=sender.user.headers)
        assert answer.status_code == 201, answer.text
        return cls(sender, f"{urlsplit(answer.json()['companion_endpoint']).path}/s3")

    async def begin(self) -> tuple[str, str]:
        """The key, and the path of its multipart."""
        body = {"filename": "a.bin", "type": "video/mp4", "metadata": {}}
        answer = await self.api.post(f"{self.root}/multipart", json=body)
        assert answer.status_code == 200, answer.text
        said = answer.json()
        return said["key"], f"{self.root}/multipart/{quote(said['uploadId'], safe='')}"


async def _record(sender: Sender, key: str) -> Any:
    [found] = [item for item in (await sender.ask("GET", "")).json()["items"] if item["key"] == key]
    return found


async def test_parts_of_no_announced_size_are_rejected_while_they_come(
    stack: Stack, shop: Replica, sender: Sender
) -> None:
    """Nobody completes it, so its bytes would have lain there at no cost to the quota."""
    key, path = await (await Companion.of(sender, profile="film")).begin()
    for number in (1, 2):
        answer = await sender.api.get(f"{path}/{number}", params={"key": key})
        sent = await sender.store.put(answer.json()["url"], content=CONTENT[:SMALLEST])
        assert sent.status_code == 200, sent.text
    upload = await _record(sender, key)
    rejected = await sender.becomes(upload, "rejected")
    assert rejected["status_reason"] == f"more than the {SMALLEST + 1} bytes allowed"
    await eventually(lambda: store.no_multipart(stack, upload), "its parts are gone")
    await shop.usage_is(sender.user, 0, 0, "film")


async def test_what_a_companion_form_reserved_is_given_back_when_the_form_is_over(
    shop: Replica, sender: Sender
) -> None:
    """Nobody can abort it, so it would have held its reservation for a week."""
    companion = await Companion.of(sender, profile="film")
    query = {"filename": "a.bin", "type": "video/mp4"}
    answer = await sender.api.get(f"{companion.root}/params", params=query)
    upload = await _record(sender, answer.json()["fields"]["key"])
    await shop.usage_is(sender.user, SMALLEST + 1, 1, "film")
    ends, now = (datetime.fromisoformat(upload[name]) for name in ("expires_at", "server_time"))
    assert (ends - now).total_seconds() <= URL_SECONDS
    await sender.becomes(upload, "expired")
    await shop.usage_is(sender.user, 0, 0, "film")


async def test_a_ticket_that_would_reserve_a_whole_quota_at_once_is_refused(
    sender: Sender,
) -> None:
    answer = await sender.api.post(
        "/v1/uppy/tickets", json={"profile": "shelf"}, headers=sender.user.headers
    )
    problem(answer, 403, "policy")


async def test_a_disabled_users_ticket_opens_nothing(shop: Replica, sender: Sender) -> None:
    companion = await Companion.of(sender)
    key, path = await companion.begin()
    async with opened(settings_from(shop.service.environment)) as accounts:
        await accounts.disable_user(sender.user.name)
    problem(await sender.api.get(path, params={"key": key}), 403, "invalid_ticket")


@contextlib.asynccontextmanager
async def _silent(shop: Replica, path: str) -> AsyncIterator[None]:
    """A client that has announced a long body, and sends one byte of it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", shop.service.port)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: 1000000\r\nExpect: 100-continue\r\n\r\n".encode())
    await writer.drain()
    # The server asks for the body as soon as somebody reads it: now it is behind the gate.
    assert b"100" in await reader.readline()
    try:
        yield
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_sockets_held_open_at_a_ticket_do_not_block_everybody_else(
    shop: Replica, sender: Sender
) -> None:
    key, path = await (await Companion.of(sender)).begin()
    async with contextlib.AsyncExitStack() as clients:
        for _ in range(5):  # the API itself takes two at once
            await clients.enter_async_context(
                _silent(shop, f"{path}/complete?key={quote(key, safe='')}")
            )
        assert (await sender.ask("GET", "")).status_code == 200


async def test_one_user_does_not_take_all_places_for_relays(shop: Replica, sender: Sender) -> None:
    slow, more = [await sender.announce(len(CONTENT), transport="relay") for _ in range(2)]
    enough = asyncio.Event()

    async def held() -> AsyncIterator[bytes]:
        yield CONTENT[:1]
        await enough.wait()
        yield CONTENT[1:]

    running = asyncio.create_task(sender.relay(slow, held()))
    await sender.becomes(slow, "uploading")
    answer = await sender.relay(more, CONTENT)
    problem(answer, 429, "too_many_uploads")
    assert int(answer.headers["retry-after"]) > 0
    async with shop.sender() as other:
        theirs = await other.announce(len(FIRST), transport="relay")
        assert (await other.relay(theirs, FIRST)).json()["status"] == "completed"
    enough.set()
    assert (await running).json()["status"] == "completed"
    assert (await sender.relay(more, CONTENT)).json()["status"] == "completed"


async def test_a_relay_whose_upload_is_aborted_is_told_so(stack: Stack, sender: Sender) -> None:
    upload = await sender.announce(len(CONTENT), transport="relay")

    async def aborted() -> AsyncIterator[bytes]:
        yield CONTENT[: 8 * MIB + 1]
        await eventually(lambda: sender.arrived(upload), "the first part is there")
        assert (await sender.ask("DELETE", f"/{upload['id']}")).json()["status"] == "aborted"
        yield CONTENT[8 * MIB + 1 :]

    problem(await sender.relay(upload, aborted()), 409, "upload_ended")
    await eventually(lambda: store.no_multipart(stack, upload), "no multipart is left")
