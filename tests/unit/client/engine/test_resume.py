import asyncio
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from client.engine.events import Begun
from client.engine.local_file import LocalFile
from client.problems import FileError, NetworkError, TransferError
from tests.fakes.eventually import eventually
from tests.unit.client.engine.conftest import Scene
from tests.unit.client.engine.fake_service import PART, problem
from tests.unit.client.engine.fake_store import SILENCE, once, refusal

FileOf = Callable[[float], Path]


async def _interrupted(scene: Scene, file: Path, **more: object) -> None:
    """A run that fails when six parts have arrived, in a way that may pass."""
    scene.store.faults = [None] * 6
    scene.store.always = once(refusal("SlowDown", 503))
    with pytest.raises(TransferError) as caught:
        await scene.send(file, **more)
    [note] = caught.value.__notes__
    # What was just being answered when it failed is kept, but not counted.
    assert re.fullmatch(r"[456] parts are kept at the store: --resume goes on from there", note)
    # What was given up while it was under way is still to be refused.
    await eventually(lambda: not scene.store.stub._talks)
    scene.store.always = None
    scene.store.puts.clear()
    scene.events.clear()
    scene.told = 0


def _rewrite(file: Path) -> None:
    file.write_bytes(os.urandom(file.stat().st_size))


@pytest.mark.parametrize("first", ["credentials", "presigned"])
@pytest.mark.parametrize("then", ["auto", "credentials", "presigned", "relay"])
async def test_resumed_only_what_is_missing_is_sent(
    scene: Scene, file: Path, first: str, then: str
) -> None:
    await _interrupted(scene, file, transport=first)
    sent = await scene.send(file, transport=then, resume=True)
    assert sent.record.status == "completed"
    assert len(scene.service.records) == 1
    assert sent.pieces_sent == 4
    assert len(scene.store.puts) == (0 if then == "relay" else 4)
    scene.assert_arrived(file)
    [begun] = scene.of(Begun)
    assert (begun.kept_pieces, begun.pieces) == (6, 10)


async def test_a_stored_part_of_another_size_is_sent_again(scene: Scene, file: Path) -> None:
    await _interrupted(scene, file)
    parts = scene.store.parts[scene.service.record["multipart"]["upload_id"]]
    number = min(parts)
    parts[number] = parts[number][:-1]
    sent = await scene.send(file, resume=True)
    assert sent.pieces_sent == 5
    assert scene.service.asked("complete") == [None]
    scene.assert_arrived(file)


async def test_with_all_parts_there_it_is_only_completed(scene: Scene, file: Path) -> None:
    scene.service.failing["complete"] = [NetworkError("cut", sent=True)]
    with pytest.raises(NetworkError):
        await scene.send(file)
    scene.store.puts.clear()
    sent = await scene.send(file, resume=True)
    assert (sent.record.status, sent.pieces_sent, sent.transports) == ("completed", 0, ())
    assert scene.store.puts == []


async def test_a_file_that_has_arrived_is_not_sent_again(scene: Scene, file: Path) -> None:
    first = await scene.send(file)
    scene.told = 0
    again = await scene.send(file, resume=True)
    assert again.record.id == first.record.id
    assert again.pieces_sent == 0
    scene.assert_arrived(file)


async def test_without_resume_a_new_record_is_made(scene: Scene, file: Path) -> None:
    await _interrupted(scene, file)
    await scene.send(file)
    assert len(scene.service.records) == 2


async def test_another_content_is_not_gone_on_with(scene: Scene, file: Path) -> None:
    await _interrupted(scene, file)
    _rewrite(file)
    sent = await scene.send(file, resume=True)
    assert len(scene.service.records) == 2
    assert sent.pieces_sent == 10
    scene.assert_arrived(file)


async def test_an_ended_record_is_not_gone_on_with(scene: Scene, file: Path) -> None:
    await _interrupted(scene, file)
    scene.service.record["status"] = "expired"
    await scene.send(file, resume=True)
    assert len(scene.service.records) == 2


async def test_a_record_of_another_profile_or_checksum_is_not_gone_on_with(
    scene: Scene, file: Path
) -> None:
    await _interrupted(scene, file)
    await _interrupted(scene, file, resume=True, profile="video")
    sent = await scene.send(file, resume=True, checksum="crc32")
    assert len(scene.service.records) == 3
    assert sent.pieces_sent == 10


async def test_nothing_stored_nothing_kept(scene: Scene, file: Path) -> None:
    scene.store.always = once(refusal("SlowDown", 503))
    with pytest.raises(TransferError):
        await scene.send(file)
    assert scene.service.record["status"] == "aborted"


async def test_cancelling_stops_the_parts_and_deletes_the_record(scene: Scene, file: Path) -> None:
    all_stand = asyncio.Event()

    def stands(_: object) -> object:
        if len(scene.store.puts) == 5:
            all_stand.set()
        return SILENCE

    scene.store.faults = [None, None]
    scene.store.always = stands  # type: ignore[assignment]
    sending = asyncio.create_task(scene.send(file))
    await asyncio.wait_for(all_stand.wait(), 60)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert scene.service.record["status"] == "aborted"
    assert len(scene.store.puts) == 5
    assert scene.told == 2 * PART


async def test_cancelled_while_it_is_announced_leaves_no_record(scene: Scene, file: Path) -> None:
    loop = asyncio.get_running_loop()
    announced = asyncio.Event()

    def on_call(name: str) -> None:
        if name == "create":
            loop.call_soon_threadsafe(announced.set)

    scene.service.on_call = on_call
    sending = asyncio.create_task(scene.send(file))
    await announced.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert scene.service.record["status"] == "aborted"
    assert scene.store.puts == []


async def test_a_record_that_could_not_be_deleted_is_told_of(scene: Scene, file: Path) -> None:
    scene.store.always = once(refusal("EntityTooLarge", 400))
    scene.service.failing["delete"] = [problem("upload_state")]
    with pytest.raises(TransferError) as caught:
        await scene.send(file)
    assert caught.value.__notes__ == ["its record upl_1 could not be deleted: upload_state"]


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "grows": (lambda path: os.truncate(path, path.stat().st_size + 1), "grew"),
    "shrinks": (lambda path: os.truncate(path, 5), "shrank"),
    "is written to": (lambda path: os.utime(path, ns=(1, 1)), "was changed"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("transport", ["credentials", "presigned", "relay"])
async def test_a_file_that_changes_meanwhile_is_not_completed(
    scene: Scene, file: Path, transport: str, change: str
) -> None:
    spoil, how = CHANGES[change]

    def on_call(name: str) -> None:
        if name == "create":
            spoil(file)

    scene.service.on_call = on_call
    with pytest.raises(FileError, match=how):
        await scene.send(file, transport=transport)
    assert scene.service.record["status"] == "aborted"
    assert scene.service.asked("complete") == []
    assert scene.told == 0


async def test_a_file_that_changes_after_its_last_part_is_not_completed(
    scene: Scene, file: Path
) -> None:
    def on_last(_: object) -> None:
        os.truncate(file, 5)

    scene.store.faults = [*[None] * 9, on_last]
    with pytest.raises(FileError, match="shrank"):
        await scene.send(file)
    assert scene.service.asked("complete") == []
    assert scene.service.record["status"] == "aborted"


async def test_no_file_no_record(scene: Scene, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "missing", tmp_path, tmp_path / "fifo"):
        with pytest.raises(FileError):
            await scene.send(path)
    assert scene.service.calls == []


def test_the_fingerprint_is_the_files_and_tells_nothing_of_its_place(file: Path) -> None:
    def fingerprint(path: Path) -> str:
        opened = LocalFile.open(path)
        opened.close()
        return opened.fingerprint

    first = fingerprint(file)
    assert first == fingerprint(file.parent / "." / file.name)
    assert file.name not in first
    assert len(first) < 100
    os.utime(file, ns=(1, 1))
    second = fingerprint(file)
    link = file.with_name("copy")
    link.hardlink_to(file)
    assert len({first, second, fingerprint(link)}) == 3
