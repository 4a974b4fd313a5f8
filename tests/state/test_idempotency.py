"""What is asked twice under one key happens once: in every database, and in the fake."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from errors import (
    IdempotencyInFlightError,
    IdempotencyKeyReusedError,
    QuotaExceededError,
    UnavailableError,
)
from service.uploads.idempotency import Claim, Finished, IdempotencyKeys
from service.uploads.ports import UploadRecords
from service.uploads.quota import Limits, Usage
from state.database import Database
from state.idempotency import SqlIdempotencyKeys
from state.uploads import SqlUploadRecords
from tests.fakes.clock import START
from tests.fakes.idempotency import MemoryIdempotencyKeys
from tests.fakes.records import MemoryRecords, upload

pytestmark = pytest.mark.parametrize(
    "database_url", ["sqlite", "postgres", "memory"], indirect=True
)
LEASE = timedelta(seconds=60)
OVER = START + LEASE


class Kept:
    """The keys and the records, of one database or both in memory."""

    keys: IdempotencyKeys
    records: UploadRecords

    def __init__(self, database: Database, *, fake: bool) -> None:
        if fake:
            memory = MemoryIdempotencyKeys()
            self.keys, self.records = memory, MemoryRecords(keys=memory)
        else:
            self.keys, self.records = SqlIdempotencyKeys(database), SqlUploadRecords(database)

    async def begin(
        self, claim: Claim, digest: str = "d", now: datetime = START
    ) -> Finished | None:
        return await self.keys.begin(claim, digest, now, lease_until=now + LEASE)


@pytest.fixture
def kept(database: Database, request: pytest.FixtureRequest) -> Kept:
    return Kept(database, fake=request.node.callspec.params["database_url"] == "memory")


def held_by(holder: str, **changes: Any) -> Claim:
    return Claim(**{"user_id": "usr_ada", "key": "k", "holder": holder, **changes})


async def test_of_many_that_begin_at_once_one_holds_the_key(kept: Kept) -> None:
    begins = (kept.begin(held_by(str(number))) for number in range(20))
    answers = await asyncio.gather(*begins, return_exceptions=True)
    waits = [answer for answer in answers if isinstance(answer, IdempotencyInFlightError)]
    assert (answers.count(None), len(waits)) == (1, 19)
    assert {error.retry_after for error in waits} == {60}


async def test_a_finished_key_answers_what_it_came_to_for_good(kept: Kept) -> None:
    await kept.begin(held_by("a"))
    await kept.keys.finish(held_by("a"), "upl_1")
    assert await kept.begin(held_by("b")) == Finished("upl_1")
    assert await kept.begin(held_by("b"), now=OVER + LEASE) == Finished("upl_1")


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("now", [START, OVER])
async def test_another_request_under_the_same_key_is_refused_always(
    kept: Kept, now: datetime, finished: bool
) -> None:
    await kept.begin(held_by("a"))
    if finished:
        await kept.keys.finish(held_by("a"), "upl_1")
    with pytest.raises(IdempotencyKeyReusedError):
        await kept.begin(held_by("b"), "another", now)


async def test_keys_are_their_users_own(kept: Kept) -> None:
    assert await kept.begin(held_by("a")) is None
    assert await kept.begin(held_by("b", user_id="usr_eve"), "another") is None
    assert await kept.begin(held_by("c", key="K"), "another") is None


async def test_a_lease_that_is_over_is_taken_by_one(kept: Kept) -> None:
    await kept.begin(held_by("dead"))
    with pytest.raises(IdempotencyInFlightError) as caught:
        await kept.begin(held_by("early"), now=OVER - timedelta(microseconds=1))
    assert caught.value.retry_after == 1
    begins = (kept.begin(held_by(str(number)), now=OVER) for number in range(20))
    answers = await asyncio.gather(*begins, return_exceptions=True)
    waits = [answer for answer in answers if isinstance(answer, IdempotencyInFlightError)]
    assert (answers.count(None), len(waits)) == (1, 19)


async def test_whoever_lost_the_key_writes_nothing_any_more(kept: Kept) -> None:
    await kept.begin(held_by("slow"))
    await kept.begin(held_by("quick"), now=OVER)
    await kept.keys.finish(held_by("slow"), "upl_slow")
    await kept.keys.release(held_by("slow"))
    with pytest.raises(IdempotencyInFlightError):
        await kept.records.add(upload(charged=5), claim=held_by("slow"))
    assert await kept.records.get("upl_1") is None
    assert await kept.records.usage("usr_ada", "default") == Usage()
    await kept.keys.finish(held_by("quick"), "upl_quick")
    assert await kept.begin(held_by("next"), now=OVER) == Finished("upl_quick")


async def test_a_released_key_is_free_for_any_request(kept: Kept) -> None:
    await kept.begin(held_by("a"))
    await kept.keys.release(held_by("a"))
    await kept.keys.finish(held_by("a"), "upl_1")
    assert await kept.begin(held_by("b"), "another") is None


async def test_what_has_finished_is_not_released(kept: Kept) -> None:
    await kept.begin(held_by("a"))
    await kept.keys.finish(held_by("a"), "upl_1")
    await kept.keys.release(held_by("a"))
    await kept.keys.finish(held_by("a"), "upl_2")
    assert await kept.begin(held_by("b")) == Finished("upl_1")


async def test_a_record_and_its_key_are_written_together(kept: Kept) -> None:
    await kept.begin(held_by("a"))
    assert await kept.records.add(upload(), claim=held_by("a"))
    assert await kept.begin(held_by("b")) == Finished("upl_1")


@pytest.mark.parametrize("lost", ["quota", "place", "claim"])
async def test_a_record_that_is_not_made_leaves_its_key_as_it_was(kept: Kept, lost: str) -> None:
    await kept.begin(held_by("a"))
    if lost == "quota":
        with pytest.raises(QuotaExceededError):
            await kept.records.add(upload(charged=5), limits=Limits(4), claim=held_by("a"))
    if lost == "place":
        await kept.records.add(upload(id="first", key="k"))
        assert not await kept.records.add(upload(key="k"), claim=held_by("a"))
    if lost == "claim":
        with pytest.raises(IdempotencyInFlightError):
            await kept.records.add(upload(), claim=held_by("never"))
    assert await kept.records.get("upl_1") is None
    with pytest.raises(IdempotencyInFlightError):
        await kept.begin(held_by("b"))
    assert await kept.begin(held_by("b"), now=OVER) is None


async def test_one_claim_makes_one_record_however_often_it_is_used(kept: Kept) -> None:
    await kept.begin(held_by("a"))
    rows = [upload(id=str(number), charged=1) for number in range(10)]
    adds = (kept.records.add(row, claim=held_by("a")) for row in rows)
    answers = await asyncio.gather(*adds, return_exceptions=True)
    assert answers.count(True) == 1
    assert sum(isinstance(answer, IdempotencyInFlightError) for answer in answers) == 9
    assert await kept.records.usage("usr_ada", "default") == Usage(1, 1)


async def test_only_keys_begun_before_then_are_forgotten(kept: Kept) -> None:
    later = START + timedelta(seconds=1)
    await kept.begin(held_by("a", key="old"))
    await kept.keys.finish(held_by("a", key="old"), "upl_1")
    await kept.begin(held_by("a", key="new"), now=later)
    assert await kept.keys.forget(START) == 0
    assert await kept.keys.forget(later) == 1
    assert await kept.begin(held_by("b", key="old"), "another") is None
    with pytest.raises(IdempotencyInFlightError):
        await kept.begin(held_by("b", key="new"), now=later)


async def test_a_key_that_was_taken_over_counts_from_then(kept: Kept) -> None:
    await kept.begin(held_by("dead"))
    await kept.begin(held_by("a"), now=OVER)
    assert await kept.keys.forget(OVER) == 0
    assert await kept.records.add(upload(), claim=held_by("a"))


async def test_a_database_that_is_away_is_said(database_url: str) -> None:
    url = "postgresql+asyncpg://postgres@127.0.0.1:1/uploadgate"
    async with Database.opened(url, timeout_seconds=1) as away:
        keys, claim = SqlIdempotencyKeys(away), held_by("a")
        for call in (
            keys.begin(claim, "d", START, lease_until=OVER),
            keys.finish(claim, "upl_1"),
            keys.release(claim),
            keys.forget(START),
        ):
            with pytest.raises(UnavailableError):
                await call
