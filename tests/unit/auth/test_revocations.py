"""What has ended is refused, wherever it was ended, for as long as it matters."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import errors
from auth.callers import Caller
from auth.revocations import Revocations
from tests.fakes.eventually import eventually
from tests.unit.auth.fakes import Clock


class Ended:
    """Implements auth.revocations.EndedLogins, with the time at which each was revoked."""

    def __init__(self) -> None:
        self.ended_sessions: dict[str, datetime] = {}
        self.ended_users: dict[str, datetime] = {}
        self.asked: list[datetime] = []
        self.fault: Exception | None = None

    async def sessions(self, since: datetime) -> Collection[str]:
        self.asked.append(since)
        if self.fault is not None:
            raise self.fault
        return [name for name, at in self.ended_sessions.items() if at >= since]

    async def users(self, since: datetime) -> Collection[str]:
        return [name for name, at in self.ended_users.items() if at >= since]


@pytest.fixture
def ended() -> Ended:
    return Ended()


def made(ended: Ended | None, clock: Clock, **changes: Any) -> Revocations:
    values = {"token_seconds": 930, "look_seconds": 3600, "late_seconds": 120, "now": clock.seconds}
    return Revocations(ended, **{**values, **changes}, clock=clock)


def caller(session_id: str | None = "fam_1", user_id: str = "usr_1") -> Caller:
    return Caller(user_id, "ada", frozenset(), datetime.max.replace(tzinfo=UTC), session_id)


def refused(revocations: Revocations, who: Caller) -> bool:
    stands = revocations.stands(who)
    if stands:
        revocations.check(who)
        return False
    with pytest.raises(errors.InvalidTokenError) as refused:
        revocations.check(who)
    assert type(refused.value) is errors.InvalidTokenError
    return True


@asynccontextmanager
async def running(revocations: Revocations) -> AsyncIterator[None]:
    task = asyncio.create_task(revocations.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()


def test_a_login_ends_and_no_other(clock: Clock) -> None:
    revocations = made(None, clock)
    revocations.end_session("fam_1")
    assert refused(revocations, caller())
    assert not refused(revocations, caller("fam_2"))
    assert not refused(revocations, caller(None))


def test_a_user_ends_with_all_logins_and_tokens_without_one(clock: Clock) -> None:
    revocations = made(None, clock)
    revocations.end_user("usr_1")
    assert refused(revocations, caller())
    assert refused(revocations, caller(None))
    assert not refused(revocations, caller("fam_1", "usr_2"))


def test_other_replicas_are_told_and_understand(clock: Clock) -> None:
    there = made(None, clock)
    here = made(None, clock, tell=there.hear)
    here.end_session("fam_1")
    here.end_user("usr_2")
    assert refused(there, caller())
    assert refused(there, caller("fam_9", "usr_2"))
    for word in ("!", "!more:x", "!session:", "usr_1"):
        there.hear(word)
    assert not refused(there, caller("fam_3"))


async def test_nobody_is_believed_before_the_first_look(clock: Clock, ended: Ended) -> None:
    revocations = made(ended, clock)
    with pytest.raises(errors.UnavailableError) as unknown:
        revocations.check(caller())
    assert unknown.value.retry_after == 1
    revocations.hear("!session:fam_2")
    assert refused(revocations, caller("fam_2"))
    await revocations.first_look()
    assert not refused(revocations, caller())


async def test_the_first_look_waits_for_the_database(
    clock: Clock, ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auth.revocations._FIRST_RETRY_SECONDS", 0.001)
    ended.fault = errors.UnavailableError()
    revocations = made(ended, clock)
    looking = asyncio.create_task(revocations.first_look())
    await eventually(lambda: len(ended.asked) > 2)
    ended.fault = ValueError("a fault of ours")
    asked = len(ended.asked)
    await eventually(lambda: len(ended.asked) > asked + 2)
    assert not looking.done()
    ended.fault = None
    await looking
    revocations.check(caller())


async def test_the_first_look_finds_all_that_still_matters(clock: Clock, ended: Ended) -> None:
    ended.ended_sessions = {
        "fam_1": clock.now - timedelta(seconds=1049),
        "fam_2": clock.now - timedelta(seconds=1051),
    }
    ended.ended_users = {"usr_9": clock.now}
    revocations = made(ended, clock)
    await revocations.first_look()
    assert refused(revocations, caller())
    assert not refused(revocations, caller("fam_2"))
    assert refused(revocations, caller("fam_3", "usr_9"))


async def test_it_looks_when_news_may_be_lost_and_reads_what_came_late(
    clock: Clock, ended: Ended
) -> None:
    revocations = made(ended, clock)
    async with running(revocations):
        await eventually(lambda: len(ended.asked) == 1)
        clock.advance(10)
        # Revoked before the last look, seen only now: its transaction took its time.
        ended.ended_sessions["fam_1"] = clock.now - timedelta(seconds=100)
        revocations.missed()
        await eventually(lambda: refused(revocations, caller()))
    assert ended.asked[1] == clock.now - timedelta(seconds=130)


async def test_it_looks_by_itself(clock: Clock, ended: Ended) -> None:
    revocations = made(ended, clock, look_seconds=0.001)
    async with running(revocations):
        await eventually(lambda: len(ended.asked) > 2)
        ended.ended_users["usr_1"] = clock.now
        await eventually(lambda: refused(revocations, caller()))


async def test_what_is_known_stands_while_the_database_is_away(clock: Clock, ended: Ended) -> None:
    revocations = made(ended, clock, look_seconds=0.001)
    ended.ended_sessions["fam_1"] = clock.now
    async with running(revocations):
        await eventually(lambda: len(ended.asked) > 1)
        ended.fault = errors.UnavailableError()
        asked = len(ended.asked)
        await eventually(lambda: len(ended.asked) > asked + 2)
        assert refused(revocations, caller())
        assert not refused(revocations, caller("fam_2"))
        clock.advance(600)
        ended.ended_sessions["fam_2"] = clock.now - timedelta(seconds=599)
        ended.fault = None
        await eventually(lambda: refused(revocations, caller("fam_2")))


async def test_a_clock_that_goes_back_is_no_way_around(clock: Clock, ended: Ended) -> None:
    looking = Clock()
    revocations = made(ended, looking, look_seconds=0.001, now=clock.seconds)
    async with running(revocations):
        await eventually(lambda: len(ended.asked) > 1)
        looking.advance(7200)
        asked = len(ended.asked)
        await eventually(lambda: len(ended.asked) > asked + 2)
        looking.advance(-7200)
        ended.ended_sessions["fam_1"] = looking.now - timedelta(seconds=500)
        await eventually(lambda: refused(revocations, caller()))


async def test_what_does_not_matter_any_more_is_forgotten(clock: Clock, ended: Ended) -> None:
    revocations = made(ended, clock)
    for number in range(100):
        revocations.end_session(f"fam_{number}")
    revocations.end_user("usr_9")
    clock.advance(1049)
    revocations.end_session("fam_late")
    async with running(revocations):
        await eventually(lambda: len(ended.asked) == 1)
        assert len(revocations) == 102
        clock.advance(1)
        revocations.missed()
        await eventually(lambda: len(revocations) == 1)
    assert refused(revocations, caller("fam_late"))


async def test_without_a_database_there_is_nothing_to_run(clock: Clock) -> None:
    revocations = made(None, clock)
    await revocations.first_look()
    await revocations.run()
