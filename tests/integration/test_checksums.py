"""A checksum of the whole file, announced: what has another one is never completed."""

import base64
import os
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from awscrt.checksums import crc64nvme

from tests.integration import store
from tests.integration.sender import MIB, Sender, piece, problem, sender_at
from tests.integration.stack import Stack, eventually

PART = 8 * MIB  # the setting's default
CONTENT = os.urandom(2 * PART + 1000)
SMALL = b"hello, checksum"
WRONG = SMALL.upper()
ALGORITHMS = ["CRC32", "CRC64NVME"]

pytestmark = pytest.mark.parametrize("algorithm", ALGORITHMS)


@pytest.fixture
async def sender(stack: Stack) -> AsyncIterator[Sender]:
    async with sender_at(stack) as opened:
        yield opened


def _value(algorithm: str, content: bytes) -> str:
    if algorithm == "CRC32":
        digest = zlib.crc32(content).to_bytes(4, "big")
    else:
        digest = crc64nvme(content).to_bytes(8, "big")
    return base64.b64encode(digest).decode()


def _of(algorithm: str, content: bytes) -> dict[str, str]:
    return {"algorithm": algorithm, "value": _value(algorithm, content)}


async def _in_parts(sender: Sender, algorithm: str, declared: bytes, *, named: bool) -> Any:
    """All parts of CONTENT sent, under the checksum of what is `declared`."""
    upload = await sender.announce(len(CONTENT), checksum=_of(algorithm, declared))
    assert upload["multipart"]["checksum_algorithm"] == algorithm
    numbers = [1, 2, 3]
    checksums = {str(n): _value(algorithm, piece(upload, CONTENT, n)) for n in numbers}
    more = {"checksums": checksums} if named else {}
    for part in await sender.signed(upload, numbers, **more):
        answer = await sender.put(part, piece(upload, CONTENT, part["part_number"]))
        assert answer.status_code == 200, answer.text
    return upload


async def test_one_put_of_the_right_bytes_is_completed_and_shows_it(
    sender: Sender, algorithm: str
) -> None:
    upload = await sender.announce(len(SMALL), checksum=_of(algorithm, SMALL))
    assert (await sender.put(upload["put"], SMALL)).status_code == 200
    done = await sender.completed(upload)
    assert (done["checksum"], done["status_reason"]) == (_of(algorithm, SMALL), None)


async def test_one_put_of_other_bytes_is_refused_by_the_store(
    stack: Stack, sender: Sender, algorithm: str
) -> None:
    upload = await sender.announce(len(SMALL), checksum=_of(algorithm, SMALL))
    refused = await sender.put(upload["put"], WRONG)
    assert refused.status_code == 400, refused.text
    header = f"x_amz_checksum_{algorithm.lower()}"
    matching = await sender.put(upload["put"], WRONG, **{header: _value(algorithm, WRONG)})
    assert matching.status_code == 403, matching.text
    assert await store.gone(stack, upload)
    assert (await sender.put(upload["put"], SMALL)).status_code == 200
    await sender.completed(upload)


async def test_no_form_gets_round_a_checksum(sender: Sender, algorithm: str) -> None:
    """It could not name one, and the store would have none to compare."""
    upload = await sender.announce(len(SMALL), checksum=_of(algorithm, SMALL))
    assert upload["post"] is None
    assert (await sender.announce(len(SMALL)))["post"] is not None


async def test_other_bytes_by_the_users_own_credentials_are_rejected(
    stack: Stack, sender: Sender, algorithm: str
) -> None:
    upload = await sender.announce(
        len(SMALL), checksum=_of(algorithm, SMALL), transport="credentials"
    )
    owner = store.client(await store.credentials(stack, sender.user))
    named = {f"Checksum{algorithm}": _value(algorithm, WRONG)}
    owner.put_object(**store.place(upload), Body=WRONG, **named)
    rejected = await sender.becomes(upload, "rejected")
    assert rejected["status_reason"] == f"the {algorithm} checksum differs"
    await eventually(lambda: store.gone(stack, upload), "the object is gone")


@pytest.mark.parametrize("named", [True, False], ids=["parts named", "parts not named"])
async def test_parts_of_the_right_whole_are_completed_and_show_it(
    sender: Sender, algorithm: str, named: bool
) -> None:
    upload = await _in_parts(sender, algorithm, CONTENT, named=named)
    done = await sender.completed(upload)
    assert (done["checksum"], done["status_reason"]) == (_of(algorithm, CONTENT), None)


@pytest.mark.parametrize("named", [True, False], ids=["parts named", "parts not named"])
async def test_parts_of_another_whole_are_rejected_and_deleted(
    stack: Stack, sender: Sender, algorithm: str, named: bool
) -> None:
    upload = await _in_parts(sender, algorithm, CONTENT[::-1], named=named)
    told = problem(await sender.complete(upload), 422, "upload_rejected")
    assert told["detail"] == f"the {algorithm} checksum differs"
    shown = await sender.show(upload)
    assert (shown["status"], shown["status_reason"]) == ("rejected", told["detail"])
    await eventually(lambda: store.gone(stack, upload), "the object is gone")
    await eventually(lambda: store.no_multipart(stack, upload), "the multipart is gone")


async def test_a_part_with_other_bytes_than_its_checksum_is_refused_by_the_store(
    sender: Sender, algorithm: str
) -> None:
    upload = await sender.announce(len(CONTENT), checksum=_of(algorithm, CONTENT))
    right = piece(upload, CONTENT, 3)
    [signed] = await sender.signed(upload, [3], checksums={"3": _value(algorithm, right)})
    assert (await sender.put(signed, right[::-1])).status_code == 400
    assert await sender.arrived(upload) == {}


async def test_a_checksum_that_is_none_is_refused(sender: Sender, algorithm: str) -> None:
    other = ALGORITHMS[1 - ALGORITHMS.index(algorithm)]
    for value in ("", "nonsense!", _value(other, SMALL), "===="):
        declared = {"algorithm": algorithm, "value": value}
        problem(await sender.create(5, checksum=declared), 422, "invalid_request")
    upload = await sender.announce(len(CONTENT), checksum=_of(algorithm, CONTENT))
    for checksums in ({"1": "nonsense!"}, {"1": _value(other, SMALL)}):
        problem(await sender.sign(upload, [1], checksums=checksums), 422, "invalid_part")
    problem(
        await sender.sign(upload, [1], checksums={"2": _value(algorithm, SMALL)}),
        422,
        "invalid_request",
    )
