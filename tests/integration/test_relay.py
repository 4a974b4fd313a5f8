"""Through the service, for clients that cannot reach the store: through any replica, in ranges."""

import asyncio
import base64
import os
import zlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.fakes.postgres import postgres_database, running_postgres
from tests.integration import store
from tests.integration.replica import Replica, replica
from tests.integration.sender import MIB, Sender, opened_sender, problem
from tests.integration.stack import Stack, eventually

PART = 5 * MIB
CONTENT = os.urandom(2 * PART + 1000)
SIZE = len(CONTENT)
SMALL = b"hello, relay"
SETTINGS = {
    "UPLOADGATE_UPLOADS__PART_SIZE": str(PART),
    "UPLOADGATE_COMPLETION__OVERDUE_SECONDS": "3600",
}


@pytest.fixture(scope="module")
def postgres() -> Iterator[Path]:
    with running_postgres() as socket:
        yield socket


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def twins(stack: Stack, postgres: Path) -> AsyncIterator[tuple[Replica, Replica]]:
    """Two replicas that share nothing but the database."""
    async with (
        postgres_database(postgres) as url,
        replica(stack, url, **SETTINGS) as one,
        replica(stack, url, **SETTINGS) as other,
    ):
        yield one, other


@pytest.fixture
async def sender(twins: tuple[Replica, Replica]) -> AsyncIterator[Sender]:
    async with twins[0].sender() as opened:
        yield opened


@pytest.fixture
async def at_the_other(twins: tuple[Replica, Replica], sender: Sender) -> AsyncIterator[Sender]:
    """The same user, at the other replica."""
    async with opened_sender(twins[1].api, sender.user) as opened:
        yield opened


async def _chunked(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def _part(sender: Sender, upload: Any, first: int, end: int) -> Any:
    """Bytes `first` up to `end`, without it."""
    answer = await sender.relay(
        upload, CONTENT[first:end], Content_Range=f"bytes {first}-{end - 1}/{SIZE}"
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("content", [SMALL, b"", CONTENT], ids=["small", "empty", "in parts"])
@pytest.mark.parametrize("chunked", [False, True], ids=["of known length", "chunked"])
async def test_a_whole_file_is_completed_by_its_last_byte(
    stack: Stack, sender: Sender, content: bytes, chunked: bool
) -> None:
    upload = await sender.announce(len(content), transport="relay", content_type="video/mp4")
    assert (upload["put"], upload["post"]) == (None, None)
    answer = await sender.relay(upload, _chunked(content) if chunked else content)
    assert answer.status_code == 200, answer.text
    done = answer.json()
    assert (done["status"], done["transport"], done["size"]) == ("completed", "relay", len(content))
    found = await store.head(stack, upload)
    assert found is not None
    assert found["ContentType"] == "video/mp4"
    assert found["Metadata"] == {"uploadgate-upload-id": upload["id"]}
    assert (await sender.download(upload)).content == content


async def test_ranges_go_through_any_replica_in_any_order(
    stack: Stack, sender: Sender, at_the_other: Sender
) -> None:
    upload = await sender.announce(SIZE, transport="relay")
    assert (await _part(at_the_other, upload, 2 * PART, SIZE))["status"] == "uploading"
    assert (await _part(sender, upload, 0, PART))["status"] == "uploading"
    assert await at_the_other.arrived(upload) == {1: PART, 3: 1000}
    # The end came before the rest, so it is for the client to say that this was all.
    assert (await _part(at_the_other, upload, PART, 2 * PART))["status"] == "uploading"
    assert (await sender.completed(upload))["size"] == SIZE
    assert (await sender.download(upload)).content == CONTENT
    assert await store.no_multipart(stack, upload)


async def test_a_client_that_leaves_in_the_middle_of_a_part_goes_on_at_another_replica(
    twins: tuple[Replica, Replica], sender: Sender, at_the_other: Sender
) -> None:
    class Left(Exception):  # noqa: N818 - no error: a client that leaves
        pass

    upload = await sender.announce(SIZE, transport="relay")

    async def cut_off() -> AsyncIterator[bytes]:
        yield CONTENT[: PART + 1000]
        await eventually(lambda: at_the_other.arrived(upload), "the first part is there")
        raise Left

    with pytest.raises(Left):
        await sender.relay(upload, cut_off(), Content_Length=str(SIZE))
    assert await at_the_other.arrived(upload) == {1: PART}
    assert (await _part(at_the_other, upload, PART, SIZE))["status"] == "completed"
    assert (await sender.download(upload)).content == CONTENT
    assert "unhandled error" not in twins[0].service.log.read_text()


@pytest.mark.parametrize("first", [1, 1000, PART - 1, PART + 1])
async def test_a_range_that_begins_inside_a_part_is_told_where_to_go_on(
    sender: Sender, first: int
) -> None:
    upload = await sender.announce(SIZE, transport="relay")
    await sender.send(upload, CONTENT, [1])
    answer = await sender.relay(
        upload, CONTENT[first:], Content_Range=f"bytes {first}-{SIZE - 1}/{SIZE}"
    )
    told = problem(answer, 416, "content_range")
    assert told["expected_offset"] == PART
    assert "retry_mode" not in told  # nothing is to be signed anew
    assert await sender.arrived(upload) == {1: PART}


@pytest.mark.parametrize(
    "given",
    [
        f"bytes 0-{SIZE - 1}/{SIZE + 1}",
        f"bytes 0-{SIZE - 2}/{SIZE}",
        f"bytes 0-{PART}/{SIZE}",
        f"bytes {PART}-{PART - 1}/{SIZE}",
        f"bytes {PART}-{2 * PART}/{PART}",
        f"bytes 0-{SIZE - 1}/*",
        f"bytes */{SIZE}",
        f"bytes={0}-{SIZE - 1}",
        f"bytes 0-{SIZE - 1}/{'9' * 400}",
        f"bytes -{PART}/{SIZE}",
        "lines 0-1/2",
        "",
    ],
)
async def test_a_range_that_is_none_of_this_file_is_refused(sender: Sender, given: str) -> None:
    upload = await sender.announce(SIZE, transport="relay")
    answer = await sender.relay(upload, _chunked(CONTENT), Content_Range=given)
    problem(answer, 422, "invalid_request")
    assert await sender.arrived(upload) == {}


@pytest.mark.parametrize("chunked", [False, True], ids=["of known length", "chunked"])
@pytest.mark.parametrize("change", [-1, 1, PART], ids=["shorter", "longer", "a part longer"])
async def test_a_body_of_another_length_than_announced_is_refused(
    sender: Sender, chunked: bool, change: int
) -> None:
    upload = await sender.announce(SIZE, transport="relay")
    content = (CONTENT + bytes(PART))[: SIZE + change]
    answer = await sender.relay(upload, _chunked(content) if chunked else content)
    problem(answer, 422, "invalid_request")
    assert 3 not in await sender.arrived(upload)
    assert (await sender.show(upload))["status"] in {"pending", "uploading"}
    answer = await sender.relay(upload, CONTENT)
    assert answer.json()["status"] == "completed", answer.text


@pytest.mark.parametrize("chunked", [False, True], ids=["of known length", "chunked"])
@pytest.mark.parametrize("content", [SMALL[:-1], SMALL + b"!", b""])
async def test_a_small_body_of_another_length_is_refused(
    stack: Stack, sender: Sender, chunked: bool, content: bytes
) -> None:
    upload = await sender.announce(len(SMALL), transport="relay")
    answer = await sender.relay(upload, _chunked(content) if chunked else content)
    problem(answer, 422, "invalid_request")
    assert await store.gone(stack, upload)
    assert (await sender.relay(upload, SMALL)).json()["status"] == "completed"


async def test_two_relays_of_one_file_at_once_end_in_one_upload(
    sender: Sender, at_the_other: Sender
) -> None:
    for content in (SMALL, CONTENT):
        upload = await sender.announce(len(content), transport="relay")
        answers = await asyncio.gather(
            sender.relay(upload, content), at_the_other.relay(upload, content)
        )
        told = {(answer.status_code, answer.json().get("code")) for answer in answers}
        assert (200, None) in told
        assert told <= {(200, None), (409, "upload_state")}
        assert (await sender.show(upload))["status"] == "completed"
        assert (await sender.download(upload)).content == content


async def test_a_multipart_that_the_store_has_dropped_is_made_anew(
    stack: Stack, sender: Sender
) -> None:
    upload = await sender.announce(SIZE, transport="relay")
    await _part(sender, upload, 0, PART)
    await store.abort(stack, upload)
    answer = await sender.relay(
        upload, CONTENT[PART:], Content_Range=f"bytes {PART}-{SIZE - 1}/{SIZE}"
    )
    assert problem(answer, 409, "multipart_gone")["retry_mode"] == "resign"
    assert (await sender.relay(upload, CONTENT)).json()["status"] == "completed"


def _crc32(content: bytes) -> dict[str, str]:
    digest = zlib.crc32(content).to_bytes(4, "big")
    return {"algorithm": "CRC32", "value": base64.b64encode(digest).decode()}


async def test_a_checksum_holds_for_a_small_relayed_file(stack: Stack, sender: Sender) -> None:
    upload = await sender.announce(len(SMALL), transport="relay", checksum=_crc32(SMALL))
    told = problem(await sender.relay(upload, SMALL.upper()), 422, "invalid_request")
    assert told["detail"] == "The bytes do not have the checksum that was announced"
    assert await store.gone(stack, upload)
    assert (await sender.relay(upload, SMALL)).json()["checksum"] == _crc32(SMALL)


async def test_a_checksum_holds_for_a_file_relayed_in_parts(stack: Stack, sender: Sender) -> None:
    right = await sender.announce(SIZE, transport="relay", checksum=_crc32(CONTENT))
    assert (await sender.relay(right, CONTENT)).json()["checksum"] == _crc32(CONTENT)

    wrong = await sender.announce(SIZE, transport="relay", checksum=_crc32(CONTENT))
    problem(await sender.relay(wrong, CONTENT[::-1]), 422, "upload_rejected")
    assert (await sender.show(wrong))["status"] == "rejected"
    await eventually(lambda: store.gone(stack, wrong), "the object is gone")
