"""A scanner's tag at the embedded store is read for just the bytes that it was put on."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from aws.clients import opened
from aws.s3 import S3Store
from service.completion.scans import ScanRule, Scans
from service.uploads.model import Upload, UploadStatus
from service.uploads.verdicts import Verdict
from tests.fakes.records import upload
from tests.integration import store
from tests.integration.stack import Stack
from tests.integration.test_multiparts import access

RULE = ScanRule(tag="Scan", clean=frozenset({"CLEAN"}), rejected=frozenset({"VIRUS"}))
KEY = "users/usr_ada/scanned.bin"


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
        s3 = S3Store(clients.s3, call_seconds=30)
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
