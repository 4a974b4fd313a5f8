"""Relay: a body becomes parts of the record's multipart as it comes."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import (
    ContentRangeError,
    InvalidRequestError,
    MultipartGoneError,
    PolicyError,
    StoreUnavailableError,
    TooManyUploadsError,
    TransportUnavailableError,
    UploadEndedError,
    UploadIncompleteError,
    UploadRejectedError,
    UploadStateError,
)
from service.uploads.model import Transport, Upload
from service.uploads.model import UploadStatus as S
from service.uploads.plan import LARGEST_PUT
from service.uploads.policy import Profile
from service.uploads.relay import ContentRange
from tests.fakes.clock import START
from tests.fakes.records import upload
from tests.fakes.store import stored
from tests.fakes.uploads import ADA, EVE, MOST_RELAYS, UploadWorld, in_parts

FILE = bytes(range(25))


class SmallParts(UploadWorld):
    """Where parts of ten bytes are large enough."""

    def _wire(self) -> None:
        self.multiparts._smallest = 1
        super()._wire()


def ten_by_ten(size: int = len(FILE), **changes: Any) -> Upload:
    values = {
        "declared_size": size,
        "part_size": 10,
        "part_count": -(-size // 10),
        "transport": Transport.RELAY,
    }
    return in_parts(**{**values, **changes})


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def cut(data: bytes, at: Iterable[int]) -> list[bytes]:
    places = sorted({min(place, len(data)) for place in at} | {0, len(data)})
    return [data[start:end] for start, end in itertools.pairwise(places)]


async def take(
    world: UploadWorld, *chunks: bytes, span: tuple[int, int, int] | None = None
) -> Upload:
    given = None if span is None else ContentRange(*span)
    return await world.relay.take(world.row(), given, stream(*chunks))


@given(st.binary(min_size=1, max_size=80), st.lists(st.integers(0, 80), max_size=20))
async def test_however_a_body_comes_the_parts_are_its_bytes(body: bytes, cuts: list[int]) -> None:
    world = SmallParts(ten_by_ten(len(body)))
    completed = await take(world, *cut(body, cuts))
    assert (completed.status, completed.size) == (S.COMPLETED, len(body))
    assert b"".join(world.sink.bytes[number] for number in world.sink.order) == body
    assert world.sink.order == list(range(1, -(-len(body) // 10) + 1))
    lengths = [len(world.sink.bytes[number]) for number in world.sink.order]
    assert set(lengths[:-1]) <= {10}


@given(st.permutations([(0, 19), (20, 39), (40, 64)]), st.randoms())
async def test_ranges_may_come_in_any_order_and_the_end_completes_where_nothing_is_missing(
    spans: list[tuple[int, int]], chance: random.Random
) -> None:
    body = chance.randbytes(65)
    world = SmallParts(ten_by_ten(65))
    for number, (start, end) in enumerate(spans, 1):
        found = await take(world, body[start : end + 1], span=(start, end, 65))
        ends = number == 3 and end == 64
        assert found.status is (S.COMPLETED if ends else S.UPLOADING)
    if spans[-1] != (40, 64):
        assert (await world.completing.complete(world.row())).status is S.COMPLETED
    assert b"".join(world.sink.bytes[number] for number in range(1, 8)) == body


async def test_a_broken_body_goes_on_where_its_parts_ended() -> None:
    world = SmallParts(ten_by_ten())

    async def breaks() -> AsyncIterator[bytes]:
        yield FILE[:15]
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await world.relay.take(world.row(), None, breaks())
    assert [part.number for part in await world.transfers.parts(world.row())] == [1]
    completed = await take(world, FILE[10:], span=(10, 24, 25))
    assert completed.status is S.COMPLETED
    assert world.sink.order == [1, 2, 3]


async def test_a_range_that_was_sent_before_is_sent_again_in_its_place() -> None:
    world = SmallParts(ten_by_ten())
    for _ in range(2):
        assert (await take(world, FILE[:10], span=(0, 9, 25))).status is S.UPLOADING
    assert (await take(world, FILE[10:], span=(10, 24, 25))).status is S.COMPLETED


@pytest.mark.parametrize("span", [None, (0, 24, 25), (0, 19, 25)])
async def test_a_body_that_is_too_short_completes_nothing(
    span: tuple[int, int, int] | None,
) -> None:
    world = SmallParts(ten_by_ten())
    with pytest.raises(InvalidRequestError, match="ended before"):
        await take(world, FILE[:19], span=span)
    assert (world.row().status, world.sink.order) == (S.UPLOADING, [1])


async def test_a_body_that_is_too_long_completes_nothing_and_leaves_what_may_stay() -> None:
    world = SmallParts(ten_by_ten())
    with pytest.raises(InvalidRequestError, match="more bytes"):
        await take(world, FILE, b"x")
    assert (world.row().status, world.sink.order) == (S.UPLOADING, [1, 2])
    assert (await take(world, FILE[20:], span=(20, 24, 25))).status is S.COMPLETED


@pytest.mark.parametrize(
    "span", [(0, 9, 26), (0, 9, 24), (0, 8, 25), (0, 25, 26), (0, 10, 25), (5, 9, 26), (10, 11, 25)]
)
async def test_a_range_of_no_whole_parts_is_refused_before_a_byte_is_read(
    span: tuple[int, int, int],
) -> None:
    world = SmallParts(ten_by_ten(status=S.PENDING))
    with pytest.raises(InvalidRequestError):
        await world.relay.take(world.row(), ContentRange(*span), unread())
    assert (world.row().status, world.sink.order) == (S.PENDING, [])


async def unread() -> AsyncIterator[bytes]:
    for _ in range(1):
        raise AssertionError("the body was read")
    yield b""


@pytest.mark.parametrize(("there", "offset"), [((), 0), ((1,), 10), ((1, 2), 20), ((2,), 0)])
async def test_a_range_that_begins_within_a_part_hears_where_to_go_on(
    there: tuple[int, ...], offset: int
) -> None:
    world = SmallParts(ten_by_ten())
    for number in there:
        world.multiparts.put("mp_1", number, 10)
    with pytest.raises(ContentRangeError) as caught:
        await world.relay.take(world.row(), ContentRange(5, 24, 25), unread())
    assert caught.value.facts == {"expected_offset": offset}


async def test_where_all_is_there_it_hears_the_end() -> None:
    world = SmallParts(ten_by_ten())
    for number, size in ((1, 10), (2, 10), (3, 5)):
        world.multiparts.put("mp_1", number, size)
    with pytest.raises(ContentRangeError) as caught:
        await world.relay.take(world.row(), ContentRange(5, 24, 25), unread())
    assert caught.value.expected_offset == 25


@pytest.mark.parametrize("before", [Transport.CREDENTIALS, Transport.PRESIGNED])
@pytest.mark.parametrize("status", [S.PENDING, S.UPLOADING])
async def test_relaying_is_a_switch_that_keeps_the_parts(before: Transport, status: S) -> None:
    world = SmallParts(ten_by_ten(transport=before, status=status))
    world.multiparts.put("mp_1", 1, 10)
    completed = await take(world, FILE[10:], span=(10, 24, 25))
    assert (completed.transport, completed.transport_reason) == (Transport.RELAY, "switched")
    assert (completed.status, world.sink.order) == (S.COMPLETED, [2, 3])


async def test_a_multipart_that_is_gone_is_said_and_made_anew() -> None:
    world = SmallParts(ten_by_ten())
    world.multiparts.under_way.clear()
    with pytest.raises(MultipartGoneError):
        await take(world, FILE)
    assert world.row().multipart_id is None
    assert (await take(world, FILE)).status is S.COMPLETED


async def test_a_relay_that_another_has_overtaken_answers_the_completed_upload() -> None:
    world = SmallParts(ten_by_ten())

    async def overtaken() -> AsyncIterator[bytes]:
        yield FILE[:10]
        await take(world, FILE)
        yield FILE[10:]

    done = await world.relay.take(world.row(), None, overtaken())
    assert (done.status, done.size) == (S.COMPLETED, len(FILE))


async def test_another_relay_of_the_same_bytes_may_complete_it_meanwhile() -> None:
    world = SmallParts(ten_by_ten())

    async def overtaken() -> AsyncIterator[bytes]:
        yield FILE[:10]
        assert (await take(world, FILE)).status is S.COMPLETED
        yield FILE[10:]

    completed = await world.relay.take(world.row(), None, overtaken())
    assert (completed.status, completed) == (S.COMPLETED, world.row())
    assert world.records.moves == [S.COMPLETED]


async def test_each_part_is_signed_only_when_its_turn_has_come() -> None:
    world = SmallParts(ten_by_ten())
    signed_by_then: list[int] = []

    async def watched() -> AsyncIterator[bytes]:
        for number in range(3):
            signed_by_then.append(len(world.signer.signed))
            yield FILE[number * 10 : number * 10 + 10]

    await world.relay.take(world.row(), None, watched())
    assert signed_by_then == [1, 2, 3]


async def test_a_store_that_is_away_keeps_what_has_arrived() -> None:
    world = SmallParts(ten_by_ten())
    send, sent = world.sink.send, 0

    async def fails_once(*given: Any, **more: Any) -> None:
        nonlocal sent
        sent += 1
        if sent == 2:
            raise StoreUnavailableError
        await send(*given, **more)

    world.sink.send = fails_once  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailableError):
        await take(world, FILE)
    assert world.sink.order == [1]
    assert (await take(world, FILE[10:], span=(10, 24, 25))).status is S.COMPLETED


class TestAFileInOnePut:
    @pytest.mark.parametrize("span", [None, (0, 4, 5)])
    async def test_it_is_put_verified_and_completed(
        self, span: tuple[int, int, int] | None
    ) -> None:
        world = UploadWorld(upload())
        completed = await take(world, b"he", b"llo", span=span)
        assert (completed.status, completed.size) == (S.COMPLETED, 5)
        assert world.sink.bytes == {completed.key: b"hello"}

    async def test_an_empty_one_is_a_file(self) -> None:
        world = UploadWorld(upload(declared_size=0))
        assert (await take(world)).size == 0

    @pytest.mark.parametrize("body", [b"hell", b"hello!", b""])
    async def test_a_body_of_another_length_stores_nothing(self, body: bytes) -> None:
        world = UploadWorld(upload())
        with pytest.raises(InvalidRequestError):
            await take(world, body)
        assert not world.store.holds(world.row().key)
        assert (await take(world, b"hello")).status is S.COMPLETED

    async def test_an_empty_one_has_no_bytes(self) -> None:
        world = UploadWorld(upload(declared_size=0))
        with pytest.raises(InvalidRequestError):
            await take(world, b"x")
        assert not world.store.holds(world.row().key)

    @pytest.mark.parametrize("span", [(0, 3, 5), (0, 5, 6), (0, 9, 10)])
    async def test_a_range_of_it_is_refused(self, span: tuple[int, int, int]) -> None:
        world = UploadWorld(upload())
        with pytest.raises(InvalidRequestError):
            await world.relay.take(world.row(), ContentRange(*span), unread())

    async def test_its_end_alone_is_told_to_begin_at_the_start(self) -> None:
        world = UploadWorld(upload())
        with pytest.raises(ContentRangeError) as caught:
            await world.relay.take(world.row(), ContentRange(2, 4, 5), unread())
        assert caught.value.expected_offset == 0

    async def test_what_is_there_already_after_a_lost_answer_is_completed(self) -> None:
        world = UploadWorld(upload())
        world.store.put(world.row().key, stored(upload_id="upl_1"))
        assert (await take(world, b"hello")).status is S.COMPLETED

    async def test_another_object_that_is_there_already_is_judged(self) -> None:
        world = UploadWorld(upload())
        world.store.put(world.row().key, stored(size=6))
        with pytest.raises(UploadRejectedError):
            await take(world, b"hello")
        assert not world.store.holds(world.row().key)

    async def test_an_object_that_is_gone_again_is_no_success(self) -> None:
        world = UploadWorld(upload())
        world.sink.failures = [UploadStateError()]
        with pytest.raises(UploadIncompleteError):
            await take(world, b"hello")


@pytest.mark.parametrize(
    "changes",
    [
        {"declared_size": None},
        {"declared_size": None, "part_size": None, "part_count": None},
        {"declared_size": LARGEST_PUT + 1, "part_size": None, "part_count": None},
    ],
)
async def test_what_has_no_known_size_or_plan_cannot_be_relayed(changes: dict[str, Any]) -> None:
    row = in_parts(**changes)
    world = UploadWorld(row)
    with pytest.raises(TransportUnavailableError):
        await world.relay.take(row, None, unread())
    assert world.row() == row


@pytest.mark.parametrize(
    ("status", "refused"),
    [
        (S.RECEIVED, UploadStateError),
        (S.COMPLETED, UploadStateError),
        (S.REJECTED, UploadRejectedError),
        (S.ABORTED, UploadEndedError),
        (S.EXPIRED, UploadEndedError),
    ],
)
async def test_what_takes_no_more_is_not_read(status: S, refused: type[Exception]) -> None:
    row = ten_by_ten(status=status, etag="one")
    world = SmallParts(row)
    with pytest.raises(refused):
        await world.relay.take(row, None, unread())
    assert world.sink.order == []


async def test_a_profile_that_forbids_relays_is_obeyed_before_a_byte_is_read() -> None:
    profile = Profile(transports=frozenset({Transport.PRESIGNED}))
    row = ten_by_ten(transport=Transport.PRESIGNED)
    world = SmallParts(row, profiles=[profile])
    with pytest.raises(PolicyError):
        await world.relay.take(row, None, unread())


async def test_parts_are_listed_only_where_the_file_ends() -> None:
    """Of ten thousand ranges each would list all that came before it."""
    world = SmallParts(ten_by_ten(65))
    body = bytes(range(65))
    for start in range(0, 60, 10):
        await take(world, body[start : start + 10], span=(start, start + 9, 65))
    assert world.multiparts.calls["parts"] == 0
    done = await take(world, body[60:], span=(60, 64, 65))
    assert done.status is S.COMPLETED


async def test_an_end_that_comes_before_the_rest_leaves_completing_to_the_client() -> None:
    world = SmallParts(ten_by_ten())
    assert (await take(world, FILE[20:], span=(20, 24, 25))).status is S.UPLOADING
    assert (await take(world, FILE[:20], span=(0, 19, 25))).status is S.UPLOADING
    assert (await world.completing.complete(world.row())).status is S.COMPLETED


@pytest.mark.parametrize("span", [None, (0, 19, 25)])
async def test_an_abort_in_the_middle_is_said(span: tuple[int, int, int] | None) -> None:
    world = SmallParts(ten_by_ten())

    async def aborted() -> AsyncIterator[bytes]:
        yield FILE[:10]
        await world.uploads.abort(world.row())
        yield FILE[10 : 20 if span else 25]

    given = None if span is None else ContentRange(*span)
    with pytest.raises(UploadEndedError):
        await world.relay.take(world.row(), given, aborted())
    assert (world.row().status, world.multiparts.under_way) == (S.ABORTED, {})


async def test_what_has_expired_is_not_read() -> None:
    row = ten_by_ten(expires_at=START)
    world = SmallParts(row)
    with pytest.raises(UploadEndedError, match="expired"):
        await world.relay.take(row, None, unread())
    assert world.row() == row


class TestPlaces:
    async def test_one_user_has_some_and_the_others_theirs(self) -> None:
        rows = [upload(id=f"upl_{number}", key=f"k{number}") for number in range(MOST_RELAYS + 1)]
        world = UploadWorld(*rows, upload(id="upl_eve", user_id=EVE, key="eve"))
        begun, enough = asyncio.Semaphore(0), asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            begun.release()
            await enough.wait()
            yield b"hello"

        async def one(row: Upload) -> Upload:
            return await world.relay.take(row, None, slow())

        running = [asyncio.create_task(one(row)) for row in rows[:MOST_RELAYS]]
        for _ in running:
            await begun.acquire()
        with pytest.raises(TooManyUploadsError) as caught:
            await world.relay.take(rows[-1], None, unread())
        assert caught.value.retry_after is not None
        enough.set()
        found = [*await asyncio.gather(*running), await one(world.row("upl_eve"))]
        assert {done.status for done in found} == {S.COMPLETED}
        assert (await one(rows[-1])).status is S.COMPLETED

    async def test_a_place_is_given_back_whatever_happens(self) -> None:
        world = SmallParts(ten_by_ten())

        async def breaks() -> AsyncIterator[bytes]:
            yield FILE[:5]
            raise ConnectionResetError

        for _ in range(MOST_RELAYS + 1):
            with pytest.raises(ConnectionResetError):
                await world.relay.take(world.row(), None, breaks())
            with pytest.raises(ContentRangeError):
                await world.relay.take(world.row(), ContentRange(5, 24, 25), unread())
        assert (await take(world, FILE)).status is S.COMPLETED
        assert ADA not in world.relay._held
