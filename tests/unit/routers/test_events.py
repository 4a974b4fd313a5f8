"""`GET /v1/events` on the wire, behind all middlewares, with events in memory."""

import asyncio
import json
from io import StringIO
from typing import Any

import pytest

from routers import event_stream
from routers.event_stream import ABORT, PATIENCE
from service.delivery.hub import EndReason
from tests.fakes.event_house import EventHouse
from tests.fakes.event_page import Event, Page, opened
from tests.fakes.eventually import eventually


def lines(written: StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


async def refused(house: EventHouse, page: Page) -> Any:
    async with opened(house.app, page) as task, asyncio.timeout(60):
        await task
    assert page.headers["content-type"] == "application/problem+json"
    return json.loads(page.content)["code"]


async def test_the_first_frame_comes_at_once_and_says_where_to_go_on() -> None:
    house = EventHouse()
    house.feed.add()
    page = house.page()
    async with opened(house.app, page):
        [ready] = await page.next()
        assert ready.event == "ready"
        assert (ready.id, ready.retry) == ("1", "3000")
        assert json.loads(ready.data or "") == {"sequence": 1, "heartbeat_seconds": 3600}
        assert page.status == 200
        assert page.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["x-accel-buffering"] == "no"
        assert "content-length" not in page.headers
        assert "x-request-id" in page.headers


async def test_an_event_is_its_number_its_type_and_its_payload_in_one_line() -> None:
    house = EventHouse()
    page = house.page()
    async with opened(house.app, page):
        await page.next()
        house.happen()
        assert await page.next() == [Event(event="upload.completed", id="1", data='{"n":1}')]
        assert not page.ended


@pytest.mark.parametrize(("seen", "replayed"), [("0", 3), ("2", 1), ("3", 0), ("00", 3)])
async def test_a_page_that_comes_back_gets_what_it_has_not_seen(seen: str, replayed: int) -> None:
    house = EventHouse()
    for _ in range(3):
        house.feed.add()
    page = house.page({"Last-Event-ID": seen})
    async with opened(house.app, page):
        [ready, *rest] = await page.next(1 + replayed)
        assert ready.id == str(int(seen))
        assert [event.id for event in rest] == [str(3 - replayed + 1 + n) for n in range(replayed)]
        house.happen()
        assert (await page.next())[0].id == "4"


@pytest.mark.parametrize(
    "seen", ["", "x", "-1", "1.0", "+1", "1 2", "0x1", "\xb2", "9" * 19, "1" * 20, "1" * 5000]
)
async def test_an_id_that_means_nothing_is_ignored(seen: str) -> None:
    house = EventHouse()
    house.feed.add()
    page = house.page()
    page.scope["headers"].append((b"last-event-id", seen.encode("latin-1", "ignore")))
    async with opened(house.app, page):
        assert (await page.next())[0].id == "1"
        house.happen()
        assert (await page.next())[0].id == "2"


async def test_where_events_are_gone_the_page_is_told_to_list_again() -> None:
    house = EventHouse()
    for _ in range(3):
        house.feed.add()
    house.feed.delete(1, 2)
    page = house.page({"Last-Event-ID": "1"})
    async with opened(house.app, page):
        [_, reset] = await page.next(2)
        assert reset == Event(event="reset", id="3", data='{"sequence":3}')


async def test_silence_is_broken_by_comments() -> None:
    house = EventHouse(heartbeat=0.01)
    page = house.page()
    async with opened(house.app, page):
        assert (await page.next(3))[1:] == [Event(comment="")] * 2
    assert b"\n\n: \n\n" in page.content


async def test_the_token_ends_the_stream_and_the_page_is_told() -> None:
    house = EventHouse(life=0.02)
    page = house.page()
    async with opened(house.app, page) as task:
        [_, end] = await page.next(2)
        assert end == Event(event="end", data='{"reason":"token_expired"}')
        await task
    assert page.ended
    assert len(house.hub) == 0


async def test_a_login_that_has_ended_ends_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    house = EventHouse()
    ended: set[str] = set()
    monkeypatch.setattr(house, "stands", lambda caller: caller.user_id not in ended)
    page, other = house.page(), house.page({"Authorization": "Bearer of-eve"})
    async with opened(house.app, page) as task, opened(house.app, other):
        await page.next()
        await other.next()
        ended.add("ada")
        house.happen()
        [end] = await page.next()
        assert end == Event(event="end", data='{"reason":"token_expired"}')
        await task
        house.feed.add("eve")
        house.hub.wake("eve")
        [event] = await other.next()
        assert event.id == "1"


async def test_a_replica_that_goes_tells_the_page_and_when_to_come_back() -> None:
    house = EventHouse()
    page = house.page()
    async with opened(house.app, page) as task:
        await page.next()
        house.streams.close()
        [end] = await page.next()
        assert (end.event, end.id, end.data) == ("end", None, '{"reason":"server_going"}')
        assert 1000 <= int(end.retry or "") <= 6000
        await task
    assert page.ended
    assert await refused(house, house.page()) == "unavailable"


def test_the_pages_of_a_replica_that_goes_do_not_come_back_together() -> None:
    asked = {event_stream._retry_after(EndReason.SERVER_GOING) for _ in range(50)}
    assert len(asked) > 1


async def test_a_page_that_leaves_is_noticed_at_once() -> None:
    house = EventHouse()
    page = house.page()
    async with opened(house.app, page) as task:
        await page.next()
        assert len(house.hub) == 1
        page.leave()
        async with asyncio.timeout(60):
            await task
    assert len(house.hub) == 0


async def test_a_page_that_takes_nothing_is_cut_off(written: StringIO) -> None:
    house = EventHouse(send=0.05)
    page = house.page()
    async with opened(house.app, page) as task:
        await page.next()
        page.taking.clear()
        house.happen()
        async with asyncio.timeout(60):
            await task
    assert [line["event"] for line in lines(written)] == ["stream.cut_off", "request"]
    assert not page.ended  # the server sees half an answer, and closes the connection
    assert len(house.hub) == 0


async def test_where_the_server_can_it_drops_what_was_not_taken() -> None:
    house = EventHouse(send=0.05)
    page = house.page()
    page.scope["extensions"] = {ABORT: page.leave}
    async with opened(house.app, page) as task:
        await page.next()
        page.taking.clear()
        house.happen()
        async with asyncio.timeout(60):
            await task
    assert page._gone.is_set()


async def test_one_that_takes_slowly_is_not_cut_off_and_misses_nothing() -> None:
    house = EventHouse()
    page = house.page()
    async with opened(house.app, page):
        await page.next()
        page.taking.clear()
        for _ in range(200):
            house.happen()
            await asyncio.sleep(0)
        page.taking.set()
        assert [event.id for event in await page.next(200)] == [str(n) for n in range(1, 201)]


async def test_a_user_has_so_many_streams_at_once() -> None:
    house = EventHouse()
    first, second = house.page(), house.page()
    async with opened(house.app, first), opened(house.app, second) as leaving:
        await first.next()
        await second.next()
        third = house.page()
        assert await refused(house, third) == "too_many_streams"
        assert (third.status, third.headers["retry-after"]) == (429, "10")
        second.leave()
        await leaving
        again = house.page()
        async with opened(house.app, again):
            await again.next()


async def test_streams_hold_no_place_of_the_apis_and_have_a_bound_of_their_own() -> None:
    house = EventHouse()
    pages = [house.page({"Authorization": f"Bearer of-{number}"}) for number in range(3)]
    async with (
        opened(house.app, pages[0]),
        opened(house.app, pages[1]),
        opened(house.app, pages[2]),
    ):
        for page in pages:
            await page.next()
        assert await refused(house, house.page()) == "overloaded"
        assert await refused(house, house.page(path="/v1/other")) == "not_found"


async def test_a_database_that_is_away_is_a_problem_like_any_other() -> None:
    house = EventHouse()
    house.feed.away = True
    page = house.page()
    assert await refused(house, page) == "unavailable"
    assert page.status == 503
    assert len(house.hub) == 0


@pytest.mark.parametrize(
    ("authorization", "code"), [("", "not_authenticated"), ("Bearer x", "invalid_token")]
)
async def test_the_token_is_needed(authorization: str, code: str) -> None:
    house = EventHouse()
    page = house.page({"Authorization": authorization})
    assert await refused(house, page) == code
    assert page.status == 401


async def test_a_token_in_the_address_is_none() -> None:
    house = EventHouse()
    query = b"access_token=of-ada&token=of-ada"
    page = house.page({"Authorization": ""}, query_string=query)
    assert await refused(house, page) == "not_authenticated"


async def test_a_token_for_other_things_is_refused() -> None:
    house = EventHouse()
    house.scopes = frozenset({"admin"})
    assert await refused(house, house.page()) == "missing_scope"


@pytest.mark.parametrize("method", ["HEAD", "POST", "DELETE"])
async def test_there_is_nothing_but_listening(method: str) -> None:
    house = EventHouse()
    assert await refused(house, house.page(method=method)) == "method_not_allowed"


async def test_a_fault_cuts_the_stream_and_is_told_in_the_log(
    monkeypatch: pytest.MonkeyPatch, written: StringIO
) -> None:
    house = EventHouse()

    async def fails(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(house.feed, "after", fails)
    page = house.page()
    async with opened(house.app, page) as task:
        await page.next()
        with pytest.raises(ZeroDivisionError):
            await task
    assert [line["event"] for line in lines(written)] == ["unhandled error", "request"]
    assert not page.ended
    assert len(house.hub) == 0


async def test_the_line_in_the_log_comes_at_the_end_with_what_was_sent(written: StringIO) -> None:
    house = EventHouse()
    page = house.page()
    async with opened(house.app, page) as task:
        await page.next()
        house.happen()
        await page.next()
        assert lines(written) == []
        page.leave()
        await task
    [line] = lines(written)
    assert (line["event"], line["route"], line["status"]) == ("request", "/v1/events", 200)
    assert line["bytes_sent"] == len(page.content)


async def test_who_is_cancelled_while_sending_leaves_nothing_behind() -> None:
    house = EventHouse()
    page = house.page()
    async with opened(house.app, page):
        await page.next()
        page.taking.clear()
        house.happen()
        await eventually(lambda: house.feed.looks > 1)
    assert len(house.hub) == 0


async def test_the_document_says_that_it_is_a_stream() -> None:
    operation = EventHouse().app.openapi()["paths"]["/v1/events"]["get"]
    assert operation["operationId"] == "stream_events"
    assert "text/event-stream" in operation["responses"]["200"]["content"]
    assert {"401", "403", "429", "503"} <= set(operation["responses"])


async def test_where_the_server_can_it_waits_no_longer_for_a_client_out_of_reach() -> None:
    house = EventHouse(send=7.5)
    page, limits = house.page(), list[float]()
    page.scope["extensions"] = {PATIENCE: limits.append}
    async with opened(house.app, page):
        await page.next()
    assert limits == [7.5]
