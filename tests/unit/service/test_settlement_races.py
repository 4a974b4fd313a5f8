"""Other workers and the user move things while a settlement looks at them."""

import asyncio

import pytest

from errors import UnavailableError
from service.completion.outcome import Outcome
from service.uploads.model import UploadStatus as S
from tests.fakes.completion import World
from tests.fakes.records import BUCKET, IDENTITY, upload
from tests.fakes.store import stored
from tests.unit.service.test_settlement import KEY, settled, world


@pytest.mark.parametrize(
    ("status", "size", "outcome"),
    [
        (S.PENDING, 5, Outcome.COMPLETED),
        (S.PENDING, 6, Outcome.REJECTED),
        (S.RECEIVED, 5, Outcome.COMPLETED),
        (S.RECEIVED, 6, Outcome.REJECTED),
        (S.COMPLETED, 5, Outcome.REPLACED),
    ],
)
async def test_a_lost_race_makes_it_look_again(status: S, size: int, outcome: Outcome) -> None:
    made = world(status, stored(size=size, etag="two"))
    made.records.lost_races = 1
    assert (await settled(made))[0] is outcome
    assert made.store.heads == 2


async def test_a_race_that_is_never_won_is_given_up() -> None:
    made = world(S.PENDING, stored())
    made.records.lost_races = 100
    with pytest.raises(UnavailableError):
        await settled(made)
    assert made.store.heads < 20
    assert made.records.moves == []


async def test_of_many_settlements_at_once_one_completes() -> None:
    made = world(S.PENDING, stored())
    outcomes = await asyncio.gather(*(made.settlement.settle(BUCKET, KEY) for _ in range(20)))
    assert made.records.moves == [S.COMPLETED]
    assert set(outcomes) <= {Outcome.COMPLETED, Outcome.UNCHANGED}


async def test_a_stray_that_is_written_again_meanwhile_is_looked_at_again() -> None:
    made = world(S.ABORTED, stored(etag="seen"))
    made.store.before_delete = stored(etag="newer")
    assert (await settled(made))[0] is Outcome.STRAY_DELETED
    assert made.store.deletions == [(KEY, "seen"), (KEY, "newer")]


async def test_a_rejected_object_is_deleted_only_if_it_is_still_the_one_that_was_seen() -> None:
    made = world(S.PENDING, stored(size=6))
    made.store.before_delete = stored(size=7, etag="newer")
    assert (await settled(made))[0] is Outcome.REJECTED
    assert made.store.holds(KEY)
    assert (await settled(made))[0] is Outcome.STRAY_DELETED


async def test_one_object_is_adopted_once_by_many() -> None:
    made = World()
    key = f"{IDENTITY}/free"
    made.store.put(key, stored())
    await asyncio.gather(*(made.settlement.settle(BUCKET, key) for _ in range(20)))
    assert [row.status for row in made.records.rows.values()] == [S.COMPLETED]


async def test_an_adoption_that_another_worker_won_is_judged_by_its_record() -> None:
    made = World()
    key = f"{IDENTITY}/free"
    made.store.put(key, stored())
    add = made.records.add
    theirs = upload(key=key, status=S.RECEIVED, etag="one", declared_size=None)

    async def beaten(record: object, **_: object) -> bool:
        made.records.add = add  # type: ignore[method-assign]
        assert await add(theirs)
        return False

    made.records.add = beaten  # type: ignore[method-assign, assignment]
    assert await made.settlement.settle(BUCKET, key) is Outcome.COMPLETED
    assert [row.id for row in made.records.rows.values()] == [theirs.id]
