"""A store that has told of an object, and does not show it yet."""

import random
import time
from collections import Counter

from torture.ledger import Ledger
from torture.result import Result, judged
from torture.traffic import Traffic
from torture.world import World

NAME = "a store that shows late"
# With a store's mark: without it, it would be a proxy's word and not believed.
_NOT_THERE = b"HTTP/1.1 404 Not Found\r\nx-amz-request-id: late\r\nContent-Length: 0\r\n\r\n"


class Late:
    """Says of each object so many times that it is not there. Of the bucket it says nothing."""

    def __init__(self, times: int) -> None:
        self.asked: Counter[bytes] = Counter()
        self._times = times

    def __call__(self, sent: bytes) -> bytes | None:
        if not sent.startswith(b"HEAD "):
            return None
        path = sent.split(b" ", 2)[1].partition(b"?")[0]
        if path.strip(b"/").count(b"/") == 0:
            return None
        self.asked[path] += 1
        return _NOT_THERE if self.asked[path] <= self._times else None


async def late_store(world: World, *, uploads: int = 8, times: int = 2, seed: int = 4) -> Result:
    """The sweep looks at nothing here: the events alone must bring it about."""
    since, world.doing = time.monotonic(), f"{NAME}: {uploads} uploads"
    ledger = Ledger(await world.people(2))
    traffic = Traffic(world, ledger, random.Random(seed))  # noqa: S311 - a repeatable course
    late = Late(times)
    for replica in world.replicas:
        replica.store.answers = late
    await traffic.tell_thrice(await traffic.mixed(uploads))
    result = await judged(NAME, world, ledger, rounds=times, since=since)
    await world.heal()
    if len(late.asked) < uploads:
        result.found.notes.append(f"only {len(late.asked)} objects were asked for")
    return result
