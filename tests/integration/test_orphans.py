"""Multiparts that stock clients begin and leave, at the embedded store."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from aws.clients import opened
from aws.multipart_pages import PAGE_SIZE
from aws.multiparts import S3Multiparts
from localcloud import LocalCloud, LocalCloudConfig
from service.completion.orphans import Orphans
from service.uploads.model import UploadStatus
from tests.fakes.records import MemoryRecords, upload
from tests.integration.localcloud.people import Person, person
from tests.integration.test_multiparts import access, lister

AGE = timedelta(days=7)


@dataclass
class House:
    """`now` is the service's time; the store's own is the real one."""

    bucket: str
    multiparts: S3Multiparts
    s3: Any
    alice: Person
    records: MemoryRecords = field(default_factory=MemoryRecords)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def owner_of(self, key: str) -> tuple[str, str] | None:
        folder, _, path = key.partition("/")
        return ("usr_alice", path) if folder == self.alice.identity_id else None

    async def begun(self, key: str, *, by: Any = None) -> str:
        made = await (by or self.alice.s3).create_multipart_upload(Bucket=self.bucket, Key=key)
        return str(made["UploadId"])

    def record(self, name: str, status: UploadStatus, **changes: Any) -> str:
        key = self.alice.key(name)
        row = upload(
            id=f"upl_{name}",
            bucket=self.bucket,
            key=key,
            status=status,
            **{"expires_at": self.now + timedelta(days=30), **changes},
        )
        self.records.rows[row.id] = row
        return key

    async def walk(self) -> int:
        """How many pages there were."""
        orphans = Orphans(
            records=self.records,
            multiparts=self.multiparts,
            owners=self,
            bucket=self.bucket,
            orphan_age=AGE,
            clock=lambda: self.now,
        )
        pages = 1
        while await orphans.step():
            pages += 1
        return pages


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def cloud(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalCloud]:
    config = LocalCloudConfig(
        data_dir=tmp_path_factory.mktemp("cloud") / "data", s3_port=0, cognito_port=0
    )
    async with LocalCloud.running(config) as running:
        yield running


@pytest.fixture
async def house(cloud: LocalCloud) -> AsyncIterator[House]:
    async with (
        opened(access(cloud)) as clients,
        lister(clients, cloud) as lists,
        person(cloud, "alice") as alice,
    ):
        multiparts = S3Multiparts(
            clients.s3, clients.s3_completing, lists, call_seconds=90, complete_seconds=90
        )
        made = House(cloud.bucket, multiparts, clients.s3, alice)
        yield made
        await _clear(made)


async def _all(house: House) -> list[Any]:
    """In one answer, as SeaweedFS gives up to 10,000."""
    answer = await house.s3.list_multipart_uploads(Bucket=house.bucket)
    found: list[Any] = answer.get("Uploads", [])
    return found


async def ids(house: House) -> set[str]:
    return {entry["UploadId"] for entry in await _all(house)}


async def _clear(house: House) -> None:
    for entry in await _all(house):
        await house.multiparts.abort(house.bucket, entry["Key"], entry["UploadId"])


async def test_those_of_a_users_folder_go_when_they_are_old(house: House) -> None:
    orphan = await house.begun(house.alice.key("a dir/é + %2F.bin"))
    kept = house.record("flying", UploadStatus.UPLOADING)
    left = {
        await house.begun(kept),
        await house.begun(kept, by=house.s3),
        await house.begun("exports/of-another-application.bin", by=house.s3),
    }
    over = [
        await house.begun(house.record("done", UploadStatus.COMPLETED)),
        await house.begun(house.record("late", UploadStatus.PENDING, expires_at=house.now)),
    ]
    await house.walk()
    assert await ids(house) == {orphan, *over, *left}
    house.now += AGE + timedelta(minutes=1)
    await house.walk()
    assert await ids(house) == left


async def test_parts_that_were_sent_go_with_it(house: House) -> None:
    key = house.alice.key("half.bin")
    begun = await house.begun(key)
    await house.alice.s3.upload_part(
        Bucket=house.bucket, Key=key, UploadId=begun, PartNumber=1, Body=b"half"
    )
    house.now += AGE + timedelta(minutes=1)
    await house.walk()
    assert await house.multiparts.parts(house.bucket, key, begun) is None


async def test_a_walk_of_several_pages_misses_none(house: House) -> None:
    """Some of them are aborted while it goes on, and one page ends where the list does."""
    names = [f"many/{number:03}" for number in range(2 * PAGE_SIZE)]
    places = asyncio.Semaphore(20)

    async def begin(name: str) -> str:
        async with places:
            return await house.begun(house.alice.key(name))

    begun = await asyncio.gather(*(begin(name) for name in names))
    for name in names[::7]:
        house.record(name, UploadStatus.UPLOADING)
    kept = set(begun[::7])
    house.now += AGE + timedelta(minutes=1)
    assert await house.walk() == 3
    assert await ids(house) == kept
