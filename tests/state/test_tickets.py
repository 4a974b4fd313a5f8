"""Tickets, on every database."""

from dataclasses import replace
from datetime import timedelta

import pytest

from auth.users import User
from errors import UnavailableError
from service.uploads.tickets import Ticket
from state.accounts import UserRepository
from state.database import Database
from state.tickets import SqlTickets
from tests.fakes.clock import START

END = START + timedelta(hours=1)
TICKET = Ticket("usr_ada", "default", END)


@pytest.fixture
def tickets(database: Database) -> SqlTickets:
    return SqlTickets(database)


async def test_a_ticket_is_good_until_it_expires(tickets: SqlTickets) -> None:
    await tickets.add("a" * 64, TICKET, START)
    last = END - timedelta(microseconds=1)
    assert await tickets.find("a" * 64, START) == await tickets.find("a" * 64, last) == TICKET
    assert await tickets.find("a" * 64, END) is None


@pytest.mark.parametrize("unknown", ["", "b" * 64, "A" * 64, "a" * 63, "%"])
async def test_an_unknown_ticket_is_none(tickets: SqlTickets, unknown: str) -> None:
    await tickets.add("a" * 64, TICKET, START)
    assert await tickets.find(unknown, START) is None


async def test_all_of_one_user_are_revoked_once(tickets: SqlTickets) -> None:
    for name in ("one", "two"):
        await tickets.add(name, TICKET, START)
    await tickets.add("over", replace(TICKET, expires_at=START), START)
    await tickets.add("eve", replace(TICKET, user_id="usr_eve"), START)
    assert await tickets.revoke_all("usr_ada", START) == 2
    assert [await tickets.find(name, START) for name in ("one", "two")] == [None, None]
    assert await tickets.find("eve", START) is not None
    assert await tickets.revoke_all("usr_ada", START) == 0
    await tickets.add("new", TICKET, START)
    assert await tickets.find("new", START) == TICKET


async def test_those_of_a_disabled_user_open_nothing(
    database: Database, tickets: SqlTickets
) -> None:
    users = UserRepository(database)
    for name in ("ada", "eve"):
        await users.add(User(f"usr_{name}", name, name, "$argon2id$", frozenset(), START))
        await tickets.add(name, replace(TICKET, user_id=f"usr_{name}"), START)
    await users.disable("usr_ada", START)
    assert await tickets.find("ada", START) is None
    assert await tickets.find("eve", START) is not None
    # Of one whom another identity provider knows there is no row.
    await tickets.add("stranger", replace(TICKET, user_id="usr_of_oidc"), START)
    assert await tickets.find("stranger", START) is not None


async def test_only_what_expired_before_then_is_forgotten(tickets: SqlTickets) -> None:
    await tickets.add("short", TICKET, START)
    await tickets.add("long", replace(TICKET, expires_at=END + timedelta(seconds=1)), START)
    assert await tickets.forget(END) == 0
    assert await tickets.forget(END + timedelta(seconds=1)) == 1
    assert await tickets.find("short", START) is None
    assert await tickets.find("long", START) is not None


async def test_a_database_that_is_away_is_said() -> None:
    url = "postgresql+asyncpg://postgres@127.0.0.1:1/uploadgate"
    async with Database.opened(url, timeout_seconds=1) as away:
        tickets = SqlTickets(away)
        for call in (
            tickets.add("a", TICKET, START),
            tickets.find("a", START),
            tickets.revoke_all("usr_ada", START),
            tickets.forget(START),
        ):
            with pytest.raises(UnavailableError):
                await call
