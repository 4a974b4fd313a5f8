"""Lookups that never end hold up nobody else, and nobody who asks breaks one off."""

import asyncio
import threading
from collections.abc import Iterator, Sequence

import pytest

from outgoing import lookup
from outgoing.lookup import SystemLookup
from settings import Settings
from tests.fakes.eventually import eventually


class Resolver:
    """Stands for the system's: in its thread it answers when it is let."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers = threading.Event()
        self.failure: OSError | None = None

    def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        self.answers.wait(10)
        if self.failure is not None:
            raise self.failure
        return [f"of {host}"]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    made = Resolver()
    monkeypatch.setattr(lookup, "_addresses", made)
    yield made
    made.answers.set()


async def test_a_name_that_is_being_looked_up_is_not_looked_up_beside_that(
    resolver: Resolver,
) -> None:
    with SystemLookup.opened() as look_up:
        asking = [asyncio.ensure_future(look_up("slow")) for _ in range(50)]
        other = asyncio.ensure_future(look_up("other"))
        await eventually(lambda: len(resolver.asked) == 2)
        resolver.answers.set()
        assert await asyncio.gather(*asking) == [["of slow"]] * 50
        assert await other == ["of other"]
        assert sorted(resolver.asked) == ["other", "slow"]
        await look_up("slow")
        assert sorted(resolver.asked) == ["other", "slow", "slow"]


async def test_who_waits_no_longer_leaves_the_lookup_to_the_others(resolver: Resolver) -> None:
    with SystemLookup.opened() as look_up:
        impatient = asyncio.ensure_future(look_up("slow"))
        patient = asyncio.ensure_future(look_up("slow"))
        await eventually(lambda: len(resolver.asked) == 1)
        impatient.cancel()
        await asyncio.wait([impatient])
        resolver.answers.set()
        assert await patient == ["of slow"]


async def test_a_lookup_that_fails_is_not_remembered(resolver: Resolver) -> None:
    resolver.answers.set()
    resolver.failure = OSError("unknown")
    with SystemLookup.opened() as look_up:
        with pytest.raises(OSError, match="unknown"):
            await look_up("name")
        resolver.failure = None
        assert await look_up("name") == ["of name"]


async def test_a_lookup_that_never_ends_does_not_keep_the_process(resolver: Resolver) -> None:
    with SystemLookup.opened() as look_up:
        waiting = asyncio.ensure_future(look_up("slow"))
        await eventually(lambda: len(resolver.asked) == 1)
    assert not waiting.done()
    resolver.answers.set()
    assert await waiting == ["of slow"]


async def test_names_that_hang_hold_up_no_other_and_are_bounded(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup, "_THREADS", 3)
    with SystemLookup.opened() as look_up:
        hanging = [asyncio.ensure_future(look_up(f"slow{n}")) for n in range(3)]
        await eventually(lambda: len(resolver.asked) == 3)
        with pytest.raises(OSError, match="too many"):
            await look_up("one more")
        shared = asyncio.ensure_future(look_up("slow1"))
        resolver.answers.set()
        assert await shared == ["of slow1"]
        await asyncio.gather(*hanging)
        assert await look_up("one more") == ["of one more"]


def test_there_are_more_threads_than_endpoints_by_default() -> None:
    assert Settings(environment="development").delivery.max_endpoints < lookup._THREADS
