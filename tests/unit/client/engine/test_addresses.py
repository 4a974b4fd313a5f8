import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import pytest

from client.engine.by_addresses import ByAddresses
from client.engine.by_put import ByPut
from client.engine.local_file import LocalFile
from client.engine.plan import Piece, Plan
from client.engine.routes import PieceChecksums, RouteClosedError
from client.engine.threads import Threads
from client.problems import ApiError, BadAnswerError
from client.signed import Signed
from tests.unit.client.engine.fake_service import problem
from tests.unit.client.fakes import NOW

PIECES = [Piece(number, (number - 1) * 10, 10) for number in range(1, 101)]


class Office:
    """Signs addresses that live a quarter of an hour by a clock of its own."""

    def __init__(self) -> None:
        self.now = NOW
        self.asked: list[list[int]] = []
        self.errors: list[Exception] = []
        self.skips: set[int] = set()

    async def __call__(
        self, numbers: Sequence[int], checksums: Mapping[int, str]
    ) -> Mapping[int, Signed]:
        self.asked.append(list(numbers))
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop(0)
        expires = self.now + timedelta(minutes=15)
        batch = len(self.asked)
        return {n: Signed(f"u{batch}-{n}", {}, expires) for n in numbers if n not in self.skips}

    def clock(self) -> datetime:
        return self.now


@pytest.fixture
def office() -> Office:
    return Office()


@pytest.fixture
def queue() -> list[Piece]:
    return list(PIECES)


def _route(office: Office, queue: list[Piece], skew: float = 0) -> ByAddresses:
    checksums = PieceChecksums(_no_file(), Plan(tuple(PIECES), "mp-1"), Threads(reads=1, calls=1))
    return ByAddresses(
        office,
        checksums,
        upcoming=lambda count: queue[:count],
        batch=4,
        skew=timedelta(seconds=skew),
        clock=office.clock,
    )


def _no_file() -> LocalFile:
    return None  # type: ignore[return-value]  # no checksum is asked for


async def test_a_few_are_signed_at_once_just_before_they_are_needed(
    office: Office, queue: list[Piece]
) -> None:
    route = _route(office, queue)
    for _ in range(6):
        await route.target(queue.pop(0))
    assert office.asked == [[1, 2, 3, 4], [5, 6, 7, 8]]


async def test_parts_that_start_at_once_ask_once(office: Office, queue: list[Piece]) -> None:
    route = _route(office, queue)
    started = [queue.pop(0) for _ in range(3)]
    targets = await asyncio.gather(*map(route.target, started))
    assert len({target.url for target in targets}) == 3
    assert office.asked[0] == [1, 4, 5, 6]
    signed = [number for batch in office.asked for number in batch]
    assert len(signed) == len(set(signed))


@pytest.mark.parametrize(("skew", "again"), [(0, False), (60, True)])
async def test_what_has_expired_by_the_services_clock_is_signed_anew(
    office: Office, queue: list[Piece], skew: float, again: bool
) -> None:
    route = _route(office, queue, skew)
    await route.target(queue.pop(0))
    office.now += timedelta(minutes=14, seconds=30)
    target = await route.target(queue.pop(0))
    assert target.url == ("u2-2" if again else "u1-2")


async def test_what_was_refused_is_signed_anew(office: Office, queue: list[Piece]) -> None:
    route = _route(office, queue)
    piece = queue.pop(0)
    first = await route.target(piece)
    assert (await route.target(piece)).url == first.url
    route.renounce(piece, first)
    second = await route.target(piece)
    assert second.url == "u2-1"
    route.renounce(piece, first)  # late
    assert (await route.target(piece)).url == "u2-1"


async def test_an_address_is_not_kept_in_a_repr(office: Office, queue: list[Piece]) -> None:
    assert "u1-1" not in repr(await _route(office, queue).target(PIECES[0]))


@pytest.mark.parametrize("code", ["policy", "transport_unavailable"])
async def test_what_is_ruled_out_closes_the_route(
    office: Office, queue: list[Piece], code: str
) -> None:
    office.errors = [problem(code, 403)]
    with pytest.raises(RouteClosedError):
        await _route(office, queue).target(PIECES[0])


async def test_any_other_problem_is_told(office: Office, queue: list[Piece]) -> None:
    office.errors = [problem("upload_ended")]
    with pytest.raises(ApiError):
        await _route(office, queue).target(PIECES[0])


async def test_an_address_that_is_missing_is_told(office: Office, queue: list[Piece]) -> None:
    office.skips = {1}
    with pytest.raises(BadAnswerError):
        await _route(office, queue).target(PIECES[0])


async def test_the_one_address_of_a_small_file_is_renewed_when_it_has_to_be() -> None:
    office = Office()

    async def renew() -> Signed | None:
        return (await office([0], {})).get(0)

    first = Signed("first", {"a": "b"}, NOW + timedelta(minutes=1))
    route = ByPut(first, renew, clock=office.clock)
    piece = Piece(0, 0, 10)
    target = await route.target(piece)
    assert (target.url, target.headers) == ("first", {"a": "b"})
    office.now += timedelta(seconds=51)
    second = await route.target(piece)
    assert second.url == "u1-0"
    route.renounce(piece, target)
    assert (await route.target(piece)).url == "u1-0"
    route.renounce(piece, second)
    assert (await route.target(piece)).url == "u2-0"
    office.skips = {0}
    route.renounce(piece, await route.target(piece))
    with pytest.raises(BadAnswerError):
        await route.target(piece)
