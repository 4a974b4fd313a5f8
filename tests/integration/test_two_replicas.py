"""Replicas that share a database, with and without Redis: whoever does the work, all is heard."""

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from tests.fakes.postgres import postgres_database, running_postgres
from tests.fakes.redis_server import RedisServer, running_redis
from tests.integration.event_reader import EventReader
from tests.integration.receiver import SETTINGS, Administrator
from tests.integration.replica import Replica, replica
from tests.integration.sender import Sender, opened_sender
from tests.integration.stack import Stack, eventually

CONTENT = b"hello, replicas"
SIZE = len(CONTENT)
COMPLETED = "upload.completed"
# Longer than any test: what is heard meanwhile was told by the other replica.
NEVER = {"UPLOADGATE_EVENTS__LOOK_SECONDS": "3600"}
IDLE = {"UPLOADGATE_COMPLETION__IN_SERVER": "false"}


@pytest.fixture(scope="module")
def postgres() -> Iterator[Path]:
    with running_postgres() as socket:
        yield socket


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def database(postgres: Path) -> AsyncIterator[str]:
    async with postgres_database(postgres) as url:
        yield url


@asynccontextmanager
async def _two(
    stack: Stack, url: str, one: dict[str, str], other: dict[str, str]
) -> AsyncIterator[tuple[Replica, Replica]]:
    async with replica(stack, url, **one) as first, replica(stack, url, **other) as second:
        yield first, second


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def twins(stack: Stack, database: str) -> AsyncIterator[tuple[Replica, Replica]]:
    """The first only listens; the second works, too."""
    async with _two(stack, database, NEVER | IDLE, NEVER | SETTINGS) as running:
        yield running


async def _put(sender: Sender) -> Any:
    """The upload, whose object is at the store."""
    upload = await sender.announce(SIZE)
    assert (await sender.put(upload["put"], CONTENT)).status_code == 200
    return upload


async def _completed(sender: Sender) -> Any:
    return await sender.completed(await _put(sender))


@asynccontextmanager
async def _page(shop: Replica, sender: Sender, after: str | None = None) -> Any:
    async with EventReader.reading(shop.service.url, sender.user, after=after) as page:
        yield page


async def test_a_page_at_one_replica_hears_what_another_has_completed(
    twins: tuple[Replica, Replica],
) -> None:
    one, other = twins
    async with other.sender() as sender, _page(one, sender) as page:
        for number in range(1, 4):
            told = await page.hears(await _completed(sender), COMPLETED)
            assert told.number == number
        assert page.numbers() == [1, 2, 3]


async def test_a_client_of_a_killed_replica_goes_on_at_another_and_misses_nothing(
    stack: Stack, database: str, twins: tuple[Replica, Replica]
) -> None:
    one, other = twins
    async with replica(stack, database, **NEVER, **IDLE) as doomed, other.sender() as sender:
        async with _page(doomed, sender) as page:
            for _ in range(2):
                await page.hears(await _completed(sender), COMPLETED)
            await doomed.kill()
            assert await page.was_cut()
            before = page.told
        missed = [await _completed(sender) for _ in range(3)]
        async with _page(one, sender, page.last_id) as page:
            await page.hears(missed[-1], COMPLETED)
            await page.hears(last := await _completed(sender), COMPLETED)
            assert [one.upload["id"] for one in page.told] == [one["id"] for one in [*missed, last]]
            assert [told.number for told in [*before, *page.told]] == list(range(1, 7))


def _event(upload: Any, etag: str) -> bytes:
    """As the filer tells of a PUT."""
    folder, _, name = f"/buckets/{upload['bucket']}/{upload['key']}".rpartition("/")
    now = int(datetime.now(UTC).timestamp())
    fid = {"volume_id": 7, "file_key": secrets.randbits(20), "cookie": secrets.randbits(30)}
    entry = {
        "name": name,
        "chunks": [{"size": SIZE, "modified_ts_ns": now * 10**9, "fid": fid}],
        "attributes": {"file_size": SIZE, "mtime": now, "crtime": now},
        "extended": {"Seaweed-X-Amz-ETag": base64.b64encode(etag.encode()).decode()},
    }
    message = {"new_entry": entry, "new_parent_path": folder}
    whole = {"event_type": "create", "key": f"{folder}/{name}", "message": message}
    return json.dumps(whole).encode()


async def test_an_event_that_comes_to_both_replicas_at_once_is_taken_and_told_once(
    stack: Stack, twins: tuple[Replica, Replica]
) -> None:
    one, other = twins
    admin = Administrator(other.api, await other.user(admin=True))
    token = {"authorization": f"Bearer {stack.cloud.webhook_token}"}

    async def post(shop: Replica, event: bytes) -> int:
        answer = await shop.api.post("/v1/webhooks/seaweedfs", content=event, headers=token)
        assert answer.status_code == 200, answer.text
        accepted: int = answer.json()["accepted"]
        return accepted

    async with (
        admin.receiving() as (receiver, endpoint),
        other.sender() as sender,
        _page(one, sender) as page,
    ):
        uploads = []
        for _ in range(5):
            upload = await sender.announce(SIZE)
            answer = await sender.put(upload["put"], CONTENT)
            event = _event(upload, answer.headers["etag"].strip('"'))
            posts = [post(shop, event) for shop in (one, other) * 3]
            assert sorted(await asyncio.gather(*posts)) == [0, 0, 0, 0, 0, 1]
            uploads.append(upload)
        for upload in uploads:
            (await receiver.heard(upload, COMPLETED)).verified(endpoint["secret"])
            await page.hears(upload, COMPLETED)
            timeline = (await sender.ask("GET", f"/{upload['id']}/timeline")).json()
            kinds = [item["kind"] for item in timeline["items"]]
            assert (kinds.count("store_event"), kinds.count("transition")) == (1, 1)
        assert page.numbers() == [1, 2, 3, 4, 5]
        assert all(receiver.types(upload) == [COMPLETED] for upload in uploads)


async def test_two_replicas_that_deliver_send_each_message_once(
    stack: Stack, postgres: Path
) -> None:
    async with (
        postgres_database(postgres) as url,
        _two(stack, url, SETTINGS, SETTINGS) as (one, other),
    ):
        admin = Administrator(one.api, await one.user(admin=True))
        async with (
            admin.receiving() as (receiver, _),
            one.sender() as sender,
            opened_sender(other.api, sender.user) as elsewhere,
        ):
            uploads = [await _put(each) for each in (sender, elsewhere) * 5]
            # Both sides complete each of them, and their sweeps besides.
            for upload in uploads:
                both = (each.completed(upload) for each in (sender, elsewhere))
                await asyncio.gather(*both)
            told = [await receiver.heard(upload, COMPLETED) for upload in uploads]
            numbers = sorted(attempt.message["data"]["sequence"] for attempt in told)
            assert numbers == list(range(1, len(uploads) + 1))
            assert len({attempt.id for attempt in receiver.attempts}) == len(receiver.attempts)


@dataclass
class Wire:
    """What goes through Redis, listened to beside the replicas."""

    server: RedisServer
    prefix: str = field(default_factory=lambda: f"test-{secrets.token_hex(4)}")

    @property
    def settings(self) -> dict[str, str]:
        return {
            "UPLOADGATE_REDIS__URL": self.server.url,
            "UPLOADGATE_REDIS__PREFIX": self.prefix,
        }

    async def listeners(self, many: int) -> None:
        async def subscribed() -> bool:
            async with Redis.from_url(self.server.url, protocol=2) as client:
                [(_, count)] = await client.pubsub_numsub(f"{self.prefix}:events")
                return bool(count == many)

        await eventually(subscribed, f"{many} listen")


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        yield server


async def test_streams_live_on_through_an_outage_of_redis(
    stack: Stack, database: str, redis: RedisServer
) -> None:
    """The first looks by itself often, the second never: it hears by Redis or not at all."""
    wire = Wire(redis)
    often = {"UPLOADGATE_EVENTS__LOOK_SECONDS": "1"}
    one, other = wire.settings | often, wire.settings | NEVER
    async with AsyncExitStack() as life:
        looking, listening = await life.enter_async_context(_two(stack, database, one, other))
        sender = await life.enter_async_context(looking.sender())
        elsewhere = await life.enter_async_context(opened_sender(listening.api, sender.user))
        page = await life.enter_async_context(_page(looking, sender))
        far_page = await life.enter_async_context(_page(listening, sender))
        await wire.listeners(2)
        await far_page.hears(await _completed(sender), COMPLETED)
        await page.hears(await _completed(elsewhere), COMPLETED)

        redis.stop()
        await page.hears(await _completed(elsewhere), COMPLETED)
        missed = await _completed(sender)
        redis.start()
        await far_page.hears(missed, COMPLETED)

        await wire.listeners(2)
        await far_page.hears(await _completed(sender), COMPLETED)
        await page.hears(await _completed(elsewhere), COMPLETED)
        await far_page.hears(await _completed(sender), COMPLETED)
        await page.hears(await _completed(elsewhere), COMPLETED)
        for heard in (page, far_page):
            await heard.hears(missed, COMPLETED)
            assert heard.numbers() == sorted(set(heard.numbers()))
        assert page.numbers() == list(range(1, 9))
        for shop in (looking, listening):
            assert (await shop.api.get("/readyz")).status_code == 200
