"""A relay takes its place, a little memory and no disk; and it goes on after what breaks it."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.replica import Replica, replica
from tests.integration.sender import MIB, Sender, problem
from tests.integration.stack import Stack, eventually

PART = 5 * MIB
CONTENT = os.urandom(2 * PART + 1000)
LARGE = 256 * MIB
SETTINGS = {
    "UPLOADGATE_UPLOADS__PART_SIZE": str(PART),
    "UPLOADGATE_RELAY__MAX_CONCURRENT": "1",
    "UPLOADGATE_RELAY__IDLE_SECONDS": "5",
    "UPLOADGATE_RELAY__LEAST_RATE": "10",
    "UPLOADGATE_COMPLETION__OVERDUE_SECONDS": "3600",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def narrow(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replica]:
    url = f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('narrow') / 'records.db'}"
    async with replica(stack, url, **SETTINGS) as running:
        yield running


@pytest.fixture
async def sender(narrow: Replica) -> AsyncIterator[Sender]:
    async with narrow.sender() as opened:
        yield opened


async def test_one_relay_too_many_is_told_to_come_again_and_all_else_goes_on(
    sender: Sender,
) -> None:
    slow, other = [await sender.announce(len(CONTENT), transport="relay") for _ in range(2)]
    enough = asyncio.Event()

    async def trickle() -> AsyncIterator[bytes]:
        sent = 0
        while not enough.is_set():
            yield CONTENT[sent : sent + 50]
            sent += 50
            await asyncio.sleep(0.05)  # some 1,000 bytes a second: slow, and fast enough
        yield CONTENT[sent:]

    running = asyncio.create_task(sender.relay(slow, trickle()))
    await sender.becomes(slow, "uploading")
    answer = await sender.relay(other, CONTENT)
    assert problem(answer, 503, "overloaded")["retry_mode"] == "wait"
    assert int(answer.headers["retry-after"]) > 0
    small = await sender.announce(5)
    assert (await sender.put(small["put"], b"hello")).status_code == 200
    await sender.completed(small)

    enough.set()
    assert (await running).json()["status"] == "completed"
    assert (await sender.relay(other, CONTENT)).json()["status"] == "completed"


def _peak(narrow: Replica) -> int:
    """The most memory that the service's process has had since it was forgotten, in bytes."""
    status = (_process(narrow) / "status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def _forget_peak(narrow: Replica) -> None:
    """That of its start, which would hide a relay's (proc(5), clear_refs)."""
    (_process(narrow) / "clear_refs").write_text("5")


def _files(narrow: Replica) -> set[str]:
    """What it has open, sockets and pipes aside."""
    opened = set()
    for fd in (_process(narrow) / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            opened.add(str(fd.readlink()))
    return {link for link in opened if link.startswith("/")}


def _process(narrow: Replica) -> Path:
    assert narrow.service.process is not None
    return Path(f"/proc/{narrow.service.process.pid}")


async def test_a_relay_of_256_mib_takes_little_memory_and_no_file(
    narrow: Replica, sender: Sender
) -> None:
    small = await sender.announce(len(CONTENT), transport="relay")
    assert (await sender.relay(small, CONTENT)).json()["status"] == "completed"
    _forget_peak(narrow)
    before, opened = _peak(narrow), _files(narrow)
    seen: set[str] = set()

    async def much() -> AsyncIterator[bytes]:
        for _ in range(LARGE // MIB):
            yield CONTENT[:MIB]
            seen.update(_files(narrow))

    upload = await sender.announce(LARGE, transport="relay")
    done = await sender.relay(upload, much())
    assert done.json()["status"] == "completed", done.text
    assert _peak(narrow) - before < 48 * MIB
    database = narrow.database_url.partition("///")[2]
    assert {path for path in seen - opened if not path.startswith(database)} == set()
    assert (await sender.ask("DELETE", f"/{upload['id']}")).json()["status"] == "deleted"


async def test_a_store_that_goes_away_in_the_middle_is_told_and_the_relay_goes_on_later(
    stack: Stack, sender: Sender
) -> None:
    upload = await sender.announce(len(CONTENT), transport="relay")

    async def broken() -> AsyncIterator[bytes]:
        yield CONTENT[: PART + 1000]
        await eventually(lambda: sender.arrived(upload), "the first part is there")
        await stack.cloud.stop_store()
        yield CONTENT[PART + 1000 :]

    try:
        answer = await sender.relay(upload, broken())
        assert problem(answer, 503, "store_unavailable")["retry_mode"] == "wait"
        assert "retry-after" in answer.headers
        again = await sender.relay(upload, CONTENT)
        problem(again, 503, "store_unavailable")
    finally:
        await stack.cloud.start_store()
    assert await sender.arrived(upload) == {1: PART}
    rest = f"bytes {PART}-{len(CONTENT) - 1}/{len(CONTENT)}"
    done = await sender.relay(upload, CONTENT[PART:], Content_Range=rest)
    assert done.json()["status"] == "completed", done.text
    assert (await sender.download(upload)).content == CONTENT


async def _begun(
    narrow: Replica, path: str, token: str | None, content: bytes, *, drip: float | None = None
) -> Any:
    """A request that promises more than it sends, and then waits for the answer. With `drip` it
    sends another byte each time that it has waited so many seconds.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", narrow.service.port)
    bearer = "" if token is None else f"Authorization: Bearer {token}\r\n"
    head = f"PUT {path} HTTP/1.1\r\nHost: x\r\n{bearer}Content-Length: {len(CONTENT)}\r\n\r\n"
    writer.write(head.encode() + content)
    await writer.drain()
    answer = asyncio.create_task(reader.readline())
    while drip and not (await asyncio.wait([answer], timeout=drip))[0]:
        writer.write(b"x")
    status = await answer
    head_lines = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return int(status.split()[1]), head_lines


async def test_a_client_that_falls_silent_loses_its_place_but_not_its_parts(
    narrow: Replica, sender: Sender
) -> None:
    upload = await sender.announce(len(CONTENT), transport="relay")
    path = f"/v1/uploads/{upload['id']}/content"
    async with asyncio.timeout(120):
        status, _ = await _begun(narrow, path, sender.user.token, CONTENT[: PART + 1])
    assert status == 408
    assert await sender.arrived(upload) == {1: PART}
    assert (await sender.relay(upload, CONTENT)).json()["status"] == "completed"


async def test_a_client_that_trickles_loses_its_place_too(narrow: Replica, sender: Sender) -> None:
    """One byte now and then is no silence, and would hold the place for ever."""
    upload = await sender.announce(len(CONTENT), transport="relay")
    path = f"/v1/uploads/{upload['id']}/content"
    async with asyncio.timeout(120):
        status, _ = await _begun(narrow, path, sender.user.token, b"x", drip=0.5)
    assert status == 408
    assert (await sender.relay(upload, CONTENT)).json()["status"] == "completed"


@pytest.mark.parametrize("known", [True, False], ids=["a stranger", "another user"])
async def test_a_file_that_nobody_wants_is_refused_before_it_is_sent(
    narrow: Replica, sender: Sender, known: bool
) -> None:
    upload = await sender.announce(len(CONTENT), transport="relay")
    other = await narrow.user()
    token = None if known else other.token
    async with asyncio.timeout(120):
        status, _ = await _begun(narrow, f"/v1/uploads/{upload['id']}/content", token, b"x")
    assert status == (401 if known else 404)
    assert (await sender.show(upload))["status"] == "pending"
