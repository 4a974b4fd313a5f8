import json
from collections.abc import Callable
from pathlib import Path

import pytest

from client.problems import ApiError, TransferError
from tests.fakes.http_stub import Reply
from tests.unit.client.engine.conftest import Scene
from tests.unit.client.engine.fake_service import PART

FileOf = Callable[[float], Path]
CUT = Reply(promised=10)
SIZE = int(9.5 * PART)  # of the fixture


def _problem(status: int, code: str, mode: str | None = None, **headers: str) -> Reply:
    body = {"code": code, "title": code, "status": status, "retry_mode": mode}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, json.dumps(body).encode(), headers=named)


OVERLOADED = _problem(503, "overloaded", "wait")


async def test_it_goes_in_one_stream_and_the_service_completes_it(scene: Scene, file: Path) -> None:
    size = SIZE
    sent = await scene.send(file, transport="relay")
    assert [span for span, _ in scene.service.relayed] == [f"bytes 0-{size - 1}/{size}"]
    assert scene.service.asked("complete") == []
    assert (sent.record.status, sent.pieces_sent) == ("completed", 10)


async def test_a_small_file_goes_without_a_range(scene: Scene, file_of: FileOf) -> None:
    await scene.send(file_of(0.5), transport="relay")
    assert [span for span, _ in scene.service.relayed] == [""]


async def test_runs_of_stored_parts_are_passed_over(scene: Scene, file: Path) -> None:
    multipart: dict[int, bytes] = {}

    def two_are_there(name: str) -> None:
        content = file.read_bytes()
        if name == "create":
            multipart.update({n: content[(n - 1) * PART : n * PART] for n in (1, 5)})
            scene.store.parts[scene.service.record["multipart"]["upload_id"]] = multipart
            raise TransferError("a crash")

    scene.service.on_call = two_are_there
    with pytest.raises(TransferError):
        await scene.send(file)
    await scene.send(file, transport="relay", resume=True)
    size = SIZE
    spans = [span for span, _ in scene.service.relayed]
    assert spans == [f"bytes 1024-4095/{size}", f"bytes 5120-{size - 1}/{size}"]
    scene.assert_arrived(file)
    assert scene.told == size


@pytest.mark.parametrize("reply", [OVERLOADED, CUT, _problem(416, "content_range", "resign")])
async def test_cut_off_it_goes_on_with_the_first_part_that_is_missing(
    scene: Scene, file: Path, reply: Reply
) -> None:
    scene.service.relay_faults = [(4, reply), (0, reply), (3, reply)]
    sent = await scene.send(file, transport="relay")
    starts = [span.split("-")[0] for span, _ in scene.service.relayed]
    assert starts == ["bytes 0", "bytes 4096", "bytes 4096", "bytes 7168"]
    scene.assert_arrived(file)
    assert sent.pieces_sent == 10


async def test_a_lost_last_answer_is_no_reason_to_begin_again(scene: Scene, file: Path) -> None:
    scene.service.relay_faults = [(10_000, CUT)]
    sent = await scene.send(file, transport="relay")
    assert len(scene.service.relayed) == 1
    assert sent.record.status == "completed"
    scene.assert_arrived(file)


async def test_trying_again_has_an_end_where_nothing_moves(scene: Scene, file: Path) -> None:
    scene.service.relay_faults = [(0, OVERLOADED)] * 20
    with pytest.raises(ApiError) as caught:
        await scene.send(file, transport="relay")
    assert caught.value.code == "overloaded"
    assert len(scene.service.relayed) == 7
    assert scene.told == 0
    assert scene.service.record["status"] == "aborted"


async def test_what_moves_may_be_cut_off_as_often_as_it_likes(
    scene: Scene, file_of: FileOf
) -> None:
    path = file_of(20)
    scene.service.relay_faults = [(1, CUT)] * 19
    await scene.send(path, transport="relay")
    scene.assert_arrived(path)


async def test_an_expired_token_is_renewed(scene: Scene, file: Path) -> None:
    scene.service.relay_faults = [(0, _problem(401, "token_expired", "refresh"))]
    sent = await scene.send(file, transport="relay")
    assert sent.record.status == "completed"
    assert scene.service.asked("renew") == ["token-0"]


async def test_a_refusal_for_good_ends_it(scene: Scene, file: Path) -> None:
    scene.service.relay_faults = [(0, _problem(403, "policy", "switch_transport"))]
    with pytest.raises(ApiError) as caught:
        await scene.send(file, transport="relay")
    assert caught.value.code == "policy"
    assert len(scene.service.relayed) == 1
