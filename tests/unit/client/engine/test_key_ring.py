import asyncio
from datetime import datetime, timedelta

import pytest

from client.engine.events import Event
from client.engine.key_ring import KeyRing
from client.grants import Issued
from client.problems import CredentialsError
from client.wire import Keys, Place
from tests.fakes.eventually import eventually
from tests.unit.client.fakes import NOW

PLACE = Place("us-east-1", None, "uploads", "me/")


class Mint:
    """Issues keys that live an hour, or fails as told; slowly if `gate` is closed."""

    def __init__(self) -> None:
        self.now = NOW
        self.issued = 0
        self.errors: list[Exception] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.life = timedelta(hours=1)

    async def __call__(self) -> Issued:
        self.issued += 1
        number = self.issued
        await self.gate.wait()
        if self.errors:
            raise self.errors.pop(0)
        keys = Keys(f"ASIA{number}", "s", "t", self.now + self.life)
        return Issued(keys, PLACE, timedelta(0))

    def clock(self) -> datetime:
        return self.now

    def after(self, **time: float) -> None:
        self.now += timedelta(**time)


@pytest.fixture
def mint() -> Mint:
    return Mint()


@pytest.fixture
def ring(mint: Mint) -> KeyRing:
    return KeyRing(mint, clock=mint.clock, jitter=lambda: 0.5)


async def _id(ring: KeyRing) -> str:
    return (await ring.current()).keys.access_key_id


async def test_many_who_need_keys_at_once_cause_one_issue(mint: Mint, ring: KeyRing) -> None:
    mint.gate.clear()
    asking = [asyncio.create_task(_id(ring)) for _ in range(20)]
    await asyncio.sleep(0)
    mint.gate.set()
    assert set(await asyncio.gather(*asking)) == {"ASIA1"}
    assert mint.issued == 1


async def test_keys_are_renewed_early_while_the_old_ones_serve_on(
    mint: Mint, ring: KeyRing
) -> None:
    await _id(ring)
    mint.after(minutes=39)  # jittered between 0.6 and 0.72 of an hour, here 0.66
    assert await _id(ring) == "ASIA1"
    assert mint.issued == 1
    mint.after(minutes=1)
    mint.gate.clear()
    assert [await _id(ring) for _ in range(5)] == ["ASIA1"] * 5
    await eventually(lambda: mint.issued == 2)
    mint.gate.set()
    await eventually(lambda: ring._running is None)
    assert await _id(ring) == "ASIA2"
    assert mint.issued == 2


async def test_a_failed_early_renewal_disturbs_nobody_and_is_tried_again_later(
    mint: Mint, ring: KeyRing
) -> None:
    await _id(ring)
    mint.errors = [CredentialsError("down")]
    mint.after(minutes=45)
    assert await _id(ring) == "ASIA1"
    await eventually(lambda: ring._running is None)
    for _ in range(3):
        assert await _id(ring) == "ASIA1"
        await asyncio.sleep(0)
    assert mint.issued == 2
    mint.after(seconds=21)
    assert await _id(ring) == "ASIA1"
    await eventually(lambda: ring._running is None)
    assert await _id(ring) == "ASIA3"


async def test_expired_keys_are_not_given_out(mint: Mint, ring: KeyRing) -> None:
    await _id(ring)
    mint.after(minutes=59, seconds=56)
    mint.errors = [CredentialsError("down")]
    with pytest.raises(CredentialsError, match="down"):
        await ring.current()
    assert await _id(ring) == "ASIA3"


async def test_keys_that_live_for_seconds_are_used_for_most_of_them(
    mint: Mint, ring: KeyRing
) -> None:
    mint.life = timedelta(seconds=20)
    await _id(ring)
    mint.after(seconds=17)
    assert await _id(ring) == "ASIA1"


async def test_refused_keys_are_renounced_once(mint: Mint, ring: KeyRing) -> None:
    first = await ring.current()
    ring.renounce(first)
    assert await _id(ring) == "ASIA2"
    ring.renounce(first)  # another part's word, late
    assert await _id(ring) == "ASIA2"


async def test_one_who_stops_waiting_leaves_the_others_their_keys(
    mint: Mint, ring: KeyRing
) -> None:
    mint.gate.clear()
    leaving, staying = (asyncio.create_task(_id(ring)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.sleep(0)
    mint.gate.set()
    assert await staying == "ASIA1"


async def test_a_renewal_does_not_outlive_the_ring(mint: Mint) -> None:
    events: list[Event] = []
    async with KeyRing.opened(mint, on_event=events.append) as ring:
        mint.gate.clear()
        asking = asyncio.create_task(ring.current())
        await eventually(lambda: mint.issued == 1)
        asking.cancel()
    assert ring._running is None
    assert asking.cancelled() or await asyncio.gather(asking, return_exceptions=True)
