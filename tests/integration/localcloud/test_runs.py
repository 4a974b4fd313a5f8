"""Runs that follow one another, crash, and share nothing but the data directory."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from botocore.exceptions import ClientError

from localcloud import DataDirError, LocalCloud, LocalCloudConfig
from tests.integration.localcloud.people import person, service_s3, token_for

needs_proc = pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
ANY_PORTS = {"s3_port": 0, "cognito_port": 0}


def config(data_dir: Path, **changed: object) -> LocalCloudConfig:
    return LocalCloudConfig(data_dir=data_dir, **(ANY_PORTS | changed))  # type: ignore[arg-type]


async def test_a_second_run_has_everything_of_the_first(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    async with (
        LocalCloud.running(config(data_dir, session_seconds=20)) as cloud,
        person(cloud, "alice") as alice,
    ):
        first, identity = cloud, alice.identity_id
        left = alice.keys["Expiration"] - datetime.now(UTC)
        assert timedelta(seconds=10) < left <= timedelta(seconds=21)
        await alice.s3.put_object(Bucket=cloud.bucket, Key=alice.key("kept"), Body=b"kept")
        with pytest.raises(DataDirError, match="in use"):
            async with LocalCloud.running(config(data_dir)):
                pass
    async with (
        LocalCloud.running(config(data_dir, role="read-write")) as cloud,
        person(cloud, "alice") as alice,
        person(cloud, "bob") as bob,
    ):
        assert alice.identity_id == identity
        assert cloud.environment() == first.environment()
        assert cloud.ports == first.ports
        body = (await alice.s3.get_object(Bucket=cloud.bucket, Key=alice.key("kept")))["Body"]
        assert await body.read() == b"kept"
        listed = await alice.s3.list_objects_v2(Bucket=cloud.bucket, Prefix=alice.key(""))
        assert [entry["Key"] for entry in listed["Contents"]] == [alice.key("kept")]
        for prefix in ("", "us-east-1", alice.identity_id[:-1], f"{alice.identity_id}"):
            with pytest.raises(ClientError, match="AccessDenied"):
                await bob.s3.list_objects_v2(Bucket=cloud.bucket, Prefix=prefix)
        with pytest.raises(ClientError, match="AccessDenied"):
            await bob.s3.get_object(Bucket=cloud.bucket, Key=alice.key("kept"))
        with pytest.raises(ClientError, match="AccessDenied"):
            await bob.s3.copy_object(
                Bucket=cloud.bucket,
                Key=bob.key("stolen"),
                CopySource={"Bucket": cloud.bucket, "Key": alice.key("kept")},
            )


async def test_other_ports_do_not_lose_anything(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    async with LocalCloud.running(config(data_dir)) as cloud, service_s3(cloud) as s3:
        ports = cloud.ports
        await s3.put_object(Bucket=cloud.bucket, Key="kept", Body=b"kept")
    (data_dir / "ports.json").unlink()
    async with LocalCloud.running(config(data_dir)) as cloud, service_s3(cloud) as s3:
        assert cloud.ports != ports
        body = (await s3.get_object(Bucket=cloud.bucket, Key="kept"))["Body"]
        assert await body.read() == b"kept"
        await s3.put_object(Bucket=cloud.bucket, Key="another", Body=b"another")


async def test_a_store_that_dies_is_started_again(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    async with LocalCloud.running(config(data_dir)) as cloud, service_s3(cloud) as s3:
        await s3.put_object(Bucket=cloud.bucket, Key="kept", Body=b"kept")
        os.kill(store_pid(data_dir), signal.SIGKILL)
        await asyncio.wait_for(cloud.store.restarted.wait(), 120)
        body = (await s3.get_object(Bucket=cloud.bucket, Key="kept"))["Body"]
        assert await body.read() == b"kept"
        await cloud.stop_store()
        with pytest.raises(httpx.ConnectError):
            await health(cloud)
        await cloud.start_store()
        assert (await health(cloud)).status_code == 200


async def test_the_webhook_gets_what_happens_in_the_bucket(tmp_path: Path) -> None:
    arrived: asyncio.Queue[tuple[str, dict[str, str]]] = asyncio.Queue()
    async with (
        receiver(arrived) as url,
        LocalCloud.running(config(tmp_path / "data", webhook_url=url)) as cloud,
        person(cloud, "alice") as alice,
    ):
        await alice.s3.put_object(Bucket=cloud.bucket, Key=alice.key("told"), Body=b"x")
        async with asyncio.timeout(120):
            while True:
                authorization, event = await arrived.get()
                assert authorization == f"Bearer {cloud.webhook_token}"
                if event["key"] == f"/buckets/{cloud.bucket}/{alice.key('told')}":
                    break
        assert event["event_type"] == "create"


@needs_proc
async def test_alone_it_says_where_it_is_and_stops_when_told(tmp_path: Path) -> None:
    async with alone(tmp_path) as process:
        file = tmp_path / "data" / "environment.sh"
        output = await announcement(process)
        assert str(file) in output
        assert file.stat().st_mode & 0o077 == 0
        settings = file.read_text()
        assert settings.startswith("export UPLOADGATE_AWS__REGION=us-east-1\n")
        secrets = json.loads((tmp_path / "data" / "secrets.json").read_text())
        assert secrets["service_secret_access_key"] in settings
        assert secrets["service_secret_access_key"] not in output
        pid = store_pid(tmp_path / "data")
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 120) == 0
        assert not alive(pid)


@needs_proc
async def test_the_store_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    async with alone(tmp_path) as process:
        await announcement(process)
        pid = store_pid(tmp_path / "data")
        process.kill()
        await process.wait()
        async with asyncio.timeout(120):
            while alive(pid):  # noqa: ASYNC110 - it is no child of ours
                await asyncio.sleep(0.05)


@needs_proc
async def test_a_store_left_behind_is_ended_by_the_next_run(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    async with alone(tmp_path) as process:
        await announcement(process)
        pid = store_pid(data_dir)
        os.kill(parent_of(pid), signal.SIGKILL)
        process.kill()
        await process.wait()
    assert alive(pid)
    async with LocalCloud.running(config(data_dir)) as cloud:
        assert not alive(pid)
        assert await token_for(cloud, "alice")


def store_pid(data_dir: Path) -> int:
    return int((data_dir / "weed.pid").read_text())


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        # A zombie that its new parent has not collected yet is dead enough.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


async def health(cloud: LocalCloud) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        return await client.get(f"{cloud.s3_endpoint}/healthz")


@contextlib.asynccontextmanager
async def alone(tmp_path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "localcloud", "--data-dir", str(tmp_path / "data")),
        *("--s3-port", "0", "--cognito-port", "0"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def announcement(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    lines = [await asyncio.wait_for(process.stdout.readline(), 120) for _ in range(5)]
    return b"".join(lines).decode()


@contextlib.asynccontextmanager
async def receiver(arrived: asyncio.Queue[tuple[str, dict[str, str]]]) -> AsyncIterator[str]:
    """A webhook that takes everything and closes the connection."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(headers["content-length"]))
        token = next(line for line in head if line.lower().startswith("authorization: "))
        arrived.put_nowait((token.partition(": ")[2], json.loads(body)))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/v1/webhooks/seaweedfs"
