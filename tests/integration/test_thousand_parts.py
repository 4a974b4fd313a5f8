"""More parts than one page of a list or one call for addresses holds, left half done and found
again. Zeros, of which the store keeps a hundredth: it compresses them.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.integration import store
from tests.integration.replica import replica
from tests.integration.sender import MIB, Sender, opened_sender, problem
from tests.integration.stack import Stack

PART = 5 * MIB  # S3's smallest
COUNT = 1003
LAST = 1000
SIZE = (COUNT - 1) * PART + LAST
MOST_AT_ONCE = 1000
ZEROS = bytes(PART)
FINGERPRINT = f"zeros.txt-{SIZE}-1700000000"
# A gap in the middle, so that what is there goes beyond the first thousand.
FIRST = [*range(1, 301), *range(704, COUNT + 1)]


@pytest.fixture
async def senders(stack: Stack, tmp_path: Path) -> AsyncIterator[tuple[Sender, Sender]]:
    """One user's, in two runs that have nothing in common."""
    if shutil.disk_usage(stack.directory).free < 2 * SIZE:
        pytest.skip("needs room on the disk, should the store not compress")
    url = f"sqlite+aiosqlite:///{tmp_path / 'records.db'}"
    settings = {"UPLOADGATE_UPLOADS__PART_SIZE": str(PART)}
    async with (
        replica(stack, url, **settings) as running,
        running.sender() as one,
        opened_sender(running.api, one.user) as another,
    ):
        yield one, another


async def _send(sender: Sender, upload: Any, numbers: Sequence[int]) -> None:
    """Four parts at a time, in as few calls for addresses as may be."""
    free = asyncio.Semaphore(4)

    async def one(signed: Any) -> None:
        content = ZEROS if signed["part_number"] < COUNT else ZEROS[:LAST]
        async with free:
            answer = await sender.put(signed, content)
        assert answer.status_code == 200, answer.text

    for start in range(0, len(numbers), MOST_AT_ONCE):
        batch = numbers[start : start + MOST_AT_ONCE]
        await asyncio.gather(*map(one, await sender.signed(upload, batch)))


async def test_more_than_a_thousand_parts_are_found_again_and_completed(
    stack: Stack, senders: tuple[Sender, Sender]
) -> None:
    before, after = senders
    upload = await before.announce(
        SIZE, filename="zeros.txt", content_type="text/plain", fingerprint=FINGERPRINT
    )
    assert upload["multipart"]["part_count"] == COUNT
    problem(await before.sign(upload, range(1, COUNT + 1)), 422, "invalid_request")
    await _send(before, upload, FIRST)
    await before.store.aclose()

    [found] = (await after.ask("GET", f"?fingerprint={FINGERPRINT}")).json()["items"]
    assert (found["id"], found["multipart"]) == (upload["id"], upload["multipart"])
    arrived = await after.arrived(found)
    assert sorted(arrived) == FIRST
    missing = [number for number in range(1, COUNT + 1) if number not in arrived]
    told = problem(await after.complete(found), 409, "upload_incomplete")
    assert told["missing_parts"] == missing

    await _send(after, found, missing)
    arrived = await after.arrived(found)
    assert arrived == dict.fromkeys(range(1, COUNT), PART) | {COUNT: LAST}
    done = await after.completed(found)
    assert (done["size"], done["etag"].endswith(f"-{COUNT}")) == (SIZE, True)
    stored = await store.head(stack, found)
    assert stored is not None
    assert stored["ContentLength"] == SIZE
    assert await store.no_multipart(stack, found)
    assert (await after.ask("DELETE", f"/{found['id']}")).json()["status"] == "deleted"
    assert await store.gone(stack, found)
