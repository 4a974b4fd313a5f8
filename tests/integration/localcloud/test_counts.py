"""What the store says of its own answers, counted: the proof that nothing was sent twice."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from localcloud import CountsUnavailableError, LocalCloud, LocalCloudConfig
from localcloud.store.counts import PUT_OBJECT
from tests.integration.localcloud.people import Person, person, service_s3

SENT, REFUSED, CUT_OFF = (PUT_OBJECT, 200), (PUT_OBJECT, 403), (PUT_OBJECT, 499)


async def multipart(cloud: LocalCloud, someone: Person, name: str) -> Any:
    where: Any = {"Bucket": cloud.bucket, "Key": someone.key(name)}
    made = await someone.s3.create_multipart_upload(**where)
    return {**where, "UploadId": made["UploadId"]}


async def test_every_part_is_counted_for_its_key_and_a_repeated_one_shows(
    cloud: LocalCloud, alice: Person, bob: Person
) -> None:
    where = await multipart(cloud, alice, "counted + ünïcode")
    before = await cloud.requests()
    await asyncio.gather(
        *(alice.s3.upload_part(**where, PartNumber=number, Body=b"x") for number in range(1, 41))
    )
    assert (await cloud.requests(where["Key"]))[SENT] == 40
    await alice.s3.upload_part(**where, PartNumber=7, Body=b"x")
    with pytest.raises(ClientError):
        await bob.s3.upload_part(**where, PartNumber=8, Body=b"x")
    await alice.s3.put_object(Bucket=cloud.bucket, Key=alice.key("another"), Body=b"x")
    counted = await cloud.requests(where["Key"])
    assert (counted[SENT], counted[REFUSED]) == (41, 1)
    assert (await cloud.requests() - before)[SENT] == 42
    await alice.s3.abort_multipart_upload(**where)


async def test_a_part_that_breaks_off_is_not_counted_as_sent(
    cloud: LocalCloud, alice: Person
) -> None:
    where = await multipart(cloud, alice, "broken-off")
    signed = urlsplit(
        await alice.s3.generate_presigned_url("upload_part", Params={**where, "PartNumber": 1})
    )
    _, writer = await asyncio.open_connection("127.0.0.1", cloud.ports.s3)
    head = f"PUT {signed.path}?{signed.query} HTTP/1.1\r\nHost: {signed.netloc}\r\n"
    writer.write(f"{head}Content-Length: 100000\r\n\r\n".encode() + b"x" * 5000)
    await writer.drain()
    writer.close()
    counted = await after_cut_off(cloud, where["Key"])
    assert counted[SENT] == 0
    await alice.s3.abort_multipart_upload(**where)


async def after_cut_off(cloud: LocalCloud, key: str) -> Counter[tuple[str, int]]:
    """The store notices by itself, and tells nobody but its log."""
    async with asyncio.timeout(120):
        while True:
            counted = await cloud.requests(key)
            if counted[CUT_OFF]:
                return counted
            await asyncio.sleep(0.05)


async def test_counting_survives_a_restart_of_the_store_and_says_when_it_cannot(
    tmp_path: Path,
) -> None:
    config = LocalCloudConfig(
        data_dir=tmp_path / "data", count_requests=True, s3_port=0, cognito_port=0
    )
    async with LocalCloud.running(config) as cloud, service_s3(cloud) as s3:
        where: Any = {"Bucket": cloud.bucket, "Key": "k", "Body": b"x"}
        await s3.put_object(**where)
        assert (await cloud.requests("k"))[SENT] == 1
        await cloud.stop_store()
        with pytest.raises(CountsUnavailableError, match="off"):
            await cloud.requests("k")
        await cloud.start_store()
        async with person(cloud, "alice"):
            await s3.put_object(**where)
        assert (await cloud.requests("k"))[SENT] == 2
        assert cloud.audit is not None
        socket = cloud.audit.socket
        assert socket.exists()
    assert not socket.parent.exists()


async def test_nothing_is_counted_unless_asked_for(tmp_path: Path) -> None:
    config = LocalCloudConfig(data_dir=tmp_path / "data", s3_port=0, cognito_port=0)
    async with LocalCloud.running(config) as cloud:
        with pytest.raises(CountsUnavailableError, match="count_requests"):
            await cloud.requests()
        assert not (tmp_path / "data" / "audit.json").exists()
