"""A scanner's tag at the embedded store is read for just the bytes that it was put on."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from aws.clients import opened
from aws.s3 import S3Store
from service.completion.scans import ScanRule, Scans
from service.uploads.model import Upload, UploadStatus
from service.uploads.verdicts import Verdict
from tests.fakes.records import upload
from tests.integration import store
from tests.integration.replica import Replica, replica
from tests.integration.stack import Stack, eventually
from tests.integration.test_multiparts import access

RULE = ScanRule(tag="Scan", clean=frozenset({"CLEAN"}), rejected=frozenset({"VIRUS"}))
KEY = "users/usr_ada/scanned.bin"
SETTINGS = {
    "UPLOADGATE_UPLOADS__PROFILES": json.dumps({"held": {"quarantine": True}}),
    "UPLOADGATE_COMPLETION__SCAN_TAG": "Scan",
    "UPLOADGATE_COMPLETION__SCAN_CLEAN": '["CLEAN"]',
    "UPLOADGATE_COMPLETION__SCAN_REJECTED": '["VIRUS"]',
}


@dataclass
class Quarantine:
    store: S3Store
    service: Any
    bucket: str

    async def write(self, content: bytes) -> None:
        await asyncio.to_thread(self.service.put_object, Bucket=self.bucket, Key=KEY, Body=content)

    async def tag(self, value: str) -> None:
        tags = {"TagSet": [{"Key": "Scan", "Value": value}, {"Key": "By", "Value": "a scanner"}]}
        await asyncio.to_thread(
            self.service.put_object_tagging, Bucket=self.bucket, Key=KEY, Tagging=tags
        )

    async def pinned(self) -> Upload:
        found = await self.store.head(self.bucket, KEY)
        assert found is not None
        return upload(
            bucket=self.bucket,
            key=KEY,
            status=UploadStatus.QUARANTINED,
            etag=found.etag,
            version_id=found.version_id,
        )

    async def look(self, record: Upload) -> Verdict | None:
        found = await self.store.head(self.bucket, KEY)
        assert found is not None
        return await Scans(store=self.store, rule=RULE).look(record, found)


@pytest.fixture
async def quarantine(stack: Stack) -> AsyncIterator[Quarantine]:
    async with opened(access(stack.cloud)) as clients:
        s3 = S3Store(clients.s3, call_seconds=90)
        yield Quarantine(s3, store.service(stack), stack.cloud.bucket)


@pytest.mark.parametrize(
    ("value", "verdict"), [("CLEAN", "clean"), ("VIRUS", "rejected"), ("FAILED", None)]
)
async def test_a_tag_that_comes_later_is_the_verdict(
    quarantine: Quarantine, value: str, verdict: str | None
) -> None:
    await quarantine.write(value.encode())
    record = await quarantine.pinned()
    assert await quarantine.look(record) is None
    await quarantine.tag(value)
    assert await quarantine.look(record) == verdict


async def test_a_tag_goes_with_the_bytes_that_it_was_put_on(quarantine: Quarantine) -> None:
    await quarantine.write(b"first")
    record = await quarantine.pinned()
    await quarantine.tag("CLEAN")
    await quarantine.write(b"second")
    assert await quarantine.look(record) is None
    assert await quarantine.look(await quarantine.pinned()) is None
    await quarantine.tag("CLEAN")
    assert await quarantine.look(record) is None


async def test_what_is_not_there_has_no_tags(quarantine: Quarantine) -> None:
    assert await quarantine.store.tags(quarantine.bucket, f"{KEY}/no", version_id=None) == {}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def shop(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replica]:
    url = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('scans') / 'records.db'}"
    async with replica(stack, url, **SETTINGS) as running:
        yield running


@pytest.mark.parametrize(("value", "status"), [("CLEAN", "completed"), ("VIRUS", "rejected")])
async def test_a_scanner_releases_or_rejects_what_is_in_quarantine(
    stack: Stack, shop: Replica, value: str, status: str
) -> None:
    async with shop.sender() as sender:
        upload = await sender.announce(5, profile="held")
        assert (await sender.put(upload["put"], b"bytes")).status_code == 200
        held = (await sender.complete(upload)).json()
        assert held["status"] == "quarantined"
        told = (await sender.ask("GET", f"/{upload['id']}/timeline")).json()
        assert told["waiting_for"] == "verdict"
        await asyncio.to_thread(
            store.service(stack).put_object_tagging,
            **store.place(upload),
            Tagging={"TagSet": [{"Key": "Scan", "Value": value}]},
        )
        await sender.becomes(upload, status)
        if status == "rejected":
            await eventually(lambda: store.gone(stack, upload), "the object is gone")
