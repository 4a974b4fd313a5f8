"""The sweep finds what no event told of."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import StoreRefusedError, StoreUnavailableError
from service.completion.adoption import AdoptionRules
from service.completion.outcome import Outcome
from service.completion.sweep import next_look
from service.uploads.model import Origin, Upload
from service.uploads.model import UploadStatus as S
from service.uploads.plan import SMALLEST_PART
from service.uploads.policy import Profile
from tests.fakes.clock import START
from tests.fakes.completion import LATE_BYTES, OVERDUE, World
from tests.fakes.records import upload
from tests.fakes.store import stored
from tests.fakes.uploads import in_parts

KEY = upload().key


def world(record: Upload) -> World:
    made = World()
    made.records.rows[record.id] = record
    made.clock.advance(30)
    return made


def row(made: World) -> Upload:
    return made.records.rows["upl_1"]


async def test_an_upload_whose_event_was_lost_is_completed() -> None:
    made = world(upload())
    made.store.put(KEY, stored())
    assert await made.sweep().step() == 1
    assert (row(made).status, row(made).next_look_at) == (S.COMPLETED, None)
    assert await made.sweep().step() == 0


async def test_what_is_not_there_yet_is_looked_for_less_and_less_often() -> None:
    made = world(upload())
    for looks in range(1, 10):
        assert await made.sweep().step() == 1
        seen = row(made)
        assert (seen.status, seen.looks) == (S.PENDING, looks)
        assert seen.next_look_at == next_look(made.clock(), OVERDUE, looks)
        assert await made.sweep().step() == 0
        assert seen.next_look_at is not None
        made.clock.now = seen.next_look_at


@pytest.mark.parametrize("status", [S.PENDING, S.UPLOADING])
async def test_what_did_not_arrive_in_time_expires_and_its_place_is_watched(status: S) -> None:
    made = world(upload(status=status, expires_at=START))
    await made.sweep().step()
    assert (row(made).status, row(made).next_look_at) == (S.EXPIRED, made.clock() + OVERDUE)


@pytest.mark.parametrize("status", [S.PENDING, S.UPLOADING, S.RECEIVED])
@pytest.mark.parametrize("failure", [StoreUnavailableError(), StoreRefusedError()])
async def test_nothing_expires_while_it_may_be_there(status: S, failure: Exception) -> None:
    """A missing bucket answers a HEAD as a missing object does."""
    made = world(upload(status=status, expires_at=START))
    made.store.list_failures.append(failure)
    await made.sweep().step()
    assert (row(made).status, row(made).looks) == (status, 1)
    made.store.put(KEY, stored())
    await looks_until_the_end(made)
    assert (row(made).status, made.store.holds(KEY)) == (S.COMPLETED, True)


async def test_it_is_made_sure_of_only_before_something_expires() -> None:
    made = world(upload())
    for _ in range(4):
        assert await made.sweep().step() == 1
        made.clock.now = row(made).next_look_at or made.clock.now
    assert made.store.listings == 0
    made.clock.now = row(made).expires_at
    await made.sweep().step()
    assert (row(made).status, made.store.listings) == (S.EXPIRED, 1)


async def test_what_arrived_at_the_last_moment_is_completed_not_expired() -> None:
    made = world(upload(expires_at=START))
    made.store.put(KEY, stored())
    await made.sweep().step()
    assert row(made).status is S.COMPLETED


async def test_a_received_upload_whose_worker_died_is_finished() -> None:
    made = world(upload(status=S.RECEIVED, etag="one"))
    made.store.put(KEY, stored())
    await made.sweep().step()
    assert row(made).status is S.COMPLETED


@pytest.mark.parametrize(
    ("expires_at", "status"),
    [(START, S.ABORTED), (START + timedelta(days=1), S.RECEIVED)],
)
async def test_what_was_received_and_is_gone_ends_when_its_time_is_over(
    expires_at: datetime, status: S
) -> None:
    made = world(upload(status=S.RECEIVED, etag="one", expires_at=expires_at))
    await made.sweep().step()
    assert row(made).status is status
    assert row(made).next_look_at is not None


async def looks_until_the_end(made: World) -> int:
    for looks in range(50):
        when = row(made).next_look_at
        if when is None:
            return looks
        made.clock.now = max(when, made.clock.now)
        assert await made.sweep().step() == 1
    raise AssertionError("never ends")


@pytest.mark.parametrize("status", [S.ABORTED, S.EXPIRED, S.REJECTED])
async def test_the_place_of_an_ended_upload_is_looked_at_a_bounded_number_of_times(
    status: S,
) -> None:
    made = world(upload(status=status))
    assert 2 <= await looks_until_the_end(made) <= 10


async def test_an_upload_that_waited_long_is_watched_as_well_after_its_end() -> None:
    made = world(upload(looks=30, expires_at=START))
    await made.sweep().step()
    assert (row(made).status, row(made).looks) == (S.EXPIRED, 0)
    assert await looks_until_the_end(made) >= 2


async def test_late_bytes_of_an_ended_upload_are_deleted_by_the_sweep() -> None:
    made = world(upload(status=S.ABORTED))
    await made.sweep().step()
    made.store.put(KEY, stored())
    await looks_until_the_end(made)
    assert not made.store.holds(KEY)


async def test_late_bytes_may_come_more_than_once() -> None:
    made = world(upload(status=S.ABORTED))
    for number in range(3):
        made.store.put(KEY, stored(etag=f"{number}"))
        await made.sweep().step()
        assert not made.store.holds(KEY)
        due = row(made).next_look_at
        assert due is not None
        made.clock.now = due


async def test_a_store_that_is_away_does_not_use_up_the_looks_after_the_end() -> None:
    made = world(upload(status=S.REJECTED, etag="one"))
    made.store.put(KEY, stored())
    made.store.failures += [StoreUnavailableError()] * 20
    await looks_until_the_end(made)
    assert not made.store.holds(KEY)


async def test_an_upload_that_cannot_be_looked_at_waits_and_stops_no_others() -> None:
    made = world(upload(id="upl_1"))
    made.records.rows["upl_2"] = upload(id="upl_2", key="other")
    made.store.put("other", stored())
    made.store.failures.append(StoreUnavailableError())
    assert await made.sweep().step() == 2
    assert row(made).next_look_at == next_look(made.clock(), OVERDUE, 1)
    assert made.records.rows["upl_2"].status is S.COMPLETED


async def test_a_fault_of_ours_at_one_upload_stops_no_others() -> None:
    made = world(upload(id="upl_1"))
    made.records.rows["upl_2"] = upload(id="upl_2", key="other")
    made.store.put("other", stored())
    made.store.failures.append(RuntimeError("ours"))
    assert await made.sweep().step() == 2
    assert made.records.rows["upl_2"].status is S.COMPLETED
    assert row(made).next_look_at == next_look(made.clock(), OVERDUE, 1)


async def test_an_object_that_is_nobodys_now_is_not_looked_at_for_ever() -> None:
    made = world(upload(status=S.REJECTED, origin=Origin.ADOPTED, etag="old"))
    made.store.put(KEY, stored(etag="new"))
    sweep = made.sweep(made.settling(AdoptionRules(enabled=False)))
    await sweep.step()
    assert await sweep.step() == 0
    assert made.store.holds(KEY)


async def test_a_pass_is_bounded_and_begins_with_the_longest_waiting() -> None:
    made = World()
    for number in range(5):
        due = START - timedelta(seconds=number)
        made.records.rows[str(number)] = upload(id=str(number), next_look_at=due)
    assert await made.sweep(batch=2).step() == 2
    assert {name for name, one in made.records.rows.items() if one.looks} == {"3", "4"}


async def test_an_outcome_of_another_worker_is_not_undone() -> None:
    made = world(upload())

    class Beaten:
        async def settle(self, bucket: str, key: str) -> Outcome:
            made.records.rows["upl_1"] = upload(status=S.COMPLETED, etag="one", next_look_at=None)
            return Outcome.UNCHANGED

    await made.sweep(Beaten()).step()
    assert (row(made).status, row(made).next_look_at) == (S.COMPLETED, None)


@given(st.integers(0, 10_000), st.floats(0.001, 86_400))
def test_the_next_look_is_ahead_and_within_the_hour(looks: int, overdue: float) -> None:
    wait = next_look(START, timedelta(seconds=overdue), looks) - START
    assert timedelta(0) < wait <= timedelta(hours=1)
    assert wait <= next_look(START, timedelta(seconds=overdue), looks + 1) - START


ENDED = pytest.mark.parametrize("status", [S.ABORTED, S.EXPIRED, S.REJECTED, S.DELETED])


@ENDED
async def test_what_was_half_sent_of_an_ended_upload_is_cleared_away(status: S) -> None:
    made = world(upload(status=status, multipart_id="mp_1"))
    for key in (KEY, KEY, "other"):
        made.multiparts.begin(key)
    await made.sweep().step()
    assert [found.key for found in made.multiparts.under_way.values()] == ["other"]
    assert row(made).multipart_id is None


@ENDED
async def test_one_that_begins_after_the_end_is_cleared_as_well(status: S) -> None:
    made = world(in_parts(status=status, multipart_id=None))
    await made.sweep().step()
    made.multiparts.begin(KEY)
    await looks_until_the_end(made)
    assert made.multiparts.under_way == {}


@ENDED
async def test_the_user_may_send_to_a_name_of_their_own_again(status: S) -> None:
    made = world(upload(status=status, origin=Origin.ADOPTED))
    made.multiparts.begin(KEY)
    await looks_until_the_end(made)
    assert len(made.multiparts.under_way) == 1


@pytest.mark.parametrize("status", [S.PENDING, S.UPLOADING])
async def test_what_is_in_flight_keeps_its_parts(status: S) -> None:
    made = world(upload(status=status, multipart_id="mp_1"))
    made.multiparts.begin(KEY)
    await made.sweep().step()
    assert (row(made).multipart_id, len(made.multiparts.under_way)) == ("mp_1", 1)


@pytest.mark.parametrize("status", [S.PENDING, S.UPLOADING])
async def test_what_expires_loses_its_parts_and_its_quota(status: S) -> None:
    made = world(upload(status=status, expires_at=START, multipart_id="mp_1", charged=5))
    made.multiparts.begin(KEY)
    await made.sweep().step()
    assert (row(made).status, row(made).charged) == (S.EXPIRED, 0)
    made.clock.advance(30)
    await made.sweep().step()
    assert (row(made).multipart_id, made.multiparts.under_way) == (None, {})


@pytest.mark.parametrize("call", ["of_key", "abort"])
async def test_an_abort_that_fails_is_tried_again(call: str) -> None:
    made = world(upload(status=S.ABORTED, multipart_id="mp_1"))
    made.multiparts.begin(KEY)
    made.multiparts.failures[call] = [StoreUnavailableError()] * 20
    await looks_until_the_end(made)
    assert (row(made).multipart_id, made.multiparts.under_way) == (None, {})


async def test_what_completed_without_our_multipart_is_looked_at_until_it_is_cleared() -> None:
    made = world(upload(status=S.COMPLETED, etag="one", multipart_id="mp_1"))
    made.store.put(KEY, stored())
    made.multiparts.begin(KEY)
    made.multiparts.failures["abort"] = [StoreUnavailableError()] * 9
    await looks_until_the_end(made)
    assert (row(made).status, row(made).multipart_id) == (S.COMPLETED, None)
    assert made.multiparts.under_way == {}
    assert made.store.holds(KEY)


@ENDED
async def test_an_end_is_watched_for_as_long_as_bytes_may_come(status: S) -> None:
    """However often that is: an address and the user's own keys live on."""
    made = world(upload(status=status))
    await looks_until_the_end(made)
    assert made.clock() - row(made).updated_at >= LATE_BYTES
    assert row(made).looks >= 6


async def test_an_end_long_ago_is_watched_all_the_same() -> None:
    made = world(upload(status=S.ABORTED, updated_at=START - 2 * LATE_BYTES))
    assert await looks_until_the_end(made) >= 6


@pytest.mark.parametrize("status", [S.PENDING, S.UPLOADING])
async def test_what_is_in_flight_is_looked_at_when_its_time_is_over(status: S) -> None:
    made = world(upload(status=status, expires_at=START + timedelta(seconds=45), looks=9))
    await made.sweep().step()
    assert row(made).next_look_at == START + timedelta(seconds=45)
    made.clock.advance(15)
    await made.sweep().step()
    assert row(made).status is S.EXPIRED


async def test_a_store_that_is_away_when_the_time_is_over_is_not_asked_without_a_pause() -> None:
    made = world(upload(expires_at=START))
    made.store.failures.append(StoreUnavailableError())
    await made.sweep().step()
    assert row(made).next_look_at == next_look(made.clock(), OVERDUE, 1)


@ENDED
async def test_the_key_of_a_small_file_is_not_asked_for_multiparts(status: S) -> None:
    made = world(upload(status=status))
    await looks_until_the_end(made)
    assert made.multiparts.calls == {}


OWN = {"part_size": None, "part_count": None}


def overgrown(profile: Profile, *sizes: int, declared_size: int | None) -> World:
    """In flight, in parts that its client plans."""
    made = World(profiles=[profile])
    made.records.rows["upl_1"] = in_parts(**OWN, declared_size=declared_size, charged=9)
    made.clock.advance(30)
    made.multiparts.begin(KEY)
    for number, size in enumerate(sizes, 1):
        made.multiparts.put("mp_1", number, size)
    return made


TOO_MUCH = pytest.mark.parametrize(
    ("profile", "declared_size"),
    [
        (Profile(), 2 * SMALLEST_PART - 1),
        (Profile(max_size=2 * SMALLEST_PART - 1), None),
        (Profile(quota=2 * SMALLEST_PART - 1), None),
    ],
    ids=["announced", "largest", "quota"],
)


@TOO_MUCH
async def test_more_than_may_come_is_rejected_while_it_comes(
    profile: Profile, declared_size: int | None
) -> None:
    made = overgrown(profile, SMALLEST_PART, SMALLEST_PART, declared_size=declared_size)
    await made.sweep().step()
    assert (row(made).status, row(made).charged, row(made).multipart_id) == (S.REJECTED, 0, None)
    assert made.multiparts.under_way == {}
    assert await looks_until_the_end(made) >= 6


@TOO_MUCH
async def test_as_much_as_may_come_goes_on(profile: Profile, declared_size: int | None) -> None:
    made = overgrown(profile, SMALLEST_PART, SMALLEST_PART - 1, declared_size=declared_size)
    await made.sweep().step()
    assert (row(made).status, row(made).looks) == (S.UPLOADING, 1)
    assert list(made.multiparts.under_way) == ["mp_1"]


async def test_parts_of_the_services_own_plan_are_not_listed_by_the_sweep() -> None:
    """Each is signed with its length."""
    made = world(in_parts())
    made.multiparts.begin(KEY)
    await made.sweep().step()
    assert (row(made).status, made.multiparts.calls) == (S.UPLOADING, {})


@pytest.mark.parametrize("multipart_id", [None, "mp_gone"])
async def test_where_no_part_can_be_nothing_is_too_much(multipart_id: str | None) -> None:
    made = world(in_parts(**OWN, declared_size=None, multipart_id=multipart_id))
    await made.sweep().step()
    assert (row(made).status, row(made).looks) == (S.UPLOADING, 1)


async def test_parts_that_cannot_be_listed_now_are_listed_later() -> None:
    made = overgrown(Profile(), SMALLEST_PART, declared_size=1)
    made.multiparts.failures["parts"] = [StoreUnavailableError()]
    await made.sweep().step()
    assert (row(made).status, row(made).looks) == (S.UPLOADING, 1)
    made.clock.advance(3600)
    await made.sweep().step()
    assert row(made).status is S.REJECTED


@pytest.mark.parametrize("status", [S.COMPLETED, S.QUARANTINED, S.REPLACED])
async def test_a_verified_object_that_somebody_took_away_is_not_looked_for_for_ever(
    status: S,
) -> None:
    made = world(upload(status=status, etag="one", multipart_id="mp_1"))
    made.multiparts.begin(KEY)
    await made.sweep().step()
    assert (row(made).status, row(made).next_look_at) == (status, None)
    assert made.multiparts.under_way == {}
