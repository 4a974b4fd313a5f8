"""Adding, changing, rotating, removing and replaying, without a database."""

import base64
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, get_args

import pytest

from errors import (
    EndpointNotFoundError,
    InvalidEndpointError,
    InvalidRequestError,
    TooManyEndpointsError,
    UnavailableError,
)
from routers.endpoint_schemas import OfferedType
from service.delivery import endpoints as module
from service.delivery.endpoint_ports import Changes, DeliveryRecord, DeliveryStatus
from service.delivery.endpoints import (
    BATCH,
    BEING_DELETED,
    BY_ADMINISTRATOR,
    EndpointLimits,
    Endpoints,
)
from service.delivery.events import DEFAULT_TYPES, OFFERED_TYPES, EventType
from service.uploads.ports import Cursor
from tests.fakes.clock import START, Clock
from tests.fakes.endpoints import BAD_URL, URL, Addresses, Happened, MemoryEndpoints

LIMITS = EndpointLimits(most=3, rotation=timedelta(hours=24), keep=timedelta(days=30))
DAY = timedelta(days=1)


def secret_of(size: int) -> str:
    return "whsec_" + base64.b64encode(b"k" * size).decode()


@dataclass
class Bench:
    records: MemoryEndpoints = field(default_factory=MemoryEndpoints)
    addresses: Addresses = field(default_factory=Addresses)
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.endpoints = Endpoints(
            records=self.records, addresses=self.addresses, limits=LIMITS, clock=self.clock
        )


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def endpoints(bench: Bench) -> Endpoints:
    return bench.endpoints


async def test_a_new_endpoint_is_enabled_with_a_secret_of_32_bytes(bench: Bench) -> None:
    made = await bench.endpoints.create(URL, description="the app")
    assert bench.records.kept == {made.id: made}
    assert (made.url, made.description, made.event_types) == (URL, "the app", None)
    assert (made.enabled, made.disabled_reason) == (True, None)
    assert made.created_at == made.updated_at == START
    (secret,) = made.secrets
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    assert bench.addresses.checked == [URL]


async def test_every_endpoint_has_its_own_id_and_secret(endpoints: Endpoints) -> None:
    first, second = await endpoints.create(URL), await endpoints.create(URL)
    assert first.id != second.id
    assert first.secrets != second.secrets


@pytest.mark.parametrize("size", [24, 64])
async def test_an_operator_may_bring_a_secret(endpoints: Endpoints, size: int) -> None:
    assert (await endpoints.create(URL, secret=secret_of(size))).secrets == (secret_of(size),)


@pytest.mark.parametrize(
    "secret",
    ["", "whsec_", secret_of(23), secret_of(65), secret_of(32)[6:], secret_of(32) + "!", "é" * 40],
)
async def test_another_secret_is_refused_and_not_shown(bench: Bench, secret: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await bench.endpoints.create(URL, secret=secret)
    assert not secret.removeprefix("whsec_") or secret not in str(caught.value)
    assert bench.records.kept == {}


async def test_a_secret_is_in_no_text_of_an_endpoint(endpoints: Endpoints) -> None:
    made = await endpoints.create(URL)
    assert made.secrets[0] not in f"{made} {made!r}"


@pytest.mark.parametrize("url", [BAD_URL, "https://app.example/" + "x" * 2048, "https://a.b/\0"])
async def test_a_bad_address_is_refused(bench: Bench, url: str) -> None:
    with pytest.raises(InvalidEndpointError):
        await bench.endpoints.create(url)
    made = await bench.endpoints.create(URL)
    with pytest.raises(InvalidEndpointError):
        await bench.endpoints.change(made.id, {"url": url})
    assert bench.records.kept == {made.id: made}


@pytest.mark.parametrize("description", ["x" * 256, "a\nb", "\u202eab", "\0"])
async def test_a_bad_description_is_refused(bench: Bench, description: str) -> None:
    with pytest.raises(InvalidRequestError):
        await bench.endpoints.create(URL, description=description)
    made = await bench.endpoints.create(URL)
    with pytest.raises(InvalidRequestError):
        await bench.endpoints.change(made.id, {"description": description})
    assert bench.records.kept == {made.id: made}


@pytest.mark.parametrize("types", [[], [EventType.UPLOADING], [*OFFERED_TYPES, EventType.RECEIVED]])
async def test_events_that_are_not_offered_are_refused(
    bench: Bench, types: list[EventType]
) -> None:
    with pytest.raises(InvalidRequestError):
        await bench.endpoints.create(URL, event_types=types)
    made = await bench.endpoints.create(URL)
    with pytest.raises(InvalidRequestError):
        await bench.endpoints.change(made.id, {"event_types": frozenset(types)})
    assert bench.records.kept == {made.id: made}


def test_the_wire_offers_what_is_offered() -> None:
    assert set(get_args(OfferedType)) == OFFERED_TYPES


async def test_there_are_no_more_than_may_be(endpoints: Endpoints) -> None:
    for _ in range(3):
        await endpoints.create(URL)
    with pytest.raises(TooManyEndpointsError):
        await endpoints.create(URL)
    assert len(await endpoints.list()) == 3


async def test_what_is_not_named_stays_as_it_is(bench: Bench) -> None:
    made = await bench.endpoints.create(URL, description="d", event_types=[EventType.DELETED])
    bench.clock.advance(5)
    changed = await bench.endpoints.change(made.id, {"url": "https://b.example/"})
    assert (changed.url, changed.description) == ("https://b.example/", "d")
    assert changed.event_types == frozenset({EventType.DELETED})
    assert (changed.created_at, changed.updated_at) == (START, bench.clock.now)
    assert (await bench.endpoints.change(made.id, {"event_types": None})).event_types is None
    assert await bench.endpoints.change(made.id, {}) == await bench.endpoints.get(made.id)
    assert bench.addresses.checked == [URL, "https://b.example/"]


async def test_disabling_says_who_and_enabling_clears_it(endpoints: Endpoints) -> None:
    made = await endpoints.create(URL)
    off = await endpoints.change(made.id, {"enabled": False})
    assert (off.enabled, off.disabled_reason) == (False, BY_ADMINISTRATOR)
    on = await endpoints.change(made.id, {"enabled": True})
    assert (on.enabled, on.disabled_reason) == (True, None)


async def test_the_replaced_secret_signs_on_for_a_while(bench: Bench) -> None:
    made = await bench.endpoints.create(URL)
    rotated = await bench.endpoints.rotate(made.id)
    assert rotated.secrets[0] != made.secrets[0]
    assert rotated.secrets[1:] == made.secrets
    assert rotated.previous_until == START + timedelta(hours=24)
    bench.clock.advance(24 * 3600 - 1)
    assert (await bench.endpoints.get(made.id)).secrets == rotated.secrets
    bench.clock.advance(1)
    after = await bench.endpoints.get(made.id)
    assert (after.secrets, after.previous_until) == (rotated.secrets[:1], None)


async def test_rotating_again_ends_the_older_one_at_once(bench: Bench) -> None:
    made = await bench.endpoints.create(URL)
    first = await bench.endpoints.rotate(made.id)
    bench.clock.advance(60)
    second = await bench.endpoints.rotate(made.id)
    assert second.secrets[1:] == first.secrets[:1]
    assert made.secrets[0] not in second.secrets
    assert second.previous_until == bench.clock.now + timedelta(hours=24)


async def test_an_endpoint_goes_with_its_deliveries_batch_by_batch(bench: Bench) -> None:
    made = await bench.endpoints.create(URL)
    bench.records.delivery_ids = list(range(2 * BATCH + 5))
    await bench.endpoints.delete(made.id)
    assert bench.records.cleared == [BATCH, BATCH, 5, 0]
    assert (bench.records.kept, bench.records.delivery_ids) == ({}, [])


async def test_a_delivery_that_is_being_written_is_waited_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0)
    made = await bench.endpoints.create(URL)
    bench.records.delivery_ids, bench.records.stuck = [1, 2, 3], 2
    await bench.endpoints.delete(made.id)
    assert bench.records.kept == {}


async def test_what_stays_in_use_stays_disabled_and_can_be_deleted_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0)
    made = await bench.endpoints.create(URL)
    bench.records.delivery_ids, bench.records.stuck = [1], 1000
    with pytest.raises(UnavailableError):
        await bench.endpoints.delete(made.id)
    left = await bench.endpoints.get(made.id)
    assert (left.enabled, left.disabled_reason) == (False, BEING_DELETED)
    bench.records.stuck = 0
    await bench.endpoints.delete(made.id)
    assert bench.records.kept == {}


async def test_an_unknown_endpoint(endpoints: Endpoints) -> None:
    changes: list[Changes] = [{}, {"enabled": True}, {"url": URL}]
    calls: list[Any] = [
        endpoints.get("whe_0"),
        endpoints.rotate("whe_0"),
        endpoints.delete("whe_0"),
        endpoints.deliveries("whe_0"),
        endpoints.replay("whe_0", since=START),
        endpoints.replay_event("whe_0", "evt_1"),
        *(endpoints.change("whe_0", change) for change in changes),
    ]
    for call in calls:
        with pytest.raises(EndpointNotFoundError):
            await call


def record(number: int, status: DeliveryStatus = DeliveryStatus.WAITING) -> DeliveryRecord:
    return DeliveryRecord(
        id=number,
        event_id=f"evt_{number}",
        event_type=EventType.COMPLETED,
        created_at=START,
        status=status,
        attempts=0,
        due_at=START,
        attempted_at=None,
        last_status=None,
        last_error=None,
        done_at=None,
    )


async def test_deliveries_are_paged_and_end(bench: Bench) -> None:
    made = await bench.endpoints.create(URL)
    bench.records.records = [record(number) for number in range(1, 6)]
    seen, after = [], None
    for expected in (2, 2, 1):
        page, after = await bench.endpoints.deliveries(made.id, after=after, limit=2)
        assert len(page) == expected
        seen += [found.id for found in page]
    assert (seen, after) == ([5, 4, 3, 2, 1], None)
    page, after = await bench.endpoints.deliveries(made.id, limit=5)
    assert (len(page), after) == (5, None)


@pytest.mark.parametrize("row", ["", "x", "-1", "1.5", "1_0", "²", "१", str(2**63)])
async def test_a_cursor_of_another_page_is_refused(endpoints: Endpoints, row: str) -> None:
    made = await endpoints.create(URL)
    with pytest.raises(InvalidRequestError):
        await endpoints.deliveries(made.id, after=Cursor(START, row))


def happened(count: int, at: datetime, kind: EventType = EventType.COMPLETED) -> list[Happened]:
    return [Happened(at, f"evt_{kind.value}_{number:06}", kind) for number in range(count)]


async def test_a_replay_is_done_in_batches_and_misses_nothing(bench: Bench) -> None:
    made = await bench.endpoints.create(URL)
    bench.records.happened = happened(2 * BATCH + 7, START - DAY)
    assert await bench.endpoints.replay(made.id, since=START - DAY) == 2 * BATCH + 7
    assert len(set(bench.records.replayed)) == 2 * BATCH + 7
    assert [limit for _, limit in bench.records.spans] == [BATCH] * 3


async def test_a_replay_ends_now_even_if_more_happens(bench: Bench) -> None:
    made = await bench.endpoints.create(URL)
    for until in (None, START + DAY):
        await bench.endpoints.replay(made.id, since=START - DAY, until=until)
    earlier = START - timedelta(hours=1)
    await bench.endpoints.replay(made.id, since=START - DAY, until=earlier)
    assert [span.until for span, _ in bench.records.spans] == [START, START, earlier]


async def test_nothing_is_replayed_that_is_about_to_be_forgotten(bench: Bench) -> None:
    made = await bench.endpoints.create(URL)
    await bench.endpoints.replay(made.id, since=START - 40 * DAY, only_failed=True)
    ((span, _),) = bench.records.spans
    assert (span.since, span.only_failed) == (START - 30 * DAY, True)


@pytest.mark.parametrize(
    ("since", "until"),
    [
        (START - DAY, START - 2 * DAY),
        (START + DAY, None),
        (START - 50 * DAY, START - 40 * DAY),
        (datetime.fromisoformat("0001-01-01T00:00+23:59"),) * 2,
        (datetime.fromisoformat("9999-12-31T23:59-23:59"), None),
    ],
)
async def test_a_time_in_which_nothing_can_be(
    bench: Bench, since: datetime, until: datetime | None
) -> None:
    made = await bench.endpoints.create(URL)
    assert await bench.endpoints.replay(made.id, since=since, until=until) == 0
    assert bench.records.spans == []


async def test_only_what_the_endpoint_wants_is_replayed(bench: Bench) -> None:
    plain = await bench.endpoints.create(URL)
    picky = await bench.endpoints.create(URL, event_types=[EventType.QUARANTINED])
    await bench.endpoints.replay(plain.id, since=START - DAY)
    await bench.endpoints.replay(picky.id, since=START - DAY)
    asked = [EventType.COMPLETED, EventType.UPLOADING]
    await bench.endpoints.replay(plain.id, since=START - DAY, types=asked)
    types = [set(span.types) for span, _ in bench.records.spans]
    assert types == [set(DEFAULT_TYPES), {EventType.QUARANTINED}, {EventType.COMPLETED}]
    assert await bench.endpoints.replay(picky.id, since=START - DAY, types=asked) == 0
    assert len(bench.records.spans) == 3


async def test_an_endpoint_removed_meanwhile_ends_its_replay(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await bench.endpoints.create(URL)
    bench.records.happened = happened(BATCH, START)
    replay = bench.records.replay

    async def removed_after(*arguments: Any) -> Any:
        batch = await replay(*arguments)
        bench.records.kept.clear()
        return batch

    monkeypatch.setattr(bench.records, "replay", removed_after)
    with pytest.raises(EndpointNotFoundError):
        await bench.endpoints.replay(made.id, since=START)


async def test_one_event_is_replayed_if_the_endpoint_wants_it(bench: Bench) -> None:
    made = await bench.endpoints.create(URL)
    bench.records.happened = [
        Happened(START, "evt_1"),
        Happened(START, "evt_2", EventType.QUARANTINED),
    ]
    for event_id, count in (("evt_1", 1), ("evt_2", 0), ("evt_3", 0)):
        assert await bench.endpoints.replay_event(made.id, event_id) == count
