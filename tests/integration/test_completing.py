"""Whatever has happened at the store, `complete` ends in a true record.

At a replica that no webhook reaches: what is told here, completing itself has found out.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.integration import store
from tests.integration.replica import Replica, replica
from tests.integration.sender import MIB, Sender, piece, problem
from tests.integration.stack import Stack, eventually

PART = 5 * MIB
CONTENT = os.urandom(2 * PART + 1000)
SETTINGS = {
    "UPLOADGATE_UPLOADS__PART_SIZE": str(PART),
    "UPLOADGATE_COMPLETION__OVERDUE_SECONDS": "3600",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def deaf(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replica]:
    url = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('deaf') / 'records.db'}"
    async with replica(stack, url, **SETTINGS) as running:
        yield running


@pytest.fixture
async def sender(deaf: Replica) -> AsyncIterator[Sender]:
    async with deaf.sender() as opened:
        yield opened


class _Owner:
    """The user's own credentials at the store, under an upload by credentials."""

    def __init__(self, keys: dict[str, Any], upload: Any) -> None:
        self._client = store.client(keys)
        self._place = store.place(upload)
        self._multipart = upload["multipart"]["upload_id"]

    @classmethod
    async def announced(cls, sender: Sender) -> "tuple[_Owner, Any]":
        upload = await sender.announce(len(CONTENT), transport="credentials")
        keys = await sender.api.post("/v1/credentials/exchange", headers=sender.user.headers)
        return cls(keys.json(), upload), upload

    async def part(self, number: int, content: bytes) -> None:
        await asyncio.to_thread(
            self._client.upload_part,
            **self._place,
            UploadId=self._multipart,
            PartNumber=number,
            Body=content,
        )

    async def whole(self, content: bytes) -> None:
        await asyncio.to_thread(self._client.put_object, **self._place, Body=content)


async def test_a_file_that_grew_is_rejected_before_it_is_an_object(
    stack: Stack, deaf: Replica, sender: Sender
) -> None:
    owner, upload = await _Owner.announced(sender)
    for number in (1, 2, 3):
        await owner.part(number, piece(upload, CONTENT, number))
    await owner.part(4, b"more")

    told = problem(await sender.complete(upload), 422, "upload_rejected")
    reason = f"{len(CONTENT)} bytes were announced, {len(CONTENT) + 4} arrived"
    assert (told["detail"], told["retry_mode"]) == (reason, "fatal")
    shown = await sender.show(upload)
    assert (shown["status"], shown["status_reason"]) == ("rejected", reason)
    assert await store.no_multipart(stack, upload)
    assert await store.gone(stack, upload)
    await deaf.usage_is(sender.user, 0, 0, "default")
    problem(await sender.complete(upload), 422, "upload_rejected")


async def test_a_file_that_shrank_is_told_by_its_short_part(sender: Sender) -> None:
    owner, upload = await _Owner.announced(sender)
    await owner.part(1, piece(upload, CONTENT, 1))
    await owner.part(2, piece(upload, CONTENT, 2))
    await owner.part(3, piece(upload, CONTENT, 3)[:-1])
    told = problem(await sender.complete(upload), 409, "upload_incomplete")
    assert (told["missing_parts"], told["retry_mode"]) == ([3], "resign")

    async def sent_again() -> bool:
        """SeaweedFS keeps both, dated in whole seconds: of the same second neither is believed."""
        await sender.send(upload, CONTENT, told["missing_parts"])
        return (await sender.complete(upload)).status_code == 200

    await eventually(sent_again, "the whole part counts")
    assert (await sender.show(upload))["size"] == len(CONTENT)
    assert (await sender.download(upload)).content == CONTENT


@pytest.mark.parametrize("_round", range(3))
async def test_of_many_calls_at_once_all_end_in_the_one_completed_upload(
    sender: Sender, _round: int
) -> None:
    upload = await sender.announce(len(CONTENT))
    await sender.send(upload, CONTENT, [1, 2, 3])
    answers = await asyncio.gather(*(sender.complete(upload) for _ in range(5)))
    told = [(answer.status_code, answer.json().get("code")) for answer in answers]
    assert told == [(200, None)] * 5
    [etag] = {answer.json()["etag"] for answer in answers}
    shown = await sender.show(upload)
    assert (shown["status"], shown["etag"]) == ("completed", etag)
    assert (await sender.download(upload)).content == CONTENT


async def test_a_completion_whose_answer_was_lost_is_found(stack: Stack, sender: Sender) -> None:
    upload = await sender.announce(len(CONTENT))
    await sender.send(upload, CONTENT, [1, 2, 3])
    await store.complete(stack, upload)
    done = await sender.completed(upload)
    assert (done["size"], done["multipart"]) == (len(CONTENT), None)
    assert (await sender.download(upload)).content == CONTENT


async def test_an_object_that_the_user_wrote_meanwhile_is_the_upload(
    stack: Stack, sender: Sender
) -> None:
    owner, upload = await _Owner.announced(sender)
    for number in (1, 2, 3):
        await owner.part(number, piece(upload, CONTENT, number))
    await owner.whole(CONTENT[::-1])
    assert (await sender.completed(upload))["size"] == len(CONTENT)
    assert (await sender.download(upload)).content == CONTENT[::-1]
    await eventually(lambda: store.no_multipart(stack, upload), "the unused multipart is gone")


async def test_an_object_that_the_user_wrote_instead_is_the_upload(
    stack: Stack, sender: Sender
) -> None:
    """By a stock client, which never used the service's multipart."""
    owner, upload = await _Owner.announced(sender)
    await owner.whole(CONTENT)
    assert (await sender.completed(upload))["size"] == len(CONTENT)
    await eventually(lambda: store.no_multipart(stack, upload), "the unused multipart is gone")


async def test_an_object_of_another_size_that_the_user_wrote_meanwhile_is_rejected(
    stack: Stack, deaf: Replica, sender: Sender
) -> None:
    owner, upload = await _Owner.announced(sender)
    for number in (1, 2, 3):
        await owner.part(number, piece(upload, CONTENT, number))
    await owner.whole(CONTENT + b"!")
    problem(await sender.complete(upload), 422, "upload_rejected")
    shown = await sender.show(upload)
    assert shown["status"] == "rejected"
    assert await store.gone(stack, upload)
    await eventually(lambda: store.no_multipart(stack, upload), "the multipart is gone")
    await deaf.usage_is(sender.user, 0, 0, "default")


@pytest.mark.parametrize("_round", range(5))
async def test_completing_and_deleting_at_once_agree_in_the_end(
    stack: Stack, deaf: Replica, sender: Sender, _round: int
) -> None:
    upload = await sender.announce(len(CONTENT))
    await sender.send(upload, CONTENT, [1, 2, 3])
    deleting = sender.ask("DELETE", f"/{upload['id']}")
    answers = await asyncio.gather(sender.complete(upload), deleting)
    for answer in answers:
        code = answer.json().get("code")
        assert answer.status_code == 200 or code in {"upload_ended", "upload_state"}, answer.text
    if (await sender.show(upload))["status"] == "completed":
        assert (await sender.ask("DELETE", f"/{upload['id']}")).json()["status"] == "deleted"
    await eventually(lambda: store.gone(stack, upload), "the object is gone")
    assert await store.no_multipart(stack, upload)
    await deaf.usage_is(sender.user, 0, 0, "default")


async def test_what_has_ended_is_not_completed(stack: Stack, sender: Sender) -> None:
    upload = await sender.announce(len(CONTENT))
    await sender.send(upload, CONTENT, [1, 2, 3])
    await sender.ask("DELETE", f"/{upload['id']}")
    told = problem(await sender.complete(upload), 409, "upload_ended")
    assert told["retry_mode"] == "fatal"
    problem(await sender.sign(upload, [1]), 409, "upload_ended")
    assert await store.gone(stack, upload)
