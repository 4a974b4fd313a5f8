"""Who has had which identity, on every database."""

import asyncio
import json

import pytest
from sqlalchemy import select

from errors import IdentityConflictError, UnavailableError
from state.database import Database
from state.identities import SqlIdentityHistory
from state.tables import events
from tests.fakes.clock import Clock

POOL, OTHER_POOL = "us-east-1:0", "us-east-1:1"
ADA, EVE = "usr_ada", "usr_eve"
FIRST, SECOND, THIRD = "us-east-1:a", "us-east-1:b", "us-east-1:c"


class History(SqlIdentityHistory):
    """Time goes on between two notes, as it does."""

    def __init__(self, database: Database) -> None:
        self.clock = Clock()
        super().__init__(database, self.clock)

    async def note(self, pool_id: str, user_id: str, identity_id: str) -> str | None:
        self.clock.advance(1)
        return await super().note(pool_id, user_id, identity_id)


@pytest.fixture
def history(database: Database) -> History:
    return History(database)


async def test_a_stranger_has_no_identity(history: History) -> None:
    assert await history.current(POOL, ADA) is None
    assert await history.owner(POOL, FIRST) is None


async def test_a_first_identity_replaces_none_and_stays(history: History) -> None:
    for _ in range(3):
        assert await history.note(POOL, ADA, FIRST) is None
    assert await history.current(POOL, ADA) == FIRST
    assert await history.owner(POOL, FIRST) == ADA


async def test_a_changed_identity_names_the_old_which_keeps_its_owner(history: History) -> None:
    await history.note(POOL, ADA, FIRST)
    assert await history.note(POOL, ADA, SECOND) == FIRST
    assert await history.note(POOL, ADA, THIRD) == SECOND
    assert await history.current(POOL, ADA) == THIRD
    for identity in (FIRST, SECOND, THIRD):
        assert await history.owner(POOL, identity) == ADA


async def test_an_identity_may_come_back(history: History) -> None:
    for identity, replaced in [(FIRST, None), (SECOND, FIRST), (FIRST, SECOND), (SECOND, FIRST)]:
        assert await history.note(POOL, ADA, identity) == replaced
        assert await history.current(POOL, ADA) == identity


@pytest.mark.parametrize("known", [None, SECOND])
async def test_an_identity_of_another_user_is_a_conflict(
    history: History, known: str | None
) -> None:
    await history.note(POOL, ADA, FIRST)
    if known is not None:
        await history.note(POOL, EVE, known)
    with pytest.raises(IdentityConflictError):
        await history.note(POOL, EVE, FIRST)
    assert await history.owner(POOL, FIRST) == ADA
    assert await history.current(POOL, ADA) == FIRST
    assert await history.current(POOL, EVE) == known


async def test_an_old_identity_is_still_nobody_elses(history: History) -> None:
    await history.note(POOL, ADA, FIRST)
    await history.note(POOL, ADA, SECOND)
    with pytest.raises(IdentityConflictError):
        await history.note(POOL, EVE, FIRST)


async def test_pools_know_nothing_of_one_another(history: History) -> None:
    await history.note(POOL, ADA, FIRST)
    assert await history.current(OTHER_POOL, ADA) is None
    assert await history.owner(OTHER_POOL, FIRST) is None
    assert await history.note(OTHER_POOL, EVE, FIRST) is None
    assert await history.owner(POOL, FIRST) == ADA


async def test_many_first_grants_of_one_user_at_once_agree(history: History) -> None:
    noted = await asyncio.gather(*(history.note(POOL, ADA, FIRST) for _ in range(10)))
    assert set(noted) == {None}
    assert await history.current(POOL, ADA) == FIRST


async def test_of_two_users_at_once_one_gets_the_identity(history: History) -> None:
    results = await asyncio.gather(
        *(history.note(POOL, user, FIRST) for user in (ADA, EVE)), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in results) == [
        "IdentityConflictError",
        "NoneType",
    ]


async def test_a_database_that_is_away_is_said() -> None:
    url = "postgresql+asyncpg://postgres@127.0.0.1:1/uploadgate"
    async with Database.opened(url, timeout_seconds=1) as away:
        history = History(away)
        for call in (
            history.current(POOL, ADA),
            history.owner(POOL, FIRST),
            history.note(POOL, ADA, FIRST),
        ):
            with pytest.raises(UnavailableError):
                await call


async def events_of(database: Database, user_id: str) -> list[tuple[int, str]]:
    query = (
        select(events.c.sequence, events.c.payload)
        .where(events.c.user_id == user_id)
        .order_by(events.c.sequence)
    )
    async with database.transaction() as connection:
        return [(row.sequence, row.payload) for row in await connection.execute(query)]


async def test_a_change_is_an_event_and_a_first_identity_is_none(
    history: History, database: Database
) -> None:
    told: list[str] = []
    history._announce = told.append
    for identity in (FIRST, FIRST, SECOND, SECOND, FIRST):
        await history.note(POOL, ADA, identity)
    found = await events_of(database, ADA)
    assert [sequence for sequence, _ in found] == [1, 2]
    first, second = (json.loads(payload) for _, payload in found)
    assert first["type"] == second["type"] == "identity.changed"
    assert first["data"] == {
        "sequence": 1,
        "user_id": ADA,
        "identity_pool_id": POOL,
        "identity_id": SECOND,
        "previous_identity_id": FIRST,
    }
    assert second["data"]["identity_id"] == FIRST
    assert told == [ADA, ADA]


async def test_replicas_that_note_one_change_at_once_tell_it_once(
    history: History, database: Database
) -> None:
    await history.note(POOL, ADA, FIRST)
    await asyncio.gather(*(history.note(POOL, ADA, SECOND) for _ in range(8)))
    assert len(await events_of(database, ADA)) == 1


async def test_another_users_identity_changes_nothing(history: History, database: Database) -> None:
    await history.note(POOL, EVE, SECOND)
    await history.note(POOL, ADA, FIRST)
    with pytest.raises(IdentityConflictError):
        await history.note(POOL, ADA, SECOND)
    assert await events_of(database, ADA) == []
    assert await history.current(POOL, ADA) == FIRST


async def test_a_replica_whose_clock_lags_notes_all_the_same(
    history: History, database: Database
) -> None:
    await history.note(POOL, ADA, FIRST)
    history.clock.advance(-3600)
    for _ in range(2):
        await history.note(POOL, ADA, SECOND)
    assert await history.current(POOL, ADA) == SECOND
    assert len(await events_of(database, ADA)) == 1
