"""At least once, in any order: the state is that of once, in order."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from service.completion.events import ObjectEvent
from service.uploads.model import UploadStatus as S
from tests.fakes.clock import START
from tests.fakes.completion import World
from tests.fakes.inbox import event
from tests.fakes.records import IDENTITY, upload
from tests.fakes.store import stored

SITUATIONS: list[tuple[S | None, int | None]] = [
    (status, size) for status in (None, *S) for size in (None, 5, 6)
]


def world_of(situations: list[tuple[S | None, int | None]]) -> tuple[World, list[ObjectEvent]]:
    """For each a key with a record in that state (or none) and an object of that size (or none)."""
    world = World()
    for number, (status, size) in enumerate(situations):
        upload_id = f"upl_{number}"
        key = f"{IDENTITY}/{upload_id}"
        etag = None if status in (S.PENDING, S.UPLOADING) else "old"
        if status is not None:
            world.records.rows[upload_id] = upload(id=upload_id, key=key, status=status, etag=etag)
        if size is not None:
            world.store.put(key, stored(size=size, etag="new"))
    # Several distinct events of one key: it was written more than once.
    events = [
        event(f"{IDENTITY}/upl_{number}", turn)
        for number in range(len(situations))
        for turn in range(2)
    ]
    return world, events


async def delivered(world: World, messages: list[list[ObjectEvent]]) -> dict[str, Any]:
    completion, processor = world.completion(), world.processor()
    for message in messages:
        await completion.accept(message)
        await processor.step()
    while await processor.step():
        pass
    assert all(row.done_at is not None for row in world.inbox.rows)
    rows = [replace(row, id="", generation=0) for row in world.records.rows.values()]
    return {"rows": sorted(rows, key=repr), "objects": world.store.objects}


@settings(max_examples=60, deadline=timedelta(seconds=5))
@given(st.lists(st.sampled_from(SITUATIONS), min_size=1, max_size=5), st.data())
def test_three_times_and_shuffled_is_as_good_as_once_in_order(
    situations: list[tuple[S | None, int | None]], data: st.DataObject
) -> None:
    world, events = world_of(situations)
    once = asyncio.run(delivered(world, [[one] for one in events]))
    again, _ = world_of(situations)
    shuffled = data.draw(st.permutations(events * 3))
    cut = data.draw(st.integers(1, len(shuffled)))
    messages = [shuffled[start : start + cut] for start in range(0, len(shuffled), cut)]
    assert asyncio.run(delivered(again, messages)) == once


async def test_an_event_before_its_object_does_no_harm() -> None:
    world, events = world_of([(S.PENDING, None)])
    await delivered(world, [events])
    world.store.put(events[0].key, stored())
    world.clock.now = START + timedelta(seconds=30)
    await world.sweep().step()
    assert world.records.rows["upl_0"].status is S.COMPLETED
