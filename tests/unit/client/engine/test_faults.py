"""Whatever goes wrong on the way, within the budget: every part arrives, none is sent in vain."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.engine.events import PieceResent, Restarted
from client.problems import CredentialsError, RejectedError, TransferError
from client.retries import RetryPolicy
from tests.fakes.http_stub import Reply
from tests.unit.client.engine.conftest import TUNING, Scene, scene_with
from tests.unit.client.engine.fake_service import PART, problem
from tests.unit.client.engine.fake_store import CUT, LOST, SILENCE, once, refusal

FileOf = Callable[[float], Path]

PASSING = {
    "busy": refusal("SlowDown", 503),
    "internal": refusal("InternalError", 500),
    "a proxy's": Reply(502, b"<html>"),
    "damaged": refusal("BadDigest", 400),
    "too slow": refusal("RequestTimeout", 400),
    "lost answer": LOST,
    "cut": CUT,
    "expired": refusal("ExpiredToken", 400),
    "expired address": refusal("AccessDenied", 403),
}


@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("transport", ["credentials", "presigned"])
async def test_one_part_is_sent_again_and_only_that_one(
    scene: Scene, file: Path, transport: str, fault: str
) -> None:
    scene.store.faults = [None, None, once(PASSING[fault])]
    sent = await scene.send(file, transport=transport)
    assert sent.transports == (transport,)
    scene.assert_arrived(file)
    assert len(scene.store.puts) == 11
    assert scene.store.sent_in_vain() == []
    assert len(scene.of(PieceResent)) == 1


def _written(path: Path, size: int) -> Path:
    path.write_bytes(os.urandom(size))
    return path


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    faults=st.lists(st.sampled_from([None, *PASSING.values(), "keys die"]), max_size=5).flatmap(
        lambda some: st.permutations([*some, *[None] * 6])
    ),
    parts=st.sampled_from([0.5, 1, 2, 5.25, 11]),
    transport=st.sampled_from(["auto", "credentials", "presigned"]),
    cognito_lives=st.integers(0, 3),
    checksum=st.sampled_from(["none", "crc32"]),
)
async def test_whatever_fails_every_part_arrives_and_none_is_sent_in_vain(  # noqa: PLR0917
    tmp_path_factory: pytest.TempPathFactory,
    faults: list[Any],
    parts: float,
    transport: str,
    cognito_lives: int,
    checksum: str,
) -> None:
    path = _written(tmp_path_factory.mktemp("file") / "a.bin", int(parts * PART))
    async with scene_with(replace(TUNING, renewals=5)) as scene:

        def keys_die(_: object) -> None:
            scene.store.dead_keys.add(scene.store.puts[-1].by)

        def cognito(name: str) -> None:
            spent = len(scene.service.asked("issue")) > cognito_lives
            if name == "issue" and spent and transport == "auto":
                raise CredentialsError("gone")

        scene.service.on_call = cognito
        scene.store.faults = [
            keys_die if fault == "keys die" else fault and once(fault) for fault in faults
        ]
        sent = await scene.send(path, transport=transport, checksum=checksum)
        scene.assert_arrived(path)
        assert scene.store.sent_in_vain() == []
        assert sent.record.status == "completed"
        assert len(scene.service.records) == 1


async def test_a_refusal_that_waiting_does_not_mend_is_not_tried_again(
    scene: Scene, file: Path
) -> None:
    scene.store.always = once(refusal("EntityTooLarge", 400))
    with pytest.raises(TransferError, match=r"^EntityTooLarge$"):
        await scene.send(file)
    assert sorted(scene.store.numbers) == sorted(set(scene.store.numbers))
    assert scene.service.record["status"] == "aborted"


async def test_sending_again_has_an_end(scene: Scene, file_of: FileOf) -> None:
    scene.store.always = once(refusal("SlowDown", 503))
    with pytest.raises(TransferError, match="SlowDown"):
        await scene.send(file_of(0.5))
    assert len(scene.store.puts) == 7


async def test_it_is_not_sent_again_earlier_than_the_store_asks(file: Path) -> None:
    waits = RetryPolicy(attempts=3, budget_seconds=30, first_delay=0.001, longest_delay=0.001)
    async with scene_with(replace(TUNING, retries=waits)) as scene:
        scene.store.faults = [once(refusal("SlowDown", 503, Retry_After="600"))]
        with pytest.raises(TransferError, match="SlowDown"):
            await scene.send(file)
        assert scene.store.numbers.count(1) == 1


async def test_what_stands_still_is_sent_again(file: Path) -> None:
    async with scene_with(replace(TUNING, stall_seconds=2)) as scene:
        scene.store.faults = [once(SILENCE)]
        sent = await scene.send(file)
        assert sent.record.status == "completed"
        scene.assert_arrived(file)
        assert [event.reason for event in scene.of(PieceResent)] == ["nothing moved any more"]


async def test_an_object_that_is_there_already_is_left_to_the_service(
    scene: Scene, file_of: FileOf
) -> None:
    scene.store.faults = [once(LOST)]
    sent = await scene.send(file_of(0.5), transport="credentials")
    assert sent.record.status == "completed"
    assert len(scene.store.puts) == 2
    assert {put.headers["if-none-match"] for put in scene.store.puts} == {"*"}


async def test_what_has_arrived_has_arrived_although_every_answer_was_lost(
    scene: Scene, file_of: FileOf
) -> None:
    def told_by_the_store(name: str) -> None:
        if name == "upload":
            scene.service.record["status"] = "completed"

    scene.service.on_call = told_by_the_store
    scene.store.faults = [once(LOST)]
    scene.store.always = once(CUT)
    sent = await scene.send(file_of(0.5), transport="credentials")
    assert sent.record.status == "completed"
    assert scene.service.asked("delete") == []


async def test_what_the_service_misses_is_sent_again(scene: Scene, file: Path) -> None:
    def loses_two(name: str) -> None:
        if name == "complete" and len(scene.service.asked("complete")) == 1:
            parts = scene.store.parts[scene.service.record["multipart"]["upload_id"]]
            del parts[3], parts[7]

    scene.service.on_call = loses_two
    sent = await scene.send(file)
    assert sent.record.status == "completed"
    scene.assert_arrived(file)
    assert sorted(scene.store.numbers[10:]) == [3, 7]


async def test_missing_parts_are_not_sent_for_ever(scene: Scene, file: Path) -> None:
    scene.service.failing["complete"] = [
        problem("upload_incomplete", mode="resign", missing_parts=[1]) for _ in range(10)
    ]
    with pytest.raises(TransferError, match="keeps missing"):
        await scene.send(file)
    assert scene.store.numbers.count(1) == 4


@pytest.mark.parametrize("transport", ["credentials", "presigned", "auto"])
async def test_a_multipart_that_is_gone_begins_anew_once(
    scene: Scene, file: Path, transport: str
) -> None:
    def gone(name: str) -> None:
        if name == "complete" and len(scene.service.asked("complete")) == 1:
            scene.store.parts.clear()

    scene.service.on_call = gone
    sent = await scene.send(file, transport=transport)
    assert sent.record.status == "completed"
    scene.assert_arrived(file)
    assert len(scene.of(Restarted)) == 1


async def test_a_multipart_that_goes_in_the_middle_begins_anew(scene: Scene, file: Path) -> None:
    scene.store.faults = [None, None, None, lambda _: scene.store.parts.clear()]
    sent = await scene.send(file)
    assert sent.record.status == "completed"
    scene.assert_arrived(file)


async def test_a_multipart_that_goes_again_and_again_ends_it(scene: Scene, file: Path) -> None:
    def gone(name: str) -> None:
        if name == "complete":
            scene.store.parts.clear()

    scene.service.on_call = gone
    with pytest.raises(TransferError):
        await scene.send(file)
    assert len(scene.service.asked("complete")) == 2


async def test_what_the_service_rejects_is_told_with_its_reason(scene: Scene, file: Path) -> None:
    scene.service.failing["complete"] = [problem("upload_rejected", 422)]
    with pytest.raises(RejectedError, match="upload_rejected"):
        await scene.send(file)
    assert scene.service.asked("delete") == []


async def test_a_completion_that_is_not_answered_in_time_is_waited_for(
    scene: Scene, file: Path
) -> None:
    def completed_by_the_stores_word(name: str) -> None:
        if name == "upload" and len(scene.service.asked("upload")) == 2:
            scene.service.record["status"] = "completed"

    scene.service.on_call = completed_by_the_stores_word
    scene.service.failing["complete"] = [problem("upload_state", mode="wait")]
    sent = await scene.send(file)
    assert sent.record.status == "completed"


async def test_parts_are_under_way_at_once_but_not_more_than_asked_for(
    scene: Scene, file: Path
) -> None:
    running = most = 0
    together = asyncio.Event()
    put = scene.engine._means.sender.put

    async def counted(*args: object) -> object:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == TUNING.parallel_parts:
            together.set()
        async with asyncio.timeout(60):
            await together.wait()
        try:
            return await put(*args)  # type: ignore[arg-type]
        finally:
            running -= 1

    scene.engine._means.sender.put = counted  # type: ignore[method-assign,assignment]
    await scene.send(file)
    assert most == TUNING.parallel_parts
