"""Addresses to send to: for whom, for which parts, for how long; and switching the transport."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import (
    InvalidPartError,
    PolicyError,
    StoreUnavailableError,
    TransportUnavailableError,
    UploadEndedError,
    UploadRejectedError,
    UploadStateError,
)
from service.uploads.model import Checksum, Transport, Upload
from service.uploads.model import UploadStatus as S
from service.uploads.plan import LARGEST_PUT, MIB, MOST_PARTS, plan
from service.uploads.policy import Profile
from service.uploads.ports import StoredPart
from service.uploads.signed import PartTerms
from service.uploads.transfers import missing_parts, most_parts, planned
from tests.fakes.clock import START
from tests.fakes.completion import URL_LIFE
from tests.fakes.owners import OneOwner
from tests.fakes.records import upload
from tests.fakes.uploads import ADA, PART, UploadWorld, in_parts

AFTER_FLIGHT = [
    (S.RECEIVED, UploadStateError),
    (S.QUARANTINED, UploadStateError),
    (S.COMPLETED, UploadStateError),
    (S.REPLACED, UploadStateError),
    (S.REJECTED, UploadRejectedError),
    (S.ABORTED, UploadEndedError),
    (S.EXPIRED, UploadEndedError),
    (S.DELETED, UploadEndedError),
]
NOT_IN_FLIGHT = pytest.mark.parametrize(("status", "refused"), AFTER_FLIGHT)


def terms(*numbers: int) -> list[PartTerms]:
    return [PartTerms(number) for number in numbers]


def single(**changes: Any) -> Upload:
    return upload(**{"transport": Transport.PRESIGNED, **changes})


class TestParts:
    async def test_each_part_gets_an_address_of_its_own_in_the_order_asked(self) -> None:
        world = UploadWorld(in_parts())
        signed = await world.transfers.sign_parts(world.row(), terms(3, 1))
        assert [part.url.split("?")[1] for part in signed] == [
            "uploadId=mp_1&partNumber=3",
            "uploadId=mp_1&partNumber=1",
        ]
        assert [part.headers["content-length"] for part in signed] == ["5", str(PART)]
        assert {part.expires_at for part in signed} == {START + URL_LIFE}

    @pytest.mark.parametrize(
        "numbers", [(0,), (-1,), (4,), (1, 4), (10_001,), (1, 1), (2, 3, 2), (2**70,)]
    )
    async def test_a_part_that_the_plan_does_not_have(self, numbers: tuple[int, ...]) -> None:
        world = UploadWorld(in_parts(status=S.PENDING, transport=Transport.CREDENTIALS))
        before = world.row()
        with pytest.raises(InvalidPartError):
            await world.transfers.sign_parts(before, terms(*numbers))
        # Nothing is switched by a request that is refused.
        assert (world.row(), world.signer.signed) == (before, [])

    async def test_who_asks_beyond_the_plan_hears_what_there_is(self) -> None:
        world = UploadWorld(in_parts())
        with pytest.raises(InvalidPartError, match="parts 1 to 3"):
            await world.transfers.sign_parts(world.row(), terms(4))

    async def test_an_upload_in_one_request_has_no_parts(self) -> None:
        world = UploadWorld(single())
        with pytest.raises(InvalidPartError, match="one request"):
            await world.transfers.sign_parts(world.row(), terms(1))
        assert world.multiparts.calls == {}

    async def test_a_size_that_the_client_names_is_not_believed(self) -> None:
        world = UploadWorld(in_parts())
        (signed,) = await world.transfers.sign_parts(world.row(), [PartTerms(1, size=1)])
        assert signed.headers["content-length"] == str(PART)

    async def test_a_multipart_that_is_gone_is_made_anew(self) -> None:
        world = UploadWorld(in_parts(multipart_id=None))
        (signed,) = await world.transfers.sign_parts(world.row(), terms(1))
        assert "uploadId=mp_1&" in signed.url
        assert world.row().multipart_id == "mp_1"

    async def test_a_client_with_parts_of_its_own_asks_for_any_that_make_sense(self) -> None:
        own = in_parts(part_size=None, part_count=None, declared_size=12 * MIB)
        world = UploadWorld(own)
        signed = await world.transfers.sign_parts(own, terms(1, 3))
        assert all("content-length" not in part.headers for part in signed)
        with pytest.raises(InvalidPartError):
            await world.transfers.sign_parts(own, terms(4))

    @NOT_IN_FLIGHT
    async def test_nothing_is_signed_for_what_takes_no_more(
        self, status: S, refused: type[Exception]
    ) -> None:
        world = UploadWorld(in_parts(status=status, etag="one"))
        with pytest.raises(refused):
            await world.transfers.sign_parts(world.row(), terms(1))
        assert world.signer.signed == []

    @pytest.mark.parametrize(
        ("left", "seconds"),
        [(timedelta(days=1), 3600), (timedelta(minutes=1), 60), (timedelta(seconds=0.5), 1)],
    )
    async def test_no_address_outlives_its_upload(self, left: timedelta, seconds: int) -> None:
        world = UploadWorld(in_parts(expires_at=START + left))
        (signed,) = await world.transfers.sign_parts(world.row(), terms(1))
        assert signed.expires_at == START + timedelta(seconds=seconds)

    async def test_nothing_is_signed_for_an_upload_whose_time_is_over(self) -> None:
        world = UploadWorld(in_parts(expires_at=START))
        with pytest.raises(UploadEndedError):
            await world.transfers.sign_parts(world.row(), terms(1))
        assert world.signer.signed == []

    async def test_what_the_credentials_cut_short_is_said(self) -> None:
        world = UploadWorld(in_parts())
        world.signer.life = timedelta(seconds=20)
        (signed,) = await world.transfers.sign_parts(world.row(), terms(1))
        assert signed.expires_at == START + timedelta(seconds=20)


class TestSwitching:
    @pytest.mark.parametrize("status", [S.PENDING, S.UPLOADING])
    @pytest.mark.parametrize("before", [Transport.CREDENTIALS, Transport.RELAY])
    async def test_asking_for_parts_is_the_switch_and_keeps_the_multipart(
        self, status: S, before: Transport
    ) -> None:
        world = UploadWorld(in_parts(status=status, transport=before))
        world.send(1, 2)
        await world.transfers.sign_parts(world.row(), terms(3))
        row = world.row()
        assert (row.status, row.transport, row.transport_reason) == (
            S.UPLOADING,
            Transport.PRESIGNED,
            "switched",
        )
        assert row.multipart_id == "mp_1"
        assert [part.number for part in await world.transfers.parts(row)] == [1, 2]
        assert world.multiparts.calls["create"] == world.multiparts.calls["abort"] == 0

    @pytest.mark.parametrize("status", [S.PENDING, S.UPLOADING])
    @pytest.mark.parametrize("before", Transport)
    @pytest.mark.parametrize("to", Transport)
    async def test_every_transport_follows_every_other(
        self, status: S, before: Transport, to: Transport
    ) -> None:
        world = UploadWorld(in_parts(status=status, transport=before))
        switched = await world.transfers.switched(world.row(), to)
        assert world.row() == switched
        assert (switched.status, switched.transport) == (S.UPLOADING, to)
        assert switched.transport_reason == ("requested" if before is to else "switched")
        assert switched.multipart_id == "mp_1"

    @pytest.mark.parametrize("to", Transport)
    async def test_what_has_expired_is_not_switched(self, to: Transport) -> None:
        world = UploadWorld(in_parts(expires_at=START))
        with pytest.raises(UploadEndedError, match="expired"):
            await world.transfers.switched(world.row(), to)
        assert world.records.moves == []

    @NOT_IN_FLIGHT
    @pytest.mark.parametrize("to", Transport)
    async def test_what_takes_no_more_is_not_switched(
        self, status: S, refused: type[Exception], to: Transport
    ) -> None:
        world = UploadWorld(in_parts(status=status, etag="one", status_reason="too large"))
        before = world.row()
        with pytest.raises(refused) as caught:
            await world.transfers.switched(before, to)
        assert world.row() == before
        assert refused is not UploadRejectedError or "too large" in str(caught.value)

    async def test_a_transport_that_the_profile_forbids(self) -> None:
        profile = Profile(transports=frozenset({Transport.PRESIGNED}))
        world = UploadWorld(in_parts(), profiles=[profile])
        for to in (Transport.RELAY, Transport.CREDENTIALS):
            with pytest.raises(PolicyError):
                await world.transfers.switched(world.row(), to)
        assert world.row().transport is Transport.PRESIGNED

    async def test_to_credentials_only_where_they_can_write(self) -> None:
        row = in_parts(key=f"users/{ADA}/upl_1/a.txt")
        world = UploadWorld(row, folders=OneOwner())
        with pytest.raises(TransportUnavailableError):
            await world.transfers.switched(row, Transport.CREDENTIALS)
        assert world.row() == row

    async def test_a_lost_race_is_run_again_on_what_is_there_now(self) -> None:
        world = UploadWorld(in_parts(status=S.PENDING, transport=Transport.CREDENTIALS))
        world.records.lost_races = 2
        assert (
            await world.transfers.switched(world.row(), Transport.RELAY)
        ).transport is Transport.RELAY

    async def test_a_race_that_is_never_won_is_given_up(self) -> None:
        world = UploadWorld(in_parts(transport=Transport.CREDENTIALS))
        world.records.lost_amendments = 100
        with pytest.raises(UploadStateError):
            await world.transfers.switched(world.row(), Transport.RELAY)
        assert world.records.lost_amendments > 80

    async def test_an_upload_that_ended_meanwhile_is_not_revived(self) -> None:
        seen = in_parts(transport=Transport.CREDENTIALS)
        world = UploadWorld(in_parts(status=S.ABORTED))
        with pytest.raises(UploadEndedError):
            await world.transfers.sign_parts(seen, terms(1))
        assert world.row().status is S.ABORTED
        assert world.signer.signed == []


class TestWhatIsThere:
    async def test_all_parts_of_the_store_by_number(self) -> None:
        world = UploadWorld(in_parts())
        world.send(3, 1)
        found = await world.transfers.parts(world.row())
        assert found == [StoredPart(1, PART, "part-1"), StoredPart(3, 5, "part-3")]

    async def test_none_where_there_is_no_multipart(self) -> None:
        world = UploadWorld(single())
        assert await world.transfers.parts(world.row()) == []
        assert world.multiparts.calls == {}

    async def test_none_of_one_that_the_store_has_dropped_which_is_forgotten(self) -> None:
        world = UploadWorld(in_parts())
        world.multiparts.under_way.clear()
        assert await world.transfers.parts(world.row()) == []
        assert world.row().multipart_id is None

    async def test_a_store_that_is_away_is_not_one_without_parts(self) -> None:
        world = UploadWorld(in_parts())
        world.multiparts.failures["parts"] = [StoreUnavailableError()]
        with pytest.raises(StoreUnavailableError):
            await world.transfers.parts(world.row())
        assert world.row().multipart_id == "mp_1"

    @given(st.integers(1, 200 * PART), st.data())
    def test_missing_is_what_is_not_there_in_its_planned_length(
        self, size: int, data: st.DataObject
    ) -> None:
        made = plan(size, part_size=PART, threshold=0)
        assert made is not None
        numbers = range(1, made.part_count + 1)
        whole = data.draw(st.sets(st.sampled_from(numbers)))
        short = data.draw(st.sets(st.sampled_from(numbers))) - whole
        parts = [StoredPart(number, made.length(number), "e") for number in whole]
        parts += [StoredPart(number, made.length(number) - 1, "e") for number in short]
        parts.append(StoredPart(made.part_count + 1, 1, "e"))
        assert missing_parts(made, parts) == [each for each in numbers if each not in whole]

    def test_the_highest_number_that_makes_sense(self) -> None:
        own = {"part_size": None, "part_count": None}
        assert most_parts(in_parts()) == 3
        assert most_parts(in_parts(**own, declared_size=None)) == MOST_PARTS
        assert most_parts(in_parts(**own, declared_size=5 * MIB)) == 1
        assert most_parts(in_parts(**own, declared_size=5 * MIB + 1)) == 2
        assert most_parts(in_parts(**own, declared_size=0)) == 1
        assert most_parts(in_parts(**own, declared_size=LARGEST_PUT * 100)) == MOST_PARTS

    def test_a_plan_is_read_from_the_record(self) -> None:
        found = planned(in_parts())
        assert found is not None
        assert (found.size, found.part_size, found.part_count) == (2 * PART + 5, PART, 3)
        assert planned(single()) is None


class TestOffers:
    @pytest.mark.parametrize("status", [S.PENDING, S.UPLOADING])
    async def test_a_small_file_can_be_put_or_posted(self, status: S) -> None:
        world = UploadWorld(single(status=status))
        offer = await world.transfers.offer(world.row())
        assert offer.put is not None
        assert offer.put.headers == {
            "content-length": "5",
            "content-type": "text/plain",
            "if-none-match": "*",
            "x-amz-meta-uploadgate-upload-id": "upl_1",
        }
        assert offer.post is not None
        assert offer.post.fields["content-length-range"] == "5-5"
        assert offer.put.expires_at == offer.post.expires_at == START + URL_LIFE

    async def test_a_file_with_a_checksum_can_only_be_put(self) -> None:
        crc = Checksum("CRC32", "AAAAAA==")
        world = UploadWorld(single(declared_checksum=crc))
        offer = await world.transfers.offer(world.row())
        assert offer.put is not None
        assert offer.put.headers["x-amz-checksum-crc32"] == "AAAAAA=="
        assert offer.post is None

    @pytest.mark.parametrize(
        "row",
        [
            single(transport=Transport.CREDENTIALS),
            single(transport=Transport.RELAY),
            in_parts(),
            in_parts(multipart_id=None),
            single(declared_size=None),
            single(declared_size=LARGEST_PUT + 1),
            # Nothing that is signed for it now could be used.
            single(expires_at=START),
            *[single(status=status, etag="one") for status, _ in AFTER_FLIGHT],
        ],
    )
    async def test_nothing_is_offered_that_cannot_be_used(self, row: Upload) -> None:
        world = UploadWorld(row)
        offer = await world.transfers.offer(row)
        assert (offer.put, offer.post, world.signer.signed) == (None, None, [])

    async def test_an_empty_file_is_a_file(self) -> None:
        world = UploadWorld(single(declared_size=0))
        offer = await world.transfers.offer(world.row())
        assert offer.post is not None
        assert offer.post.fields["content-length-range"] == "0-0"

    @pytest.mark.parametrize("size", [None, LARGEST_PUT + 1])
    async def test_what_no_put_takes_is_not_signed_as_one(self, size: int | None) -> None:
        world = UploadWorld(single(declared_size=size))
        with pytest.raises(InvalidPartError):
            await world.transfers.put(world.row())

    @pytest.mark.parametrize(
        ("profile", "largest"),
        [
            (Profile(), LARGEST_PUT),
            (Profile(max_size=10), 10),
            (Profile(quota=7), 7),
            (Profile(max_size=LARGEST_PUT + 1), LARGEST_PUT),
        ],
    )
    async def test_a_form_of_unknown_size_takes_what_the_profile_does(
        self, profile: Profile, largest: int
    ) -> None:
        world = UploadWorld(single(declared_size=None), profiles=[profile])
        form = await world.transfers.form(world.row())
        assert form.fields["content-length-range"] == f"0-{largest}"

    async def test_where_a_verdict_is_waited_for_no_form_is_given(self) -> None:
        """It could be sent again after the verdict; a PUT cannot."""
        world = UploadWorld(single(), profiles=[Profile(quarantine=True)])
        offer = await world.transfers.offer(world.row())
        assert (offer.put is None, offer.post) == (False, None)

    async def test_when_what_is_signed_now_ends_is_known(self) -> None:
        world = UploadWorld(single())
        form = await world.transfers.form(world.row())
        assert world.transfers.addresses_end() == form.expires_at == START + URL_LIFE
