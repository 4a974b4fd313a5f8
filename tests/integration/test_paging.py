"""Lists in pages, at a store that makes them. SeaweedFS answers 10,000 parts in one; moto's
server, an S3 that is independent of it and of us, pages by 1,000 as AWS does.
"""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from aws.clients import AwsAccess, AwsClients, opened
from aws.multiparts import S3Multiparts
from aws.part_lister import PartLister
from aws.signer.presigner import Presigner
from service.uploads.ports import Completed
from tests.integration.stack import eventually, free_port

BUCKET = "paged"
MANY = 2_050


@dataclass(frozen=True)
class PagingStore:
    clients: AwsClients
    multiparts: S3Multiparts


@contextlib.asynccontextmanager
async def moto_server(log: Path) -> AsyncIterator[str]:
    """A process of its own: imported here, moto would meddle with the clients of other tests."""
    port = free_port()
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)),
            env={"PATH": os.environ["PATH"], "S3_UPLOAD_PART_MIN_SIZE": "1"},
            stdout=output,
            stderr=output,
        )
    url = f"http://127.0.0.1:{port}"

    async def answers() -> bool:
        assert process.returncode is None, f"the store ended; see {log}"
        with contextlib.suppress(httpx.TransportError):
            async with httpx.AsyncClient(trust_env=False) as client:
                return (await client.get(f"{url}/moto-api/")).is_success
        return False

    try:
        await eventually(answers, "the store answers")
        yield url
    finally:
        process.kill()  # it has nothing to keep
        await process.wait()


def lister(
    clients: AwsClients, access: AwsAccess
) -> contextlib.AbstractAsyncContextManager[PartLister]:
    signer = Presigner(
        credentials=clients.credentials, region=access.region, endpoint=access.s3_endpoint
    )
    return PartLister.opened(
        signer, connections=4, connect_seconds=30, read_seconds=60, attempts=3, call_seconds=90
    )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def store(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[PagingStore]:
    async with moto_server(tmp_path_factory.mktemp("moto") / "log") as url:
        access = AwsAccess(
            region="us-east-1", access_key_id="any", secret_access_key="any", s3_endpoint=url
        )
        async with opened(access) as clients, lister(clients, access) as lists:
            await clients.s3.create_bucket(Bucket=BUCKET)
            multiparts = S3Multiparts(
                clients.s3, clients.s3_completing, lists, call_seconds=90, complete_seconds=90
            )
            yield PagingStore(clients, multiparts)


async def many_parts(store: PagingStore, key: str, multipart_id: str) -> dict[int, str]:
    """Sent by eight at once, so that they arrive in no order; their ETags by number."""
    etags: dict[int, str] = {}
    numbers = iter(range(1, MANY + 1))

    async def send() -> None:
        for number in numbers:
            answer = await store.clients.s3.upload_part(
                Bucket=BUCKET,
                Key=key,
                UploadId=multipart_id,
                PartNumber=number,
                Body=b"%d," % number,
            )
            etags[number] = answer["ETag"].strip('"')

    await asyncio.gather(*(send() for _ in range(8)))
    return etags


async def test_thousands_of_parts_are_listed_over_pages_and_completed(store: PagingStore) -> None:
    key = "folder/many"
    made = await store.multiparts.create(
        BUCKET, key, content_type="text/plain", upload_id="upl_1", algorithm=None
    )
    sent = await many_parts(store, key, made)

    first: Any = await store.clients.s3.list_parts(Bucket=BUCKET, Key=key, UploadId=made)
    assert (len(first["Parts"]), first["IsTruncated"]) == (1000, True), "this store pages"

    found = await store.multiparts.parts(BUCKET, key, made)
    assert found is not None
    assert [(part.number, part.etag) for part in found] == sorted(sent.items())
    assert sum(part.size for part in found) == len(whole())

    assert (
        await store.multiparts.complete(BUCKET, key, made, found, checksum=None) is Completed.DONE
    )
    body = (await store.clients.s3.get_object(Bucket=BUCKET, Key=key))["Body"]
    assert await body.read() == whole()
    assert await store.multiparts.parts(BUCKET, key, made) is None


def whole() -> bytes:
    return b"".join(b"%d," % number for number in range(1, MANY + 1))
