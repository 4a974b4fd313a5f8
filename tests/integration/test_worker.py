"""Replicas that only answer, and `uploadgate worker` that completes and delivers beside them."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.fakes.postgres import postgres_database, running_postgres
from tests.integration.event_reader import EventReader
from tests.integration.receiver import SETTINGS, Administrator
from tests.integration.replica import Replica, replica
from tests.integration.sender import Sender
from tests.integration.stack import Stack, eventually

CONTENT = b"hello, worker"
COMPLETED = "upload.completed"
ONLY_ANSWERS = {
    **SETTINGS,
    "UPLOADGATE_COMPLETION__IN_SERVER": "false",
    "UPLOADGATE_UPLOADS__URL_SECONDS": "9",
    # Longer than any test: pages hear of what the worker did by its word alone.
    "UPLOADGATE_EVENTS__LOOK_SECONDS": "3600",
}


@dataclass
class Worker:
    process: asyncio.subprocess.Process
    log: Path

    @classmethod
    @asynccontextmanager
    async def running(cls, shop: Replica) -> AsyncIterator["Worker"]:
        """With the replica's own settings."""
        log = shop.service.log.with_suffix(".worker.log")
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "cli.main", "worker"),
                env={"PATH": os.environ["PATH"], **shop.service.environment},
                cwd=Path(__file__).parents[2],
                stdout=output,
                stderr=output,
            )
        try:
            yield cls(process, log)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def stop(self) -> None:
        self.process.terminate()
        async with asyncio.timeout(120):
            assert await self.process.wait() == 0, self.log.read_text()


@pytest.fixture(scope="module")
def postgres() -> Iterator[Path]:
    with running_postgres() as socket:
        yield socket


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(stack: Stack, postgres: Path) -> AsyncIterator[Replica]:
    async with postgres_database(postgres) as url, replica(stack, url, **ONLY_ANSWERS) as running:
        yield running


async def _put(sender: Sender) -> Any:
    """The upload, whose object is at the store: only the sweep finds it, since its events go to
    another service.
    """
    upload = await sender.announce(len(CONTENT))
    assert (await sender.put(upload["put"], CONTENT)).status_code == 200
    return upload


async def _its_address_has_expired(sender: Sender, upload: Any) -> None:
    """After several sweeps' time. Nothing arrives by this: the body is of another length."""

    async def refused() -> bool:
        return "expired" in (await sender.store.put(upload["put"]["url"], content=b"")).text.lower()

    await eventually(refused, "the address has expired")


async def test_what_a_replica_leaves_undone_the_worker_does(shop: Replica) -> None:
    admin = Administrator(shop.api, await shop.user(admin=True))
    async with (
        admin.receiving() as (receiver, endpoint),
        shop.sender() as sender,
        EventReader.reading(shop.service.url, sender.user) as page,
    ):
        left, asked = await _put(sender), await _put(sender)
        await sender.completed(asked)
        await page.hears(asked, COMPLETED)
        await _its_address_has_expired(sender, await sender.announce(1))
        assert (await sender.show(left))["status"] == "pending"
        assert receiver.attempts == []
        assert await admin.deliveries(endpoint) == []

        async with Worker.running(shop) as worker:
            for upload in (left, asked, await _put(sender)):
                (await receiver.heard(upload, COMPLETED)).verified(endpoint["secret"])
                await page.hears(upload, COMPLETED)
                assert (await sender.show(upload))["status"] == "completed"
            await worker.stop()
        assert page.numbers() == [1, 2, 3]
        assert len(receiver.attempts) == 3
