"""What is in quarantine where a scanner tags objects: its verdict is found, with its event or
without.
"""

from typing import Any

import pytest

from service.completion.adoption import Adoption, AdoptionRules
from service.completion.decision import Deciding
from service.completion.outcome import Outcome
from service.completion.scans import ScanRule, Scans
from service.completion.settlement import Settlement
from service.uploads.model import Upload
from service.uploads.model import UploadStatus as S
from service.uploads.policy import Profile
from tests.fakes.clock import START
from tests.fakes.completion import OVERDUE, URL_LIFE, World
from tests.fakes.inbox import event
from tests.fakes.owners import OneOwner
from tests.fakes.records import BUCKET, upload
from tests.fakes.store import stored

RULE = ScanRule(tag="Scan", clean=frozenset({"CLEAN"}), rejected=frozenset({"VIRUS"}))
KEY = upload().key
CLEAN, VIRUS = {"Scan": "CLEAN"}, {"Scan": "VIRUS"}


class Scanned(World):
    """One object has arrived, and its profile has a quarantine."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(profiles=[Profile(quarantine=True)])
        self.deciding = Deciding(self.policy, URL_LIFE, OVERDUE, scanned=True)
        self.settlement = Settlement(
            records=self.records,
            store=self.store,
            adoption=Adoption(OneOwner(), AdoptionRules(), self.policy.profile(None).name),
            deciding=self.deciding,
            scans=Scans(store=self.store, rule=RULE),
            clock=self.clock,
        )
        self.records.rows["upl_1"] = upload(charged=5, **changes)
        self.store.put(KEY, stored())

    def row(self) -> Upload:
        return self.records.rows["upl_1"]

    async def settled(self) -> Outcome:
        return await self.settlement.settle(BUCKET, KEY)

    async def swept(self) -> Upload:
        """When the record's next look is due."""
        due = self.row().next_look_at
        assert due is not None
        self.clock.now = due
        assert await self.sweep().step() == 1
        return self.row()


def held(**changes: Any) -> Scanned:
    return Scanned(**{"status": S.QUARANTINED, "etag": "one", "size": 5, **changes})


async def test_what_arrives_is_looked_at_again_for_its_tag() -> None:
    made = Scanned()
    assert await made.settled() is Outcome.QUARANTINED
    assert made.row().next_look_at == START + OVERDUE


async def test_a_multipart_to_clear_away_does_not_wait_for_the_scanner() -> None:
    made = Scanned(status=S.UPLOADING, multipart_id="mp_1")
    assert await made.settled() is Outcome.QUARANTINED
    assert made.row().next_look_at == START


@pytest.mark.parametrize(("tags", "status"), [(CLEAN, S.COMPLETED), (VIRUS, S.REJECTED)])
async def test_a_verdict_whose_event_was_lost_is_found_by_the_sweep(
    tags: dict[str, str], status: S
) -> None:
    made = Scanned()
    await made.settled()
    for _ in range(3):
        assert (await made.swept()).status is S.QUARANTINED
    made.store.tag(KEY, tags)
    assert (await made.swept()).status is status


async def test_an_event_before_the_verdict_is_done_with_and_changes_nothing() -> None:
    made = held()
    before = made.row()
    await made.inbox.put([event(KEY)], START)
    await made.processor().step()
    assert (made.inbox.rows[0].outcome, made.inbox.rows[0].done_at) == ("waiting", START)
    assert made.row() == before


async def test_a_clean_one_is_completed_once() -> None:
    made = held()
    made.store.tag(KEY, CLEAN)
    assert await made.settled() is Outcome.COMPLETED
    assert (made.row().completed_at, made.row().charged) == (START, 5)
    assert made.row().next_look_at is None
    assert await made.settled() is Outcome.UNCHANGED
    assert made.records.moves == [S.COMPLETED]


async def test_a_rejected_one_is_deleted_and_gives_its_quota_back() -> None:
    made = held()
    made.store.tag(KEY, VIRUS)
    assert await made.settled() is Outcome.REJECTED
    assert (made.row().status_reason, made.row().charged) == ("rejected by the scanner", 0)
    assert made.store.deletions == [(KEY, "one")]
    assert not made.store.holds(KEY)


async def test_one_that_was_completed_before_is_replaced_by_what_is_released() -> None:
    made = held(completed_at=START)
    made.store.tag(KEY, CLEAN)
    made.clock.advance(60)
    assert await made.settled() is Outcome.REPLACED
    assert made.row().completed_at == START


async def test_other_bytes_are_rejected_whatever_their_tag() -> None:
    made = held()
    made.store.put(KEY, stored(etag="two"))
    made.store.tag(KEY, CLEAN)
    assert await made.settled() is Outcome.REJECTED
    assert not made.store.holds(KEY)


async def test_the_tags_that_count_are_those_of_the_version_that_is_still_there() -> None:
    """The same bytes were put again, and a lifecycle rule has removed the pinned version."""
    made = held(version_id="v1")
    made.store.put(KEY, stored(version_id="v2"))
    made.store.versions.add((BUCKET, KEY, "v1"))
    made.store.tag(KEY, CLEAN, "v2")
    assert await made.settled() is Outcome.WAITING
    assert made.row().version_id == "v1"
    made.store.versions.clear()
    assert await made.settled() is Outcome.COMPLETED
    assert made.row().version_id == "v2"


async def test_of_two_that_find_the_verdict_one_gives_it() -> None:
    made = held()
    made.store.tag(KEY, CLEAN)
    made.records.lost_races = 1
    assert await made.settled() is Outcome.COMPLETED
    assert made.records.moves == [S.COMPLETED]
