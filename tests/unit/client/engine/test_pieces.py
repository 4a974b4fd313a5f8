"""What is pure: plans, rates, the meaning of the store's answers; and checksums."""

import asyncio
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.engine.answers import RefusedError, Taken, read_answer
from client.engine.checksums import checksum
from client.engine.local_file import LocalFile
from client.engine.pace import BLOCK, Pace, bytes_per_second
from client.engine.plan import Piece, plan_of, runs
from client.engine.threads import Threads
from client.problems import BadAnswerError, ChecksumUnavailableError
from client.signed import Multipart, StoredPart
from tests.unit.client.engine.conftest import Scene
from tests.unit.client.engine.fake_store import crc32

FileOf = Callable[[float], Path]


@given(size=st.integers(1, 10**6), step=st.integers(500, 10**4))
def test_the_pieces_make_up_the_file(size: int, step: int) -> None:
    plan = plan_of(size, Multipart("mp", step, -(-size // step)), None)
    assert plan.pieces[0].offset == 0
    for left, right in pairwise(plan.pieces):
        assert (left.offset + left.length, left.number + 1) == (right.offset, right.number)
        assert left.length == step
    assert plan.size == size
    assert 0 < plan.pieces[-1].length <= step


@pytest.mark.parametrize(("step", "count"), [(10, 9), (10, 11), (0, 10)])
def test_a_plan_that_does_not_fit_the_file_is_refused(step: int, count: int) -> None:
    with pytest.raises(BadAnswerError):
        plan_of(100, Multipart("mp", step, count), None)


@given(missing=st.sets(st.integers(1, 30)))
def test_runs_are_the_missing_pieces_with_neighbours_together(missing: set[int]) -> None:
    plan = plan_of(300, Multipart("mp", 10, 30), None)
    stored = [StoredPart(n, 10) for n in range(1, 31) if n not in missing]
    found = runs(plan.missing(stored))
    assert [piece.number for run in found for piece in run] == sorted(missing)
    for run in found:
        assert [piece.number for piece in run] == list(range(run[0].number, run[-1].number + 1))
    for left, right in pairwise(found):
        assert right[0].number > left[-1].number + 1


@pytest.mark.parametrize(
    ("text", "rate"),
    [("500k", 512_000), ("2M", 2_097_152), ("1.5MiB", 1_572_864), ("7", 7), ("1gb", 1024**3)],
)
def test_a_rate_is_read_as_curl_reads_it(text: str, rate: float) -> None:
    assert bytes_per_second(text) == rate


@pytest.mark.parametrize("text", ["", "0", "-1", "fast", "2 M", "1e6", "2T"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no rate"):
        bytes_per_second(text)


async def test_no_more_is_sent_than_the_rate_allows() -> None:
    now, waits = 100.0, []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    pace = Pace(1000, clock=lambda: now, sleep=sleep)
    await asyncio.gather(*(pace.wait_for(500) for _ in range(4)))
    assert waits == [0.5, 1.0, 1.5]
    now += 60  # what was not used is not saved up
    await pace.wait_for(500)
    await pace.wait_for(500)
    assert waits == [0.5, 1.0, 1.5, 0.5]
    assert pace.block < BLOCK == Pace(None).block


async def test_a_limited_rate_takes_its_time(file_of: FileOf, scene: Scene) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    pace = Pace(4096, clock=lambda: 0.0, sleep=sleep)
    object.__setattr__(scene.engine._means, "pace", pace)
    await scene.send(file_of(4))
    assert max(waited) == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("status", "code", "helps"),
    [
        (503, "SlowDown", "again"),
        (500, None, "again"),
        (429, None, "again"),
        (409, "ConditionalRequestConflict", "again"),
        (400, "RequestTimeout", "again"),
        (400, "BadDigest", "again"),
        (400, "ExpiredToken", "sign"),
        (403, "InvalidAccessKeyId", "sign"),
        (403, None, "sign"),
        (404, "NoSuchUpload", "restart"),
        (404, "NoSuchBucket", "nothing"),
        (400, "EntityTooLarge", "nothing"),
        (301, "PermanentRedirect", "nothing"),
        (501, "NotImplemented", "nothing"),
    ],
)
def test_each_answer_says_what_helps(status: int, code: str | None, helps: str) -> None:
    body = f"<Error><Code>{code}</Code><Message>secret</Message></Error>" if code else "<p>no</p>"
    with pytest.raises(RefusedError) as caught:
        read_answer(status, {"Retry-After": "7"}, body.encode())
    assert caught.value.helps == helps
    assert caught.value.retry_after == 7
    assert str(caught.value) == (code or f"HTTP {status}")


def test_an_object_that_is_there_already_counts_as_taken() -> None:
    assert read_answer(412, {}, b"") == Taken(before=True)
    assert read_answer(200, {}, b"") == Taken()


# The check value of "123456789", from the catalogue of parametrised CRC algorithms.
CHECK = {"CRC32": "y/Q5Jg==", "CRC64NVME": "rosUhgp5mIg="}


def _opened(path: Path, content: bytes) -> LocalFile:
    path.write_bytes(content)
    return LocalFile.open(path)


@pytest.mark.parametrize("algorithm", CHECK)
async def test_checksums_are_as_s3_writes_them(tmp_path: Path, algorithm: str) -> None:
    file = _opened(tmp_path / "a", b"xx123456789yy")
    with Threads(reads=1, calls=1) as threads:
        assert await checksum(file, 2, 9, algorithm, threads) == CHECK[algorithm]
    file.close()


@pytest.mark.parametrize("transport", ["credentials", "presigned"])
@pytest.mark.parametrize("parts", [0, 0.5, 3.5])
async def test_the_file_and_each_part_carry_their_checksums(
    scene: Scene, file_of: FileOf, transport: str, parts: float
) -> None:
    path = file_of(parts)
    await scene.send(path, transport=transport, checksum="crc32")
    scene.assert_arrived(path)
    whole = crc32(scene.service.content)
    assert scene.service.record["checksum"] == {"algorithm": "CRC32", "value": whole}
    if parts > 1 or transport == "credentials":
        sent = {put.headers["x-amz-checksum-crc32"] == crc32(put.body) for put in scene.store.puts}
        assert sent == {True}


async def test_a_checksum_that_cannot_be_had_is_told_before_anything_is_announced(
    scene: Scene, file_of: FileOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "awscrt", None)
    with pytest.raises(ChecksumUnavailableError, match="awscrt"):
        await scene.send(file_of(2), checksum="crc64nvme")
    assert scene.service.calls == []


async def test_without_a_checksum_none_is_sent(scene: Scene, file_of: FileOf) -> None:
    await scene.send(file_of(2))
    assert all("x-amz-checksum-crc32" not in put.headers for put in scene.store.puts)
    assert scene.service.record["checksum"] is None


def test_neighbouring_pieces_are_told_from_others() -> None:
    assert runs([Piece(1, 0, 5), Piece(2, 5, 5)]) == [[Piece(1, 0, 5), Piece(2, 5, 5)]]
