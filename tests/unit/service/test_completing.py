"""Completing: from what the store has, whatever it answers, and however often it is asked."""

import asyncio
from typing import Any

import pytest

from errors import (
    IdempotencyInFlightError,
    IdempotencyKeyReusedError,
    MultipartGoneError,
    StoreUnavailableError,
    UploadEndedError,
    UploadIncompleteError,
    UploadNotFoundError,
    UploadRejectedError,
    UploadStateError,
)
from service.uploads.model import Checksum, Transport, Upload
from service.uploads.model import UploadStatus as S
from service.uploads.plan import SMALLEST_PART
from service.uploads.policy import Profile
from service.uploads.ports import Completed
from tests.fakes.clock import START
from tests.fakes.multiparts import Multipart
from tests.fakes.records import BUCKET, upload
from tests.fakes.store import stored
from tests.fakes.uploads import ADA, PART, THREE_PARTS, UploadWorld, in_parts

CRC = Checksum("CRC64NVME", "AAAAAAAAAAA=")
OTHER = Checksum("CRC64NVME", "AAAAAAAAAAE=")


def whole(**changes: Any) -> UploadWorld:
    """All three parts are there."""
    world = UploadWorld(in_parts(**changes))
    world.send(1, 2, 3)
    return world


async def complete(world: UploadWorld, **more: Any) -> Upload:
    return await world.completing.complete(world.row(), **more)


async def assert_cleared_by_the_sweep(world: UploadWorld) -> None:
    """Until then the record keeps its multipart's id, so that it is looked after at once."""
    assert (world.row().multipart_id, world.row().next_look_at) == ("mp_1", START)
    await world.sweep().step()
    assert (world.row().multipart_id, world.row().next_look_at) == (None, None)
    assert (world.row().status, world.multiparts.under_way) == (S.COMPLETED, {})
    assert world.store.holds(world.row().key)


async def incomplete(world: UploadWorld) -> UploadIncompleteError:
    with pytest.raises(UploadIncompleteError) as caught:
        await complete(world)
    return caught.value


class TestAMultipart:
    @pytest.mark.parametrize("status", [S.PENDING, S.UPLOADING])
    @pytest.mark.parametrize("transport", Transport)
    async def test_it_is_completed_and_verified(self, status: S, transport: Transport) -> None:
        world = whole(status=status, transport=transport)
        completed = await complete(world)
        assert completed == world.row()
        assert (completed.status, completed.size, completed.completed_at) == (
            S.COMPLETED,
            THREE_PARTS,
            START,
        )
        assert completed.etag == "mp_1-3"
        await assert_cleared_by_the_sweep(world)

    async def test_asked_again_it_answers_the_same(self) -> None:
        world = whole()
        first = await complete(world)
        assert await complete(world) == first
        assert world.multiparts.calls["complete"] == 1

    async def test_asked_by_many_at_once_it_happens_once(self) -> None:
        world = whole()
        row = world.row()
        found = await asyncio.gather(*(world.completing.complete(row) for _ in range(8)))
        assert {completed.status for completed in found} == {S.COMPLETED}
        assert world.records.moves == [S.COMPLETED]

    async def test_parts_that_are_missing_are_named(self) -> None:
        world = UploadWorld(in_parts())
        world.send(2)
        error = await incomplete(world)
        assert error.missing == (1, 3)
        assert error.facts == {"missing_parts": [1, 3]}
        assert str(error) == f"{THREE_PARTS} bytes were announced, {PART} have arrived"
        assert (world.row(), world.multiparts.calls["complete"]) == (in_parts(), 0)
        world.send(1, 3)
        assert (await complete(world)).status is S.COMPLETED

    async def test_all_are_missing_where_nothing_came(self) -> None:
        assert (await incomplete(UploadWorld(in_parts()))).missing == (1, 2, 3)

    async def test_a_part_of_another_length_is_missing(self) -> None:
        world = whole()
        world.multiparts.put("mp_1", 2, PART - 1)
        assert (await incomplete(world)).missing == (2,)

    async def test_no_more_of_them_are_named_than_can_be_asked_for_at_once(self) -> None:
        many = in_parts(part_count=10_000, declared_size=10_000 * PART)
        error = await incomplete(UploadWorld(many))
        assert error.missing == tuple(range(1, 1001))

    async def test_where_the_client_plans_its_parts_sizes_alone_are_compared(self) -> None:
        own = in_parts(part_size=None, part_count=None, declared_size=SMALLEST_PART + 1)
        world = UploadWorld(own)
        world.multiparts.put("mp_1", 1, SMALLEST_PART)
        assert (await incomplete(world)).missing == ()
        world.multiparts.put("mp_1", 7, 1)
        assert (await complete(world)).size == SMALLEST_PART + 1

    async def test_a_file_that_has_grown_is_rejected_and_cleared_away(self) -> None:
        world = whole(charged=THREE_PARTS)
        world.multiparts.put("mp_1", 3, 6)
        with pytest.raises(UploadRejectedError) as caught:
            await complete(world)
        row = world.row()
        assert str(caught.value) == row.status_reason
        assert row.status_reason == (
            f"{THREE_PARTS} bytes were announced, {THREE_PARTS + 1} arrived"
        )
        assert (row.status, row.charged, row.multipart_id) == (S.REJECTED, 0, None)
        # Never completed: no object was there, not even for a moment.
        assert (world.multiparts.under_way, world.multiparts.calls["complete"]) == ({}, 0)
        assert not world.store.holds(row.key)

    @pytest.mark.parametrize(("limit", "rejected"), [(SMALLEST_PART, False), (9, True)])
    @pytest.mark.parametrize("by", ["max_size", "quota"])
    async def test_a_size_that_nobody_announced_is_held_against_the_limit(
        self, by: str, limit: int, rejected: bool
    ) -> None:
        own = in_parts(part_size=None, part_count=None, declared_size=None, charged=limit)
        profile = Profile(max_size=limit) if by == "max_size" else Profile(quota=limit)
        world = UploadWorld(own, profiles=[profile])
        world.multiparts.put("mp_1", 1, SMALLEST_PART)
        if rejected:
            with pytest.raises(UploadRejectedError, match="9 bytes allowed"):
                await complete(world)
            assert world.multiparts.calls["complete"] == 0
        else:
            assert (await complete(world)).charged == SMALLEST_PART

    async def test_what_could_not_be_cleared_now_the_sweep_clears(self) -> None:
        world = whole()
        world.multiparts.put("mp_1", 3, 6)
        world.multiparts.failures["of_key"] = [StoreUnavailableError()]
        with pytest.raises(UploadRejectedError):
            await complete(world)
        assert list(world.multiparts.under_way) == ["mp_1"]
        await world.sweep().step()
        assert (world.multiparts.under_way, world.row().multipart_id) == ({}, None)

    async def test_an_upload_that_ended_meanwhile_is_not_rejected(self) -> None:
        seen = in_parts()
        world = UploadWorld(in_parts(status=S.ABORTED, charged=0))
        world.multiparts.put("mp_1", 1, THREE_PARTS + 1)
        with pytest.raises(UploadRejectedError):
            await world.completing.complete(seen)
        assert world.row().status is S.ABORTED


class TestTheStoresAnswers:
    async def test_a_lost_answer_is_mended_by_asking_again(self) -> None:
        world = whole()
        world.multiparts.lost_answers = 1
        with pytest.raises(StoreUnavailableError):
            await complete(world)
        assert world.row().status is S.UPLOADING
        assert (await complete(world)).status is S.COMPLETED
        await assert_cleared_by_the_sweep(world)

    @pytest.mark.parametrize("answer", [Completed.EXISTS, Completed.GONE])
    async def test_an_object_of_ours_that_is_there_already_is_what_was_asked_for(
        self, answer: Completed
    ) -> None:
        world = whole()
        world.store.put(world.row().key, stored(size=THREE_PARTS, upload_id="upl_1"))
        world.multiparts.answers = [answer]
        assert (await complete(world)).status is S.COMPLETED
        # Whatever became of its parts: the same key may have been put whole.
        await assert_cleared_by_the_sweep(world)

    @pytest.mark.parametrize("answer", [None, Completed.EXISTS])
    async def test_no_multipart_of_anybodys_outlives_completion(
        self, answer: Completed | None
    ) -> None:
        world = whole()
        if answer is not None:
            world.store.put(world.row().key, stored(size=THREE_PARTS, upload_id="upl_1"))
        world.multiparts.begin(world.row().key)
        assert (await complete(world)).status is S.COMPLETED
        await assert_cleared_by_the_sweep(world)

    async def test_a_multipart_is_not_forgotten_where_an_object_stands_in_its_place(self) -> None:
        """Or nobody would look for the others at its key."""
        world = whole()
        world.multiparts.under_way.clear()
        world.store.put(world.row().key, stored(size=THREE_PARTS, upload_id="upl_1"))
        world.multiparts.begin(world.row().key)
        completed = await complete(world)
        assert (completed.multipart_id, completed.next_look_at) == ("mp_1", START)
        await assert_cleared_by_the_sweep(world)

    @pytest.mark.parametrize("answer", [Completed.EXISTS, Completed.GONE])
    async def test_an_object_of_the_users_own_credentials_counts_and_the_parts_are_cleared(
        self, answer: Completed
    ) -> None:
        world = whole(transport=Transport.CREDENTIALS)
        world.store.put(world.row().key, stored(size=THREE_PARTS))
        world.multiparts.answers = [answer]
        assert (await complete(world)).status is S.COMPLETED
        await world.sweep().step()
        assert (world.row().multipart_id, world.multiparts.under_way) == (None, {})
        assert (world.row().status, world.row().next_look_at) == (S.COMPLETED, None)

    async def test_a_foreign_object_that_is_not_as_announced_is_rejected(self) -> None:
        world = whole()
        world.store.put(world.row().key, stored(size=7))
        with pytest.raises(UploadRejectedError, match="7 arrived"):
            await complete(world)
        assert not world.store.holds(world.row().key)

    async def test_what_a_manager_with_its_own_multipart_completed_needs_none_of_ours(
        self,
    ) -> None:
        world = UploadWorld(in_parts(transport=Transport.CREDENTIALS))
        world.store.put(world.row().key, stored(size=THREE_PARTS))
        completed = await complete(world)
        assert (completed.status, completed.multipart_id) == (S.COMPLETED, "mp_1")
        assert completed.next_look_at == START
        await world.sweep().step()
        assert world.multiparts.under_way == {}
        assert (world.row().multipart_id, world.row().next_look_at) == (None, None)

    @pytest.mark.parametrize("told", ["by the list", "by the answer"])
    async def test_a_multipart_that_the_store_has_dropped_is_said_and_made_anew(
        self, told: str
    ) -> None:
        world = whole()
        if told == "by the list":
            world.multiparts.under_way.clear()
        else:
            world.multiparts.answers = [Completed.GONE]
        with pytest.raises(MultipartGoneError):
            await complete(world)
        assert (world.row().status, world.row().multipart_id) == (S.UPLOADING, None)
        assert (await world.keeper.ensured(world.row())).multipart_id is not None

    @pytest.mark.parametrize("answer", ["none", "empty", "refused"])
    async def test_one_that_is_gone_because_the_upload_was_aborted_is_told_so(
        self, answer: str
    ) -> None:
        """Whichever of its steps the abort came between."""
        world = whole()
        seen = world.row()
        await world.uploads.delete(ADA, "upl_1")
        if answer != "none":
            world.multiparts.under_way["mp_1"] = Multipart(BUCKET, seen.key, "text/plain", "", None)
        if answer == "refused":
            world.send(1, 2, 3)
            world.multiparts.answers = [Completed.PARTS_REFUSED]
        with pytest.raises(UploadEndedError):
            await world.completing.complete(seen)
        assert world.row().status is S.ABORTED

    async def test_one_that_was_dropped_by_completing_it_is_completed(self) -> None:
        world = whole()
        world.multiparts.under_way.clear()
        world.store.put(world.row().key, stored(size=THREE_PARTS, upload_id="upl_1"))
        assert (await complete(world)).status is S.COMPLETED

    async def test_a_checksum_that_differs_rejects(self) -> None:
        world = whole(part_checksum="CRC64NVME", declared_checksum=CRC)
        world.multiparts.under_way["mp_1"].checksum = OTHER
        with pytest.raises(UploadRejectedError, match="CRC64NVME checksum differs"):
            await complete(world)
        assert (world.row().status, world.row().charged) == (S.REJECTED, 0)
        assert world.multiparts.under_way == {}

    async def test_a_checksum_that_is_right_is_kept(self) -> None:
        world = whole(part_checksum="CRC64NVME", declared_checksum=CRC)
        world.multiparts.under_way["mp_1"].checksum = CRC
        completed = await complete(world)
        assert (completed.checksum, completed.status_reason) == (CRC, None)

    async def test_parts_that_the_store_refuses_are_to_be_sent_again(self) -> None:
        world = UploadWorld(in_parts(part_size=None, part_count=None, declared_size=SMALLEST_PART))
        world.multiparts.put("mp_1", 1, 5)
        world.multiparts.put("mp_1", 2, SMALLEST_PART - 5)
        before = world.row()
        assert "refuses the parts" in str(await incomplete(world))
        assert world.row() == before

    async def test_a_conflict_passes(self) -> None:
        world = whole()
        world.multiparts.answers = [Completed.CONFLICT]
        with pytest.raises(UploadStateError) as caught:
            await complete(world)
        assert caught.value.retry_mode == "wait"
        assert (await complete(world)).status is S.COMPLETED

    @pytest.mark.parametrize("call", ["parts", "complete"])
    async def test_a_store_that_is_away_changes_nothing(self, call: str) -> None:
        world = whole()
        world.multiparts.failures[call] = [StoreUnavailableError()]
        with pytest.raises(StoreUnavailableError):
            await complete(world)
        assert world.row() == in_parts()
        assert (await complete(world)).status is S.COMPLETED

    async def test_the_stores_event_may_win_the_race(self) -> None:
        world = whole()
        completing = world.multiparts.complete

        async def told_at_once(*given: Any, **more: Any) -> Completed:
            answer = await completing(*given, **more)
            await world.settlement.settle(world.row().bucket, world.row().key)
            return answer

        world.multiparts.complete = told_at_once  # type: ignore[method-assign]
        assert (await complete(world)).status is S.COMPLETED
        await world.sweep().step()
        assert (world.row().multipart_id, world.row().next_look_at) == (None, None)


class TestOneRequest:
    @pytest.mark.parametrize("status", [S.PENDING, S.UPLOADING, S.RECEIVED])
    async def test_what_was_put_is_verified(self, status: S) -> None:
        world = UploadWorld(upload(status=status))
        world.store.put(world.row().key, stored(upload_id="upl_1"))
        completed = await complete(world)
        assert (completed.status, completed.size) == (S.COMPLETED, 5)

    async def test_where_nothing_came_that_is_said(self) -> None:
        error = await incomplete(UploadWorld(upload()))
        assert (str(error), error.missing, error.facts) == ("Nothing has arrived", (), {})

    async def test_parts_of_which_the_multipart_is_gone_are_all_missing(self) -> None:
        assert (await incomplete(UploadWorld(in_parts(multipart_id=None)))).missing == (1, 2, 3)

    async def test_what_is_not_as_announced_is_rejected(self) -> None:
        world = UploadWorld(upload(charged=5))
        world.store.put(world.row().key, stored(size=6))
        with pytest.raises(UploadRejectedError, match="6 arrived"):
            await complete(world)
        assert (world.row().status, world.row().charged) == (S.REJECTED, 0)
        with pytest.raises(UploadRejectedError, match="6 arrived"):
            await complete(world)

    async def test_what_waits_for_a_verdict_is_said_to_wait(self) -> None:
        world = UploadWorld(upload(), profiles=[Profile(quarantine=True)])
        world.store.put(world.row().key, stored())
        for _ in range(2):
            assert (await complete(world)).status is S.QUARANTINED


@pytest.mark.parametrize("status", [S.QUARANTINED, S.COMPLETED, S.REPLACED])
async def test_what_is_verified_is_answered_without_the_store(status: S) -> None:
    world = UploadWorld(upload(status=status, etag="one"))
    assert await complete(world) == world.row()
    assert (world.store.heads, world.records.moves) == (0, [])


@pytest.mark.parametrize("status", [S.ABORTED, S.EXPIRED, S.DELETED])
async def test_what_has_ended_stays_so(status: S) -> None:
    world = UploadWorld(in_parts(status=status))
    world.send(1, 2, 3)
    with pytest.raises(UploadEndedError, match=status.value):
        await complete(world)
    assert world.multiparts.calls == {}


class TestUnderAnIdempotencyKey:
    async def test_a_repetition_answers_the_upload(self) -> None:
        world = whole()
        first = await complete(world, idempotency_key="k")
        assert await complete(world, idempotency_key="k") == first
        assert world.multiparts.calls["complete"] == 1

    async def test_a_repetition_tells_of_what_happened_since(self) -> None:
        world = whole()
        await complete(world, idempotency_key="k")
        await world.uploads.delete(ADA, "upl_1")
        with pytest.raises(UploadEndedError):
            await complete(world, idempotency_key="k")

    async def test_another_upload_under_the_same_key_is_refused(self) -> None:
        world = whole()
        world.records.rows["upl_2"] = upload(id="upl_2")
        await complete(world, idempotency_key="k")
        with pytest.raises(IdempotencyKeyReusedError):
            await world.completing.complete(world.row("upl_2"), idempotency_key="k")

    async def test_what_failed_leaves_the_key_free(self) -> None:
        world = UploadWorld(in_parts())
        with pytest.raises(UploadIncompleteError):
            await complete(world, idempotency_key="k")
        world.send(1, 2, 3)
        assert (await complete(world, idempotency_key="k")).status is S.COMPLETED

    async def test_meanwhile_it_is_in_flight_and_a_caller_who_leaves_frees_it(self) -> None:
        world = whole()
        asked, kept = asyncio.Event(), world.multiparts.parts

        async def hangs(*_: str) -> None:
            asked.set()
            await asyncio.Event().wait()

        world.multiparts.parts = hangs  # type: ignore[method-assign, assignment]
        first = asyncio.create_task(complete(world, idempotency_key="k"))
        await asked.wait()
        with pytest.raises(IdempotencyInFlightError):
            await complete(world, idempotency_key="k")
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        world.multiparts.parts = kept  # type: ignore[method-assign]
        assert (await complete(world, idempotency_key="k")).status is S.COMPLETED

    async def test_a_record_that_is_gone_is_not_found(self) -> None:
        world = whole()
        row = world.row()
        await complete(world, idempotency_key="k")
        world.records.rows.clear()
        with pytest.raises(UploadNotFoundError):
            await world.completing.complete(row, idempotency_key="k")
