"""A scanner's tag is a verdict on the pinned bytes, or none at all."""

from typing import Any

import pytest

from errors import StoreUnavailableError
from service.completion.scans import ScanRule, Scans
from service.uploads.model import Upload, UploadStatus
from service.uploads.verdicts import Verdict
from tests.fakes.records import upload
from tests.fakes.store import MemoryStore, stored

RULE = ScanRule(tag="Scan", clean=frozenset({"CLEAN", "OK"}), rejected=frozenset({"VIRUS"}))
KEY = upload().key
ONE = stored(etag="one")


class World:
    def __init__(self, **changes: Any) -> None:
        self.store = MemoryStore()
        self.store.put(KEY, ONE)
        self.scans = Scans(store=self.store, rule=RULE)
        self.record = held(**changes)

    async def look(self, **changes: Any) -> Verdict | None:
        return await self.scans.look(self.record, stored(**{"etag": "one", **changes}))


def held(**changes: Any) -> Upload:
    return upload(**{"status": UploadStatus.QUARANTINED, "etag": "one", **changes})


@pytest.mark.parametrize(
    ("tags", "verdict"),
    [
        ({"Scan": "CLEAN"}, "clean"),
        ({"Scan": "OK", "other": "VIRUS"}, "clean"),
        ({"Scan": "VIRUS"}, "rejected"),
        ({"Scan": "UNSUPPORTED"}, None),
        ({"Scan": ""}, None),
        ({"Scan": "clean"}, None),
        ({"scan": "CLEAN"}, None),
        ({"other": "CLEAN"}, None),
        ({}, None),
    ],
)
async def test_the_values_of_the_tag_decide(tags: dict[str, str], verdict: str | None) -> None:
    world = World()
    world.store.tag(KEY, tags)
    assert await world.look() == verdict
    assert RULE.verdict(tags) == verdict


def test_a_value_that_releases_and_rejects_rejects() -> None:
    both = ScanRule(tag="Scan", clean=frozenset({"X"}), rejected=frozenset({"X"}))
    assert both.verdict({"Scan": "X"}) == "rejected"


@pytest.mark.parametrize("status", sorted(set(UploadStatus) - {UploadStatus.QUARANTINED}))
async def test_there_is_no_verdict_on_what_is_not_in_quarantine(status: UploadStatus) -> None:
    world = World(status=status)
    world.store.tag(KEY, {"Scan": "CLEAN"})
    assert await world.look() is None


async def test_there_is_none_on_other_bytes_than_the_pinned() -> None:
    world = World()
    world.store.put(KEY, stored(etag="two"))
    world.store.tag(KEY, {"Scan": "CLEAN"})
    assert await world.look(etag="two") is None


async def test_nor_where_the_look_before_showed_other_bytes() -> None:
    world = World()
    world.store.tag(KEY, {"Scan": "CLEAN"})
    assert await world.look(etag="two") is None


@pytest.mark.parametrize("value", ["CLEAN", "VIRUS"])
async def test_a_tag_is_never_taken_for_bytes_that_came_between(value: str) -> None:
    """Seen, then written again and tagged, then asked for its tags: they are the others'."""
    world = World()
    world.store.put(KEY, stored(etag="two"))
    world.store.tag(KEY, {"Scan": value})
    assert await world.look() is None


@pytest.mark.parametrize("value", ["CLEAN", "VIRUS"])
async def test_nor_for_bytes_that_come_just_after(value: str) -> None:
    world = World()
    world.store.tag(KEY, {"Scan": value})
    world.store.after_tags = stored(etag="two")
    assert await world.look() is None


async def test_what_is_gone_meanwhile_has_none() -> None:
    world = World()
    world.store.tag(KEY, {"Scan": "CLEAN"})
    world.store.objects.clear()
    assert await world.look() is None


async def test_the_tags_are_those_of_the_pinned_version() -> None:
    world = World(version_id="v1")
    world.store.tag(KEY, {"Scan": "CLEAN"})
    world.store.tag(KEY, {"Scan": "VIRUS"}, version="v1")
    assert await world.look(version_id="v1") == "rejected"


async def test_without_a_tag_nothing_more_is_asked() -> None:
    world = World()
    assert await world.look() is None
    assert world.store.heads == 0


async def test_a_store_that_is_away_is_told() -> None:
    world = World()
    world.store.tag_failures = [StoreUnavailableError()]
    with pytest.raises(StoreUnavailableError):
        await world.look()
