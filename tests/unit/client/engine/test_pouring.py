import asyncio
import errno
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from client.engine.body import Body, Source
from client.engine.local_file import LocalFile
from client.engine.pace import BLOCK, Pace
from client.engine.pouring import _Handle
from client.engine.sending import Sender
from client.engine.threads import Threads
from client.engine.watchdog import Watchdog
from client.problems import FileError
from tests.fakes.eventually import eventually
from tests.fakes.http_stub import HttpStub

FileOf = Callable[[float], Path]
SendFile = Callable[[int, int, int, int], int]
_SIZE = 8 * BLOCK
_sendfile: SendFile = os.sendfile


@pytest_asyncio.fixture
async def sender() -> AsyncIterator[Sender]:
    async with Sender.opened(connections=2) as opened:
        yield opened


@pytest.fixture
def source(file_of: FileOf) -> Iterator[Source]:
    file = LocalFile.open(file_of(_SIZE / 1024))
    with Threads(reads=2, calls=1) as threads:
        yield Source(file, threads, Pace(None), lambda _: None)
    file.close()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of what has passed through this process."""
    lengths: list[int] = []
    pread = os.pread

    def counted(handle: int, length: int, offset: int) -> bytes:
        lengths.append(length)
        return pread(handle, length, offset)

    monkeypatch.setattr(os, "pread", counted)
    return lengths


async def _put(sender: Sender, source: Source, stub: HttpStub) -> Body:
    watchdog = Watchdog(5)
    body = Body(source, 0, _SIZE, watchdog)
    answer = await sender.put(f"{stub.url}/x", {}, body, watchdog)
    assert answer.status == 200
    return body


async def test_all_but_the_last_block_goes_past_this_process(
    sender: Sender, source: Source, read: list[int]
) -> None:
    async with HttpStub.serving() as stub:
        assert (await _put(sender, source, stub)).sent == _SIZE
        assert sum(read) == BLOCK
        assert stub.requests[0].body == source.file.path.read_bytes()


def _refused(*_: int) -> int:
    raise OSError(errno.EINVAL, "not of this kind of file")


def _after_some(times: int) -> SendFile:
    left = [times]

    def some(*arguments: int) -> int:
        left[0] -= 1
        return _sendfile(*arguments) if left[0] >= 0 else _refused()

    return some


@pytest.mark.parametrize("sends", [_refused, _after_some(1)], ids=["never", "no more"])
async def test_where_it_cannot_be_poured_it_goes_block_by_block(
    sender: Sender, source: Source, monkeypatch: pytest.MonkeyPatch, sends: SendFile
) -> None:
    monkeypatch.setattr(os, "sendfile", sends)
    async with HttpStub.serving() as stub:
        assert (await _put(sender, source, stub)).sent == _SIZE
        assert stub.requests[0].body == source.file.path.read_bytes()


async def test_no_room_after_all_is_waited_for(
    sender: Sender, source: Source, read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def every_other(*arguments: int) -> int:
        calls.append(arguments)
        if len(calls) % 2:
            raise BlockingIOError
        return _sendfile(*arguments)

    monkeypatch.setattr(os, "sendfile", every_other)
    async with HttpStub.serving() as stub:
        await _put(sender, source, stub)
        assert stub.requests[0].body == source.file.path.read_bytes()
    assert sum(read) == BLOCK


async def test_a_file_that_changes_meanwhile_never_goes_out_in_full(
    sender: Sender, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    def then_written_to(*arguments: int) -> int:
        count = _sendfile(*arguments)
        os.utime(source.file.path, ns=(1, 1))
        return count

    monkeypatch.setattr(os, "sendfile", then_written_to)
    async with HttpStub.serving() as stub:
        with pytest.raises(FileError, match="was changed"):
            await _put(sender, source, stub)
        assert stub.requests == []


async def test_given_up_while_a_thread_is_at_it_the_connection_ends_after_that(
    sender: Sender, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_it, go_on = threading.Event(), threading.Event()
    used: list[int] = []

    def slow_disk(connection: int, *arguments: int) -> int:
        used.append(connection)
        at_it.set()
        go_on.wait(10)
        return _sendfile(connection, *arguments)

    monkeypatch.setattr(os, "sendfile", slow_disk)
    async with HttpStub.serving() as stub:
        putting = asyncio.create_task(_put(sender, source, stub))
        await eventually(at_it.is_set)
        putting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await putting
        assert _is_open(used[0])
        go_on.set()
        await eventually(lambda: not _is_open(used[0]))
        assert stub.requests == []


def _is_open(handle: int) -> bool:
    try:
        os.fstat(handle)
    except OSError:
        return False
    return True


def test_a_handle_is_closed_by_whoever_leaves_last(tmp_path: Path) -> None:
    handle = _Handle(os.open(tmp_path, os.O_RDONLY))
    assert handle.taken()
    handle.leave()
    assert _is_open(handle.number)
    handle.leave()
    assert not _is_open(handle.number)
    assert not handle.taken()
