"""Under an Idempotency-Key a request that is sent again happens once, even after a crash."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.integration import store
from tests.integration.replica import Replica, replica
from tests.integration.sender import MIB, Sender, problem
from tests.integration.stack import Stack, eventually

PART = 5 * MIB
CONTENT = os.urandom(PART + 1000)
SETTINGS = {
    "UPLOADGATE_UPLOADS__PART_SIZE": str(PART),
    "UPLOADGATE_UPLOADS__MULTIPART_THRESHOLD": str(PART),
    "UPLOADGATE_UPLOADS__IDEMPOTENCY_LEASE_SECONDS": "5",
    "UPLOADGATE_COMPLETION__OVERDUE_SECONDS": "3600",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def service(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replica]:
    url = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('keys') / 'records.db'}"
    async with replica(stack, url, **SETTINGS) as running:
        yield running


@pytest.fixture
async def sender(service: Replica) -> AsyncIterator[Sender]:
    async with service.sender() as opened:
        yield opened


async def _count(sender: Sender) -> int:
    return len((await sender.ask("GET", "")).json()["items"])


async def test_a_creation_sent_again_is_the_same_upload(sender: Sender) -> None:
    first = await sender.announce(len(CONTENT), key="one")
    again = await sender.announce(len(CONTENT), key="one")
    assert (again["id"], again["multipart"]) == (first["id"], first["multipart"])
    other = await sender.announce(len(CONTENT), key="two")
    assert other["id"] != first["id"]
    assert await _count(sender) == 2


async def test_a_small_creation_sent_again_gets_a_new_address(sender: Sender) -> None:
    await sender.announce(5, key="one")
    again = await sender.announce(5, key="one")
    assert (await sender.put(again["put"], b"hello")).status_code == 200
    assert (await sender.completed(again))["size"] == 5
    done = await sender.announce(5, key="one")
    assert (done["status"], done["put"]) == ("completed", None)


@pytest.mark.parametrize(
    "change", [{"filename": "b.bin"}, {"transport": "relay"}, {"metadata": {"a": "b"}}]
)
async def test_a_key_is_for_one_request_only(sender: Sender, change: dict[str, str]) -> None:
    await sender.announce(len(CONTENT), key="one")
    told = problem(
        await sender.create(len(CONTENT), key="one", **change), 422, "idempotency_key_reused"
    )
    assert told["retry_mode"] == "fatal"
    problem(await sender.create(len(CONTENT) + 1, key="one"), 422, "idempotency_key_reused")
    assert await _count(sender) == 1


async def test_a_key_is_its_users_own(service: Replica, sender: Sender) -> None:
    mine = await sender.announce(5, key="one")
    async with service.sender() as other:
        theirs = await other.announce(6, key="one")
    assert theirs["id"] != mine["id"]


async def test_of_many_creations_at_once_under_a_key_there_is_one(sender: Sender) -> None:
    answers = await asyncio.gather(*(sender.create(len(CONTENT), key="one") for _ in range(10)))
    for answer in answers:
        if answer.status_code != 201:
            told = problem(answer, 409, "idempotency_in_flight")
            assert told["retry_mode"] == "wait"
    [made] = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    assert (await sender.announce(len(CONTENT), key="one"))["id"] == made
    assert await _count(sender) == 1


async def test_a_refused_creation_leaves_its_key_free(sender: Sender) -> None:
    problem(await sender.create(5, key="one", profile="none"), 422, "unknown_profile")
    await sender.announce(5, key="one")


@pytest.mark.parametrize("key", ["", "with space", "ünï", "x" * 256])
async def test_a_key_that_is_none_is_refused(sender: Sender, key: str) -> None:
    headers = {"Idempotency-Key": key.encode()}
    answer = await sender.ask("POST", "", json={"filename": "a", "size": 1}, headers=headers)
    problem(answer, 422, "invalid_request")


async def test_a_completion_sent_again_under_its_key_answers_the_same(sender: Sender) -> None:
    upload = await sender.announce(len(CONTENT))
    early = problem(await sender.complete(upload, key="done"), 409, "upload_incomplete")
    assert early["missing_parts"] == [1, 2]
    await sender.send(upload, CONTENT, [1, 2])
    answers = [await sender.complete(upload, key="done") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json()["etag"] == answers[1].json()["etag"]
    other = await sender.announce(len(CONTENT))
    problem(await sender.complete(other, key="done"), 422, "idempotency_key_reused")
    problem(await sender.create(5, key="done"), 422, "idempotency_key_reused")


async def test_a_key_outlives_the_power_going_off(
    stack: Stack, service: Replica, sender: Sender
) -> None:
    before = await sender.announce(len(CONTENT), key="one")
    dying = [
        asyncio.create_task(sender.create(len(CONTENT), key=f"dying-{number}"))
        for number in range(20)
    ]
    await asyncio.wait(dying, return_when=asyncio.FIRST_COMPLETED)
    await service.kill()
    await asyncio.gather(*dying, return_exceptions=True)
    await service.service.start()

    assert (await sender.announce(len(CONTENT), key="one"))["id"] == before["id"]
    for number in range(20):

        async def answered(key: str = f"dying-{number}") -> bool:
            answer = await sender.create(len(CONTENT), key=key)
            assert answer.status_code == 201 or answer.json()["retry_mode"] == "wait", answer.text
            return answer.status_code == 201

        await eventually(answered, f"creation {number} is answered")
    assert await _count(sender) == 21
    done = await sender.announce(len(CONTENT), key="dying-7")
    await sender.send(done, CONTENT, [1, 2])
    await sender.completed(done)
    found = await store.head(stack, done)
    assert found is not None
