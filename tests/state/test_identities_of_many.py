"""Many users' identities by one statement: the same history as noted one by one."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from sqlalchemy import insert, select, text

from state import events as event_rows
from state.database import Database
from state.identities import SqlIdentityHistory
from state.tables import events, identities, user_sequences
from tests.fakes.clock import START, Clock
from tests.fakes.eventually import eventually
from tests.state.locks import waiting

POOL, OTHER_POOL = "us-east-1:0", "us-east-1:1"
ADA, EVE, BOB = "usr_ada", "usr_eve", "usr_bob"
FIRST, SECOND, THIRD = "us-east-1:a", "us-east-1:b", "us-east-1:c"
POSTGRES = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def history(database: Database, clock: Clock) -> SqlIdentityHistory:
    return SqlIdentityHistory(database, clock)


@pytest.fixture
async def replicas(database: Database, database_url: str) -> AsyncIterator[list[Database]]:
    """Each with connections of its own."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(Database.opened(database_url, pool_size=2, overflow=2))
            for _ in range(3)
        ]


def people(many: int, word: str = "") -> dict[str, str]:
    return {f"usr_{number}": f"us-east-1:{number}{word}" for number in range(many)}


async def known(database: Database) -> dict[str, list[str]]:
    query = select(identities).order_by(identities.c.current_since)
    found: dict[str, list[str]] = {}
    async with database.transaction() as connection:
        for row in await connection.execute(query):
            found.setdefault(row.user_id, []).append(row.identity_id)
    return found


async def told(database: Database) -> Counter[str]:
    """How many events each user has."""
    async with database.transaction() as connection:
        return Counter((await connection.execute(select(events.c.user_id))).scalars())


async def test_of_each_the_newest_is_current(history: SqlIdentityHistory, clock: Clock) -> None:
    for user, identity in [(ADA, FIRST), (EVE, THIRD), (ADA, SECOND)]:
        clock.advance(1)
        await history.note(POOL, user, identity)
    await history.note(OTHER_POOL, BOB, FIRST)
    asked = [ADA, EVE, BOB, ADA, "usr_nobody"]
    assert await history.current_of_many(POOL, asked) == {ADA: SECOND, EVE: THIRD}
    clock.advance(1)
    await history.note(POOL, ADA, FIRST)
    assert await history.current_of_many(POOL, [ADA]) == {ADA: FIRST}


async def test_nobody_is_asked_about_for_nothing(history: SqlIdentityHistory) -> None:
    assert await history.current_of_many(POOL, []) == {}
    assert set(await history.note_new(POOL, {})) == set()


async def test_more_than_one_statement_takes(history: SqlIdentityHistory) -> None:
    crowd = people(1203)
    assert set(await history.note_new(POOL, crowd)) == set(crowd)
    assert await history.current_of_many(POOL, list(crowd)) == crowd


async def test_first_identities_are_noted_and_stay(
    history: SqlIdentityHistory, database: Database
) -> None:
    for _ in range(3):
        assert set(await history.note_new(POOL, {ADA: FIRST, EVE: SECOND})) == {ADA, EVE}
    assert await known(database) == {ADA: [FIRST], EVE: [SECOND]}
    assert await history.owner(POOL, FIRST) == ADA
    assert await history.note(POOL, ADA, FIRST) is None
    assert not await told(database)


async def test_who_has_another_identity_is_left_to_be_noted(
    history: SqlIdentityHistory, database: Database, clock: Clock
) -> None:
    await history.note_new(POOL, {ADA: FIRST})
    clock.advance(1)
    assert set(await history.note_new(POOL, {ADA: SECOND, EVE: THIRD})) == {EVE}
    assert await known(database) == {ADA: [FIRST], EVE: [THIRD]}
    assert await history.note(POOL, ADA, SECOND) == FIRST
    assert await told(database) == {ADA: 1}
    clock.advance(1)
    assert set(await history.note_new(POOL, {ADA: FIRST})) == set()
    assert set(await history.note_new(POOL, {ADA: SECOND})) == {ADA}


async def test_an_identity_of_another_user_is_left_out(
    history: SqlIdentityHistory, database: Database
) -> None:
    await history.note(POOL, ADA, FIRST)
    assert set(await history.note_new(POOL, {EVE: FIRST, BOB: SECOND})) == {BOB}
    assert set(await history.note_new(POOL, {EVE: FIRST})) == set()
    assert await known(database) == {ADA: [FIRST], BOB: [SECOND]}


async def test_two_with_one_identity_are_both_left_out(
    history: SqlIdentityHistory, database: Database
) -> None:
    given = {ADA: FIRST, EVE: FIRST, BOB: SECOND}
    assert set(await history.note_new(POOL, given)) == {BOB}
    assert await known(database) == {BOB: [SECOND]}


async def test_who_is_known_otherwise_gets_a_first_identity_too(
    history: SqlIdentityHistory, database: Database
) -> None:
    """With events of their own, or with an identity in another pool."""
    async with database.transaction() as connection:
        await connection.execute(insert(user_sequences).values(user_id=ADA, last=7))
    await history.note(OTHER_POOL, EVE, FIRST)
    given = {ADA: FIRST, EVE: SECOND, BOB: THIRD}
    assert set(await history.note_new(POOL, given)) == set(given)
    assert await history.current_of_many(POOL, list(given)) == given
    async with database.transaction() as connection:
        last = await connection.execute(
            select(user_sequences.c.last).where(user_sequences.c.user_id == ADA)
        )
        assert last.scalar_one() == 7


async def test_identities_from_before_there_were_sequences_count(
    history: SqlIdentityHistory, database: Database
) -> None:
    row = {"pool_id": POOL, "identity_id": FIRST, "user_id": ADA}
    times = {"first_seen_at": START, "current_since": START}
    async with database.transaction() as connection:
        await connection.execute(insert(identities).values(**row, **times))
    assert set(await history.note_new(POOL, {ADA: SECOND})) == set()
    assert set(await history.note_new(POOL, {ADA: FIRST})) == {ADA}


async def test_replicas_that_note_the_same_crowd_at_once_agree(
    replicas: list[Database], database: Database
) -> None:
    crowd = people(200)
    histories = [SqlIdentityHistory(each, Clock()) for each in replicas]
    noted = await asyncio.gather(*(each.note_new(POOL, crowd) for each in histories))
    # Whoever is left out by one who came too late is noted, and nothing comes of it.
    for replica, done in zip(histories, noted, strict=True):
        for user in set(crowd) - set(done):
            assert await replica.note(POOL, user, crowd[user]) is None
    assert await known(database) == {user: [identity] for user, identity in crowd.items()}
    assert not await told(database)


@POSTGRES
@pytest.mark.parametrize("had_events", [False, True])
async def test_whatever_happens_at_once_each_replaced_identity_is_an_event(
    replicas: list[Database], database: Database, had_events: bool
) -> None:
    """Of the same users, in crowds that overlap, under different identities, in any order."""
    crowds, chance = [people(40), people(40, "b"), people(40)], random.Random(7)  # noqa: S311
    if had_events:
        async with database.transaction() as connection:
            rows = [{"user_id": user, "last": 0} for user in crowds[0]]
            await connection.execute(insert(user_sequences), rows)

    async def noting(replica: Database, crowd: dict[str, str]) -> None:
        history = SqlIdentityHistory(replica, Clock())
        users = list(crowd)
        chance.shuffle(users)
        for start in range(0, len(users), 10):
            some = {user: crowd[user] for user in users[start : start + 10]}
            noted = await history.note_new(POOL, some)
            rest = [user for user in some if user not in noted]
            await asyncio.gather(*(history.note(POOL, user, some[user]) for user in rest))

    await asyncio.gather(*(noting(*each) for each in zip(replicas, crowds, strict=True)))
    found = await known(database)
    assert {user: len(each) for user, each in found.items()} == dict.fromkeys(crowds[0], 2)
    happened = await told(database)
    # An identity may come back: that is an event, but no row.
    assert all(happened[user] >= 1 for user in crowds[0])


async def noted_under_a_lock(
    replicas: list[Database], given: dict[str, str], *, commits: bool
) -> set[str]:
    """While another one has noted ADA's SECOND, but not yet committed."""
    one, other, onlooker = replicas
    async with one.engine.connect() as connection:
        await event_rows.lock(connection, ADA)
        row = {"pool_id": POOL, "identity_id": SECOND, "user_id": ADA}
        times = {"first_seen_at": START, "current_since": START}
        await connection.execute(insert(identities).values(**row, **times))
        history = SqlIdentityHistory(other, Clock())
        noting = asyncio.create_task(history.note_new(POOL, given))
        await eventually(lambda: _anyone_waits(onlooker))
        await (connection.commit() if commits else connection.rollback())
    return set(await noting)


async def _anyone_waits(database: Database) -> bool:
    return bool(await waiting(database))


@POSTGRES
@pytest.mark.parametrize("had_events", [False, True])
async def test_what_another_notes_just_now_is_waited_for(
    replicas: list[Database], database: Database, had_events: bool
) -> None:
    if had_events:
        async with database.transaction() as connection:
            await connection.execute(insert(user_sequences).values(user_id=ADA, last=0))
    given = {ADA: FIRST, EVE: THIRD}
    assert await noted_under_a_lock(replicas, given, commits=True) == {EVE}
    assert await known(database) == {ADA: [SECOND], EVE: [THIRD]}
    assert await SqlIdentityHistory(database, Clock()).note(POOL, ADA, FIRST) == SECOND
    assert await told(database) == {ADA: 1}


@POSTGRES
async def test_what_another_took_back_is_noted_after_all(
    replicas: list[Database], database: Database
) -> None:
    given = {ADA: FIRST, EVE: THIRD}
    assert await noted_under_a_lock(replicas, given, commits=False) == {ADA, EVE}
    assert await known(database) == {ADA: [FIRST], EVE: [THIRD]}


@POSTGRES
async def test_who_is_noted_meanwhile_finds_what_was_noted_here(
    replicas: list[Database], database: Database
) -> None:
    """A single one that comes while many are written, and has another identity."""
    one, other, onlooker = replicas
    async with one.transaction() as blocking:
        # The many wait for this row, with their users' rows in hand.
        values = {"pool_id": POOL, "user_id": BOB, "first_seen_at": START, "current_since": START}
        await blocking.execute(insert(identities).values(identity_id=THIRD, **values))
        many = SqlIdentityHistory(other, Clock()).note_new(POOL, {ADA: FIRST, EVE: THIRD})
        noting = asyncio.create_task(many)
        await eventually(lambda: _as_many_wait(onlooker, 1))
        single = asyncio.create_task(SqlIdentityHistory(one, Clock()).note(POOL, ADA, SECOND))
        await eventually(lambda: _as_many_wait(onlooker, 2))
    assert set(await noting) == {ADA}
    assert await single == FIRST
    assert await told(database) == {ADA: 1}


async def _as_many_wait(database: Database, many: int) -> bool:
    return len(await waiting(database)) >= many


@POSTGRES
async def test_a_crowd_of_new_users_is_one_statement(
    history: SqlIdentityHistory, database: Database
) -> None:
    await history.note_new(POOL, {ADA: FIRST})
    before = await _transactions(database)
    await history.note_new(POOL, people(200))
    assert await _transactions(database) - before == 1 + 1  # and the question itself


async def _transactions(database: Database) -> int:
    """That have been given a number, as those that write are."""
    async with database.transaction() as connection:
        found = await connection.execute(text("SELECT CAST(pg_current_xact_id() AS text)"))
        return int(found.scalar_one())
