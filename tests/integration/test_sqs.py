"""The queue's consumer against a real SQS API (moto's server), with a dead-letter queue."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from botocore.exceptions import ClientError

from aws.clients import AwsAccess, AwsClients, opened
from aws.sqs import SqsQueue
from errors import UnavailableError
from service.completion.events import ObjectEvent
from service.completion.queue import ConsumerLimits, QueueConsumer
from state import schema
from state.database import Database
from state.inbox import SqlInbox
from state.tables import inbox
from tests.fakes.queue import s3_body, sns_body
from tests.integration.stack import eventually
from tests.integration.test_paging import moto_server
from tests.unit.sources.test_eventbridge import CREATED

VISIBILITY_SECONDS = 4
MAX_RECEIVES = 2


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def clients(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AwsClients]:
    async with moto_server(tmp_path_factory.mktemp("moto") / "log") as url:
        access = AwsAccess(
            region="us-east-1",
            access_key_id="any",
            secret_access_key="any",
            s3_endpoint=url,
            sqs=True,
            sqs_endpoint=url,
        )
        async with opened(access) as clients:
            yield clients


@dataclass
class Stage:
    """A queue with its dead-letter queue, and an inbox of its own. While `away`, nothing can be
    committed.
    """

    client: Any
    queue_url: str
    dead_url: str
    database: Database
    away: bool = False
    refused: int = 0

    async def send(self, *bodies: str) -> None:
        for start in range(0, len(bodies), 10):
            entries = [
                {"Id": str(place), "MessageBody": body}
                for place, body in enumerate(bodies[start : start + 10])
            ]
            sent = await self.client.send_message_batch(QueueUrl=self.queue_url, Entries=entries)
            assert not sent.get("Failed")

    async def accept(self, events: Sequence[ObjectEvent]) -> int:
        if self.away:
            self.refused += 1
            raise UnavailableError
        box = SqlInbox(self.database, limit=10_000)
        return len(await box.put(events, datetime.now(UTC)))

    @contextlib.asynccontextmanager
    async def consuming(self) -> AsyncIterator[None]:
        queue = SqsQueue(
            self.client,
            url=self.queue_url,
            wait_seconds=1,
            visibility_seconds=VISIBILITY_SECONDS,
            call_seconds=60,
        )
        limits = ConsumerLimits(
            receivers=2, visibility_seconds=VISIBILITY_SECONDS, first_pause=0.05, longest_pause=0.2
        )
        consumer = QueueConsumer(queue=queue, accept=self.accept, limits=limits)
        running = asyncio.create_task(consumer.run())
        try:
            yield
        finally:
            running.cancel()
            await asyncio.wait([running])
        assert running.cancelled()

    async def keys(self) -> list[str]:
        async with self.database.transaction() as connection:
            return sorted((await connection.execute(inbox.select())).scalars("key"))

    async def left(self, url: str) -> tuple[int, int]:
        """How many are visible, and how many hidden."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = await self.client.get_queue_attributes(QueueUrl=url, AttributeNames=names)
        first, second = (int(answer["Attributes"][name]) for name in names)
        return first, second

    async def is_empty(self) -> bool:
        return await self.left(self.queue_url) == (0, 0)


@pytest.fixture
async def stage(
    clients: AwsClients, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Stage]:
    client: Any = clients.sqs
    name = request.node.name
    dead = (await client.create_queue(QueueName=f"{name}-dead"[-80:]))["QueueUrl"]
    said = await client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])
    policy = {
        "deadLetterTargetArn": said["Attributes"]["QueueArn"],
        "maxReceiveCount": MAX_RECEIVES,
    }
    made = await client.create_queue(
        QueueName=name[-80:], Attributes={"RedrivePolicy": json.dumps(policy)}
    )
    async with Database.opened(f"sqlite+aiosqlite:///{tmp_path / 'records.db'}") as database:
        await schema.upgrade(database)
        yield Stage(client, made["QueueUrl"], dead, database)


async def test_good_ones_arrive_once_and_poison_ends_in_the_dead_letter_queue(
    stage: Stage,
) -> None:
    good = [f"u/{number}" for number in range(25)]
    await stage.send(
        *(s3_body(key) for key in good),
        *(sns_body(s3_body(key)) for key in good[:5]),  # the same events by another way
        json.dumps(CREATED),
        json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent"}),
        "poison",
        json.dumps({"Records": 7}),
    )
    async with stage.consuming():

        async def all_dead() -> bool:
            return (await stage.left(stage.dead_url))[0] == 2

        await eventually(all_dead, "the dead-letter queue has the poison")
        await eventually(stage.is_empty, "nothing is left")
    assert await stage.keys() == sorted([*good, CREATED["detail"]["object"]["key"]])
    found = await stage.client.receive_message(QueueUrl=stage.dead_url, MaxNumberOfMessages=10)
    bodies = {message["Body"] for message in found["Messages"]}
    assert bodies == {"poison", '{"Records": 7}'}


async def test_an_outage_of_the_database_costs_no_good_message_its_life(stage: Stage) -> None:
    """It lasts longer than maxReceiveCount times the time for which messages are hidden."""
    stage.away = True
    await stage.send(s3_body("u/a"), s3_body("u/b"))
    began = asyncio.get_running_loop().time()
    async with stage.consuming():

        async def long_enough() -> bool:
            passed = asyncio.get_running_loop().time() - began
            return passed > VISIBILITY_SECONDS * (MAX_RECEIVES + 1) and stage.refused > 3

        await eventually(long_enough, "the outage lasts")
        assert await stage.left(stage.dead_url) == (0, 0)
        assert await stage.left(stage.queue_url) == (0, 2), "in hand all the time"
        stage.away = False
        await eventually(stage.is_empty, "nothing is left")
    assert await stage.keys() == ["u/a", "u/b"]
    assert await stage.left(stage.dead_url) == (0, 0)


async def test_what_was_in_hand_when_the_process_ended_comes_again(stage: Stage) -> None:
    stage.away = True
    await stage.send(*(s3_body(f"u/{number}") for number in range(3)))
    async with stage.consuming():

        async def in_hand() -> bool:
            return stage.refused > 0

        await eventually(in_hand, "in hand")
    stage.away = False
    async with stage.consuming():
        await eventually(stage.is_empty, "nothing is left")
    assert await stage.keys() == ["u/0", "u/1", "u/2"]


async def test_deletions_that_fail_double_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a crash between the commit and the deletion."""
    failed = asyncio.Event()

    async def delete(_self: SqsQueue, _messages: Any) -> None:
        failed.set()
        raise UnavailableError

    with monkeypatch.context() as patch:
        patch.setattr(SqsQueue, "delete", delete)
        await stage.send(s3_body("u/a"))
        async with stage.consuming():
            await failed.wait()
    assert await stage.keys() == ["u/a"]
    async with stage.consuming():
        await eventually(stage.is_empty, "nothing is left")
    assert await stage.keys() == ["u/a"]


async def test_a_queue_that_does_not_exist_yet_is_waited_for(stage: Stage) -> None:
    await stage.client.delete_queue(QueueUrl=stage.queue_url)
    async with stage.consuming():
        name = stage.queue_url.rsplit("/", 1)[-1]
        await stage.client.create_queue(QueueName=name)
        await stage.send(s3_body("u/late"))
        await eventually(stage.is_empty, "nothing is left")
    assert await stage.keys() == ["u/late"]


async def test_the_worker_takes_from_the_queue_and_ends_with_0(
    stage: Stage, clients: AwsClients, tmp_path: Path
) -> None:
    endpoint = clients.s3.meta.endpoint_url
    with contextlib.suppress(ClientError):
        await clients.s3.create_bucket(Bucket="uploads")
    environment = {
        "PATH": os.environ["PATH"],
        "UPLOADGATE_ENVIRONMENT": "development",
        "UPLOADGATE_DATABASE__URL": f"sqlite+aiosqlite:///{tmp_path / 'worker.db'}",
        "UPLOADGATE_AWS__ACCESS_KEY_ID": "any",
        "UPLOADGATE_AWS__SECRET_ACCESS_KEY": "any",
        "UPLOADGATE_STORE__ENDPOINT": endpoint,
        "UPLOADGATE_SQS__ENDPOINT": endpoint,
        "UPLOADGATE_SQS__QUEUE_URL": stage.queue_url,
        "UPLOADGATE_SQS__WAIT_SECONDS": "1",
    }
    await stage.send(s3_body("users/nobody/a"))
    log = tmp_path / "worker.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli.main", "worker"),
            env=environment,
            cwd=Path(__file__).parents[2],
            stdout=output,
            stderr=output,
        )
    try:
        await eventually(stage.is_empty, "nothing is left")
        process.terminate()
        async with asyncio.timeout(120):
            assert await process.wait() == 0, log.read_text()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    async with Database.opened(f"sqlite+aiosqlite:///{tmp_path / 'worker.db'}") as database:
        assert await replace(stage, database=database).keys() == ["users/nobody/a"]
