"""The transfer engine against the real service and the real store, counted at the store."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from client.api import Api
from client.engine.engine import Engine
from client.engine.events import PieceStored
from client.engine.tuning import Tuning
from client.grants import CredentialSource
from client.http import HttpClient
from client.problems import FileError, NetworkError
from client.retries import RetryPolicy
from tests.integration import store
from tests.integration.stack import Stack, User, eventually

_MIB = 1024 * 1024
PUT = "REST.PUT.OBJECT"


class _Token:
    """Of a user who is logged in for longer than a test."""

    def __init__(self, user: User) -> None:
        self._token = user.token

    def access_token(self) -> str:
        return self._token

    def renew(self, refused: str) -> str:
        raise AssertionError("the token was refused")


Opened = Callable[..., AbstractAsyncContextManager[Engine]]


@pytest.fixture
async def user(stack: Stack) -> User:
    return await stack.user()


@pytest.fixture
def opened(stack: Stack, user: User) -> Opened:
    @asynccontextmanager
    async def engine(**tuning: Any) -> Any:
        with HttpClient(stack.service.url) as http:
            api = Api(http, _Token(user))
            async with Engine.opened(
                api, CredentialSource(api), tuning=Tuning(**tuning)
            ) as running:
                yield running

    return engine


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Of six parts, the last one short."""
    path = tmp_path / "Übung 1.bin"
    path.write_bytes(os.urandom(40 * _MIB + 17))
    return path


async def _content(stack: Stack, user: User, record: Any) -> bytes:
    """As a browser would get it."""
    answer = await stack.api.get(f"/v1/uploads/{record.id}/download", headers=user.headers)
    return bytes((await stack.api.get(answer.json()["url"])).content)


async def _puts(stack: Stack, record: Any) -> dict[int, int]:
    """How many PUTs of the record's key the store answered how."""
    counted = await stack.cloud.requests(record.key)
    return {status: count for (operation, status), count in counted.items() if operation == PUT}


WAYS = [
    (transport, checksum)
    for transport in ("auto", "credentials", "presigned", "relay")
    for checksum in ("none", "crc32", "crc64nvme")
]


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
async def test_a_file_of_parts_arrives_by_every_transport(
    stack: Stack, user: User, opened: Opened, file: Path, way: tuple[str, Any]
) -> None:
    transport, checksum = way
    async with opened() as engine:
        sent = await engine.send(file, transport=transport, checksum=checksum)
    assert sent.record.status == "completed"
    assert sent.transports == ("credentials" if transport == "auto" else transport,)
    assert await _content(stack, user, sent.record) == await asyncio.to_thread(file.read_bytes)
    assert await _puts(stack, sent.record) == {200: 6}
    if checksum != "none":
        assert sent.record.checksum is not None
        assert sent.record.checksum.algorithm == checksum.upper()


@pytest.mark.parametrize("transport", ["credentials", "presigned", "relay"])
async def test_small_files_go_in_one_request(
    stack: Stack, user: User, opened: Opened, tmp_path: Path, transport: str
) -> None:
    path = tmp_path / "small.txt"
    for content in (b"", b"hello"):
        await asyncio.to_thread(path.write_bytes, content)
        async with opened() as engine:
            sent = await engine.send(path, transport=transport, checksum="crc32")
        assert (sent.record.status, sent.record.content_type) == ("completed", "text/plain")
        assert await _content(stack, user, sent.record) == content
        assert await _puts(stack, sent.record) == {200: 1}


async def test_keys_that_end_in_the_middle_with_cognito_down_change_over_to_presigned(
    stack: Stack, user: User, opened: Opened, file: Path
) -> None:
    """Keys of three seconds (a second more at most) are renewed until Cognito stops with the first
    piece, after five; the last two pieces begin after ten, when no keys are good any more.
    """
    events: list[PieceStored] = []
    started = asyncio.Event()

    def on_event(event: Any) -> None:
        if isinstance(event, PieceStored):
            events.append(event)
            started.set()

    stack.cloud.issue_keys_for(3)
    try:
        async with opened(parallel_parts=2, limit_rate=3 * _MIB) as engine:
            sending = asyncio.create_task(engine.send(file, on_event=on_event))
            await started.wait()
            await stack.cloud.stop_cognito()
            sent = await sending
    finally:
        stack.cloud.issue_keys_for(3600)
        await stack.cloud.start_cognito()
    assert sent.record.status == "completed"
    assert sent.transports == ("credentials", "presigned")
    assert sorted(event.number for event in events) == [1, 2, 3, 4, 5, 6]
    assert (await _puts(stack, sent.record))[200] == 6
    assert await _content(stack, user, sent.record) == await asyncio.to_thread(file.read_bytes)


async def test_keys_that_end_in_the_middle_are_renewed(
    stack: Stack, opened: Opened, file: Path
) -> None:
    stack.cloud.issue_keys_for(4)
    try:
        async with opened(parallel_parts=2, limit_rate=4 * _MIB) as engine:
            sent = await engine.send(file, transport="credentials")
    finally:
        stack.cloud.issue_keys_for(3600)
    assert (sent.record.status, sent.transports) == ("completed", ("credentials",))
    assert (await _puts(stack, sent.record))[200] == 6


@pytest.mark.parametrize("then", ["auto", "presigned", "relay"])
async def test_after_a_crash_only_what_is_missing_is_sent(
    stack: Stack, user: User, opened: Opened, file: Path, then: str
) -> None:
    three = asyncio.Event()
    stored: list[PieceStored] = []

    def on_event(event: Any) -> None:
        if isinstance(event, PieceStored):
            stored.append(event)
            if len(stored) == 3:
                three.set()

    async with opened(parallel_parts=1) as engine:
        engine._records.discard = _crash  # type: ignore[method-assign,assignment]
        sending = asyncio.create_task(engine.send(file, on_event=on_event))
        await three.wait()
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    async with opened() as engine:
        sent = await engine.send(file, transport=then, resume=True)
    assert sent.record.status == "completed"
    assert sent.pieces_sent <= 3
    assert await _content(stack, user, sent.record) == await asyncio.to_thread(file.read_bytes)
    assert (await _puts(stack, sent.record))[200] <= 7  # one was under way when it crashed


async def _crash(*_: object) -> None:
    """Whoever has crashed deletes nothing."""


async def test_a_cancelled_upload_leaves_nothing_at_the_store(
    stack: Stack, user: User, opened: Opened, file: Path
) -> None:
    first = asyncio.Event()
    async with opened(parallel_parts=1, limit_rate=20 * _MIB) as engine:
        sending = asyncio.create_task(engine.send(file, on_event=lambda _: first.set()))
        await first.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
    answer = await stack.api.get("/v1/uploads", headers=user.headers)
    [record] = answer.json()["items"]
    assert record["status"] == "aborted"
    assert await _multiparts(stack, record) == []


async def _multiparts(stack: Stack, record: Any) -> Any:
    keys = {
        "region": stack.cloud.region,
        "endpoint": stack.cloud.s3_endpoint,
        "access_key_id": stack.cloud.service_access_key_id,
        "secret_access_key": stack.cloud.service_secret_access_key,
        "session_token": None,
    }
    found = await asyncio.to_thread(
        store.client(keys).list_multipart_uploads, Bucket=record["bucket"], Prefix=record["key"]
    )
    return found.get("Uploads", [])


async def test_a_file_that_shrinks_is_not_stored(
    stack: Stack, user: User, opened: Opened, file: Path
) -> None:
    async with opened(parallel_parts=1) as engine:
        with pytest.raises(FileError, match="shrank"):
            await engine.send(file, on_event=lambda _: os.truncate(file, _MIB))
    answer = await stack.api.get("/v1/uploads", headers=user.headers)
    assert [upload["status"] for upload in answer.json()["items"]] == ["aborted"]


async def test_a_multipart_that_was_aborted_at_the_store_begins_anew(
    stack: Stack, user: User, opened: Opened, file: Path
) -> None:
    """As a lifecycle rule does it, in the middle."""
    gone: list[str] = []

    def on_event(event: Any) -> None:
        if isinstance(event, PieceStored) and not gone:
            gone.append("now")
            _abort(stack, user)

    async with opened(parallel_parts=1) as engine:
        sent = await engine.send(file, on_event=on_event)
    assert sent.record.status == "completed"
    assert await _content(stack, user, sent.record) == await asyncio.to_thread(file.read_bytes)
    assert gone == ["now"]


def _abort(stack: Stack, user: User) -> None:
    with HttpClient(stack.service.url) as http:
        [record] = Api(http, _Token(user)).uploads()
    assert record.multipart is not None
    place = {"Bucket": record.bucket, "Key": record.key, "UploadId": record.multipart.upload_id}
    keys = {
        "region": stack.cloud.region,
        "endpoint": stack.cloud.s3_endpoint,
        "access_key_id": stack.cloud.service_access_key_id,
        "secret_access_key": stack.cloud.service_secret_access_key,
        "session_token": None,
    }
    store.client(keys).abort_multipart_upload(**place)


async def test_a_store_that_comes_back_is_waited_for(
    stack: Stack, user: User, opened: Opened, file: Path
) -> None:
    stopped = asyncio.Event()
    patient = RetryPolicy(attempts=1000, budget_seconds=120, first_delay=0.1, longest_delay=0.5)
    async with opened(parallel_parts=2, limit_rate=20 * _MIB, retries=patient) as engine:
        sending = asyncio.create_task(
            engine.send(file, transport="credentials", on_event=lambda _: stopped.set())
        )
        await stopped.wait()
        await stack.cloud.stop_store()
        try:
            await asyncio.sleep(0.5)
        finally:
            await stack.cloud.start_store()
        sent = await sending
    assert sent.record.status == "completed"
    assert await _content(stack, user, sent.record) == await asyncio.to_thread(file.read_bytes)


async def test_a_service_that_does_not_answer_is_told_as_such(
    stack: Stack, user: User, file: Path
) -> None:
    quick = RetryPolicy(attempts=2, first_delay=0.01)
    with HttpClient("http://127.0.0.1:9", policy=quick) as http:
        api = Api(http, _Token(user))
        async with Engine.opened(api, CredentialSource(api)) as engine:
            with pytest.raises(NetworkError):
                await engine.send(file)


async def _command(stack: Stack, user: User, *words: str) -> asyncio.subprocess.Process:
    """`uploadgate upload`, as in a terminal of the user's."""
    environment = {
        "PATH": os.environ["PATH"],
        "UPLOADGATE_URL": stack.service.url,
        "UPLOADGATE_USERNAME": user.name,
        "UPLOADGATE_PASSWORD": user.password,
        "UPLOADGATE_SESSION": str(stack.directory / f"{user.name}.json"),
    }
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.main", "upload", *words),
        env=environment,
        cwd=Path(__file__).parents[2],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def _ended(process: asyncio.subprocess.Process) -> tuple[int | None, str]:
    async with asyncio.timeout(120):
        output, _ = await process.communicate()
    return process.returncode, output.decode()


async def _some_parts(stack: Stack, user: User) -> dict[str, Any]:
    """The user's one record, as soon as the store has a part of it."""

    async def there() -> dict[str, Any] | None:
        items = (await stack.api.get("/v1/uploads", headers=user.headers)).json()["items"]
        for item in items:
            url = f"/v1/uploads/{item['id']}/parts"
            if (await stack.api.get(url, headers=user.headers)).json()["items"]:
                record: dict[str, Any] = item
                return record
        return None

    found: dict[str, Any] = await eventually(there, "a part is there")
    return found


async def test_ctrl_c_aborts_and_says_so_without_noise(
    stack: Stack, user: User, file: Path
) -> None:
    command = await _command(stack, user, str(file), "--limit-rate", "4M", "--parallel-parts", "2")
    record = await _some_parts(stack, user)
    command.send_signal(signal.SIGINT)
    code, output = await _ended(command)
    assert code == 130
    told = [line for line in output.splitlines() if "━" not in line and line]
    assert told == [
        "Stopping: aborting what is under way (Ctrl-C again: leave)",
        f"✗ {file}: cancelled: its parts are removed, its record is aborted",
    ]
    await stack.upload_becomes(user, record["id"], "aborted")
    assert await _multiparts(stack, record) == []


async def test_killed_and_resumed_it_completes_the_same_record(
    stack: Stack, user: User, file: Path
) -> None:
    command = await _command(stack, user, str(file), "--limit-rate", "4M", "--parallel-parts", "1")
    record = await _some_parts(stack, user)
    command.kill()
    await _ended(command)
    again = await _command(stack, user, str(file), "--resume", "--transport", "presigned")
    code, output = await _ended(again)
    assert code == 0, output
    key = record["key"]
    assert f"✓ {file}: completed as {key} ({record['id']}), by presigned" in output


async def test_boto3s_manager_is_there_for_those_who_want_it(
    stack: Stack, user: User, file: Path
) -> None:
    code, output = await _ended(await _command(stack, user, str(file), "--manager", "boto3"))
    assert code == 0, output
    assert "completed as" in output
    [record] = (await stack.api.get("/v1/uploads", headers=user.headers)).json()["items"]
    assert (record["status"], record["origin"]) == ("completed", "api")
