"""From every state of the record and every thing found at the store to the record's true state."""

from typing import Any

import pytest

from errors import StoreUnavailableError, UnavailableError
from service.completion.outcome import Outcome
from service.uploads.model import Checksum, Origin, Transport, Upload
from service.uploads.model import UploadStatus as S
from service.uploads.policy import Profile
from service.uploads.ports import StoredObject
from service.uploads.transitions import ENDED, IN_FLIGHT
from tests.fakes.clock import START
from tests.fakes.completion import OVERDUE, URL_LIFE, World
from tests.fakes.records import BUCKET, upload
from tests.fakes.store import stored

KEY = upload().key
VERIFIED = (S.COMPLETED, S.QUARANTINED, S.REPLACED)
WANTED = Checksum("CRC32", "AAAAAA==")


def world(status: S, found: StoredObject | None, *, limit: int | None = None, **more: Any) -> World:
    made = World(max_size=limit)
    etag = None if status in IN_FLIGHT else "one"
    made.records.rows["upl_1"] = upload(status=status, etag=etag, **more)
    if found is not None:
        made.store.put(KEY, found)
    return made


async def settled(made: World) -> tuple[Outcome, Upload]:
    outcome = await made.settlement.settle(BUCKET, KEY)
    return outcome, made.records.rows["upl_1"]


@pytest.mark.parametrize("status", S)
async def test_nothing_at_the_store_changes_nothing(status: S) -> None:
    made = world(status, None)
    before = made.records.rows["upl_1"]
    may_come = status in IN_FLIGHT | {S.RECEIVED}
    assert await settled(made) == (Outcome.ABSENT if may_come else Outcome.GONE, before)


@pytest.mark.parametrize("status", [*IN_FLIGHT, S.RECEIVED])
async def test_what_arrived_as_announced_is_completed_and_pinned(status: S) -> None:
    found = stored(version_id="v1", checksum=WANTED)
    outcome, record = await settled(world(status, found, declared_checksum=WANTED))
    assert (outcome, record.status, record.status_reason) == (Outcome.COMPLETED, S.COMPLETED, None)
    assert (record.size, record.etag, record.version_id) == (5, "one", "v1")
    assert record.checksum == WANTED
    assert (record.completed_at, record.next_look_at) == (START, None)


@pytest.mark.parametrize("status", [*IN_FLIGHT, S.RECEIVED])
@pytest.mark.parametrize(
    ("found", "limit", "reason"),
    [
        (stored(size=4), None, "5 bytes were announced, 4 arrived"),
        (stored(size=6), None, "5 bytes were announced, 6 arrived"),
        (stored(), 4, "more than the 4 bytes allowed"),
        (stored(checksum=Checksum("CRC32", "AAAAAQ==")), None, "the CRC32 checksum differs"),
    ],
)
async def test_what_is_not_as_announced_is_rejected_and_deleted(
    status: S, found: StoredObject, limit: int | None, reason: str
) -> None:
    made = world(status, found, limit=limit, declared_checksum=WANTED)
    outcome, record = await settled(made)
    assert (outcome, record.status, record.status_reason) == (Outcome.REJECTED, S.REJECTED, reason)
    assert made.store.deletions == [(KEY, "one")]
    assert not made.store.holds(KEY)


@pytest.mark.parametrize("checksum", [None, Checksum("CRC64NVME", "AAAAAAAAAAA=")])
async def test_a_checksum_that_cannot_be_compared_is_said(checksum: Checksum | None) -> None:
    found = stored(checksum=checksum)
    outcome, record = await settled(world(S.PENDING, found, declared_checksum=WANTED))
    assert outcome is Outcome.COMPLETED
    assert record.status_reason == "the store holds no such checksum to compare"


@pytest.mark.parametrize("status", sorted(VERIFIED))
async def test_the_same_object_again_changes_nothing(status: S) -> None:
    made = world(status, stored(), next_look_at=None)
    before = made.records.rows["upl_1"]
    assert await settled(made) == (Outcome.UNCHANGED, before)
    assert made.store.holds(KEY)


@pytest.mark.parametrize("status", [S.COMPLETED, S.REPLACED])
async def test_another_object_replaces_and_is_verified_anew(status: S) -> None:
    made = world(status, stored(etag="two", version_id="v2"))
    outcome, record = await settled(made)
    assert (outcome, record.status) == (Outcome.REPLACED, S.REPLACED)
    assert (record.etag, record.version_id) == ("two", "v2")
    assert record.status_reason is not None
    # Somebody writes it again and again: what was seen may be gone by now.
    assert record.next_look_at == START + OVERDUE
    assert made.records.moves == [S.REPLACED]


@pytest.mark.parametrize("status", [S.COMPLETED, S.REPLACED])
async def test_a_replacement_that_is_not_as_announced_is_rejected(status: S) -> None:
    made = world(status, stored(etag="two", size=6))
    outcome, record = await settled(made)
    assert (outcome, record.status, record.etag) == (Outcome.REJECTED, S.REJECTED, "two")
    assert not made.store.holds(KEY)


async def test_a_replacement_is_verified_even_if_the_first_try_broke_off() -> None:
    made = world(S.COMPLETED, stored(etag="two", size=6))
    made.records.failing[S.REJECTED] = UnavailableError()
    with pytest.raises(UnavailableError):
        await settled(made)
    assert (await settled(made))[1].status is S.REJECTED
    assert not made.store.holds(KEY)


@pytest.mark.parametrize("status", sorted(ENDED))
async def test_bytes_that_come_after_the_end_are_deleted(status: S) -> None:
    made = world(status, stored(etag="late"))
    outcome, record = await settled(made)
    assert (outcome, record.status) == (Outcome.STRAY_DELETED, status)
    assert made.store.deletions == [(KEY, "late")]
    assert not made.store.holds(KEY)


async def test_a_rejected_object_that_could_not_be_deleted_is_deleted_next_time() -> None:
    made = world(S.PENDING, stored(size=6), looks=9)
    made.store.delete_failures.append(StoreUnavailableError())
    with pytest.raises(StoreUnavailableError):
        await settled(made)
    record = made.records.rows["upl_1"]
    assert (record.next_look_at, record.looks) == (START, 0)
    assert (await settled(made))[0] is Outcome.STRAY_DELETED
    assert not made.store.holds(KEY)


async def test_a_store_that_is_away_changes_nothing() -> None:
    made = world(S.PENDING, stored())
    made.store.failures.append(StoreUnavailableError())
    with pytest.raises(StoreUnavailableError):
        await settled(made)
    assert made.records.moves == []


def profiled(profile: Profile, status: S, found: StoredObject, **more: Any) -> World:
    made = World(profiles=[profile])
    etag = None if status in IN_FLIGHT else "one"
    made.records.rows["upl_1"] = upload(status=status, etag=etag, **more)
    made.store.put(KEY, found)
    return made


class TestQuota:
    async def test_it_is_settled_to_the_true_size(self) -> None:
        made = profiled(Profile(quota=9), S.UPLOADING, stored(), declared_size=None, charged=9)
        _, record = await settled(made)
        assert (record.status, record.charged) == (S.COMPLETED, 5)

    async def test_it_is_given_back_for_what_is_rejected(self) -> None:
        made = profiled(Profile(quota=9), S.UPLOADING, stored(size=6), charged=5)
        _, record = await settled(made)
        assert (record.status, record.charged) == (S.REJECTED, 0)

    async def test_more_than_it_of_unknown_size_is_rejected(self) -> None:
        made = profiled(
            Profile(quota=9), S.UPLOADING, stored(size=10), declared_size=None, charged=9
        )
        _, record = await settled(made)
        assert (record.status, record.status_reason) == (
            S.REJECTED,
            "more than the 9 bytes allowed",
        )
        assert not made.store.holds(KEY)

    @pytest.mark.parametrize(("others", "fits"), [(0, True), (4, True), (5, False)])
    async def test_a_replacement_must_fit_into_what_is_left_of_it(
        self, others: int, fits: bool
    ) -> None:
        made = profiled(
            Profile(quota=9), S.COMPLETED, stored(etag="two"), declared_size=None, charged=2
        )
        made.records.rows["upl_2"] = upload(
            id="upl_2", status=S.COMPLETED, etag="x", charged=others, next_look_at=None
        )
        outcome, record = await settled(made)
        if fits:
            assert (outcome, record.status, record.charged) == (Outcome.REPLACED, S.REPLACED, 5)
        else:
            # At once: what does not fit never counts, not even for a moment.
            assert made.records.moves == [S.REJECTED]
            assert (outcome, record.status, record.charged) == (Outcome.REJECTED, S.REJECTED, 0)
            assert "quota" in (record.status_reason or "")
            assert not made.store.holds(KEY)


class TestQuarantine:
    @pytest.mark.parametrize("status", [*IN_FLIGHT, S.RECEIVED])
    async def test_what_arrives_waits_for_a_verdict(self, status: S) -> None:
        made = profiled(Profile(quarantine=True), status, stored())
        outcome, record = await settled(made)
        assert (outcome, record.status) == (Outcome.QUARANTINED, S.QUARANTINED)
        assert (record.etag, record.size, record.completed_at) == ("one", 5, None)
        assert await settled(made) == (Outcome.UNCHANGED, record)
        assert made.store.holds(KEY)

    async def test_it_does_not_keep_what_is_not_as_announced(self) -> None:
        made = profiled(Profile(quarantine=True), S.PENDING, stored(size=6))
        assert (await settled(made))[0] is Outcome.REJECTED


class TestNames:
    @pytest.mark.parametrize(
        ("profile", "reason"),
        [
            (Profile(content_types=("image/*",)), "its content type is not allowed"),
            (Profile(extensions=("png",)), "its name's extension is not allowed"),
        ],
    )
    async def test_what_credentials_sent_under_another_one_is_rejected(
        self, profile: Profile, reason: str
    ) -> None:
        made = profiled(profile, S.PENDING, stored())
        outcome, record = await settled(made)
        assert (outcome, record.status_reason) == (Outcome.REJECTED, reason)
        assert not made.store.holds(KEY)

    async def test_the_type_that_counts_is_the_objects(self) -> None:
        profile = Profile(content_types=("image/*",))
        announced = {"content_type": "image/png", "filename": "a.png"}
        made = profiled(profile, S.PENDING, stored(content_type="text/html"), **announced)
        assert (await settled(made))[0] is Outcome.REJECTED
        made = profiled(profile, S.PENDING, stored(content_type="image/webp"), **announced)
        assert (await settled(made))[0] is Outcome.COMPLETED


@pytest.mark.parametrize("status", [S.UPLOADING, S.RECEIVED])
@pytest.mark.parametrize("quarantine", [False, True])
async def test_a_multipart_of_ours_that_was_not_needed_is_left_to_the_sweep(
    status: S, quarantine: bool
) -> None:
    profile = Profile(quarantine=quarantine)
    made = profiled(profile, status, stored(), multipart_id="mp_1")
    made.multiparts.begin(KEY)
    _, record = await settled(made)
    assert (record.multipart_id, record.next_look_at) == ("mp_1", START)
    await made.sweep().step()
    record = made.records.rows["upl_1"]
    assert (record.multipart_id, record.next_look_at) == (None, None)
    assert record.status is (S.QUARANTINED if quarantine else S.COMPLETED)
    assert (made.multiparts.under_way, made.store.holds(KEY)) == ({}, True)


async def test_what_is_written_again_in_quarantine_is_rejected() -> None:
    """Or a verdict on what was looked at would release other bytes."""
    made = profiled(Profile(quarantine=True), S.QUARANTINED, stored(etag="two"))
    outcome, record = await settled(made)
    assert (outcome, record.status, record.charged) == (Outcome.REJECTED, S.REJECTED, 0)
    assert record.status_reason == "it was written again while in quarantine"
    assert not made.store.holds(KEY)


async def test_a_verdict_by_call_is_not_taken_for_another_version() -> None:
    """What waits for one keeps the version that was looked at, be it gone."""
    again = stored(version_id="v2")
    made = profiled(Profile(quarantine=True), S.QUARANTINED, again, version_id="v1")
    before = made.records.rows["upl_1"]
    assert await settled(made) == (Outcome.UNCHANGED, before)
    assert made.store.versions_asked == 0


async def test_one_that_is_replaced_before_the_sweep_came_is_cleared_all_the_same() -> None:
    made = world(S.COMPLETED, stored(etag="two"), multipart_id="mp_1")
    made.multiparts.begin(KEY)
    await settled(made)
    made.clock.advance(OVERDUE.total_seconds())
    for _ in range(3):
        await made.sweep().step()
    record = made.records.rows["upl_1"]
    assert (record.status, record.etag) == (S.REPLACED, "two")
    assert (record.multipart_id, record.next_look_at, made.multiparts.under_way) == (None, None, {})


class TestAFormThatIsSentAgain:
    """Its event may be lost, so there is one more look once nothing signed can be written to."""

    @pytest.mark.parametrize(
        ("changes", "looks"),
        [
            ({"transport": Transport.PRESIGNED}, True),
            # It had a form before.
            ({"transport": Transport.RELAY, "transport_reason": "switched"}, True),
            ({"transport": Transport.RELAY}, False),
            ({"transport": Transport.CREDENTIALS}, False),
            ({"transport": Transport.PRESIGNED, "origin": Origin.ADOPTED}, False),
        ],
    )
    @pytest.mark.parametrize("quarantine", [False, True])
    async def test_who_could_have_a_form_is_looked_at_once_more(
        self, changes: dict[str, Any], looks: bool, quarantine: bool
    ) -> None:
        profile = Profile(quarantine=quarantine)
        made = profiled(profile, S.PENDING, stored(), **changes)
        _, record = await settled(made)
        assert record.next_look_at == (START + URL_LIFE if looks else None)

    async def test_what_was_written_again_is_found(self) -> None:
        made = world(S.PENDING, stored(), transport=Transport.PRESIGNED)
        await settled(made)
        made.store.put(KEY, stored(etag="two"))
        made.clock.advance(URL_LIFE.total_seconds())
        assert await made.sweep().step() == 1
        record = made.records.rows["upl_1"]
        assert (record.status, record.etag) == (S.REPLACED, "two")
        assert record.next_look_at == made.clock() + OVERDUE
        # A form that was sent twice may be sent a third time.
        made.clock.advance(OVERDUE.total_seconds())
        await made.sweep().step()
        record = made.records.rows["upl_1"]
        assert record.next_look_at == record.updated_at + URL_LIFE

    async def test_what_waits_for_a_verdict_is_rejected_then(self) -> None:
        made = profiled(
            Profile(quarantine=True), S.PENDING, stored(), transport=Transport.PRESIGNED
        )
        await settled(made)
        made.store.put(KEY, stored(etag="two"))
        made.clock.advance(URL_LIFE.total_seconds())
        await made.sweep().step()
        assert made.records.rows["upl_1"].status is S.REJECTED
        assert not made.store.holds(KEY)

    @pytest.mark.parametrize("there", [True, False])
    async def test_it_is_one_look_whatever_is_found(self, there: bool) -> None:
        """An application may have moved the object since."""
        made = world(S.PENDING, stored(), transport=Transport.PRESIGNED)
        await settled(made)
        if not there:
            made.store.objects.clear()
        made.clock.advance(URL_LIFE.total_seconds())
        assert await made.sweep().step() == 1
        record = made.records.rows["upl_1"]
        assert (record.status, record.next_look_at) == (S.COMPLETED, None)


@pytest.mark.parametrize("status", [S.COMPLETED, S.REPLACED])
async def test_what_is_written_again_in_a_profile_with_quarantine_waits_for_a_verdict_again(
    status: S,
) -> None:
    made = profiled(
        Profile(quarantine=True), status, stored(etag="two"), completed_at=START, charged=5
    )
    outcome, record = await settled(made)
    assert (outcome, record.status, record.etag) == (Outcome.QUARANTINED, S.QUARANTINED, "two")
    assert (record.completed_at, record.charged) == (START, 5)
