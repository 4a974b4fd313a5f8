"""The admin API of webhook endpoints, over the whole service: what it answers, and what it never
shows.
"""

import base64
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any, NamedTuple

import httpx
import pytest

import errors
from tests.contract.endpoint_admin import BASE, endpoint_admin
from tests.fakes.house import House, captured_logs, opened_house
from tests.fakes.problems import assert_problem

URL = "https://127.0.0.1:9/hook?key=of-the-receiver"
OWN = "whsec_" + base64.b64encode(b"a secret of the operator").decode()
MOST = 3


class Route(NamedTuple):
    method: str
    path: str
    body: Any = None


ROUTES = [
    Route("GET", ""),
    Route("POST", "", {"url": URL}),
    Route("GET", "/whe_0"),
    Route("PATCH", "/whe_0", {"enabled": False}),
    Route("DELETE", "/whe_0"),
    Route("POST", "/whe_0/rotate"),
    Route("POST", "/whe_0/test"),
    Route("GET", "/whe_0/deliveries"),
    Route("POST", "/whe_0/replay", {"since": "2030-01-01T00:00:00Z"}),
]
EVERY_ROUTE = pytest.mark.parametrize("route", ROUTES)
OF_ONE = pytest.mark.parametrize("route", ROUTES[2:])
TAKES_JSON = pytest.mark.parametrize("route", [route for route in ROUTES if route.body])


@pytest.fixture(scope="module")
async def own_house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """One that may send to itself."""
    delivery = {"allowed_networks": ["127.0.0.0/8"], "max_endpoints": MOST}
    folder = tmp_path_factory.mktemp("webhooks")
    async with opened_house(folder, delivery=delivery) as opened:
        yield opened


@pytest.fixture
def written() -> Iterator[StringIO]:
    with captured_logs() as written:
        yield written


@pytest.fixture
async def admin(own_house: House) -> AsyncIterator[httpx.AsyncClient]:
    """With no endpoint and no event, before and after."""
    async with endpoint_admin(own_house) as client:
        yield client
    with closing(sqlite3.connect(own_house._path)) as database, database:
        database.execute("DELETE FROM events")


def happen(house: House, count: int) -> None:
    """Events of today that have been spread."""
    now = datetime.now(UTC)
    rows = [
        (f"evt_{number:03}", number, at, at)
        for number in range(1, count + 1)
        if (at := (now - timedelta(minutes=count - number + 1)).strftime("%Y-%m-%d %H:%M:%S.%f"))
    ]
    with closing(sqlite3.connect(house._path)) as database, database:
        database.executemany(
            "INSERT INTO events (id, type, user_id, sequence, at, payload, spread_at)"
            " VALUES (?, 'upload.completed', 'usr_hook', ?, ?, '{}', ?)",
            rows,
        )


async def created(admin: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    answer = await admin.post(BASE, json={"url": URL, **more})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"{BASE}/{made['id']}"
    assert answer.headers["cache-control"] == "no-store"
    return made


async def test_a_secret_is_shown_when_it_is_made_and_never_again(
    admin: httpx.AsyncClient, own_house: House, written: StringIO
) -> None:
    made = await created(admin, description="the app")
    address = f"{BASE}/{made['id']}"
    rotated = (answer := await admin.post(f"{address}/rotate")).json()
    assert answer.headers["cache-control"] == "no-store"
    own = await created(admin, secret=OWN)
    secrets = [made.pop("secret"), rotated.pop("secret"), own.pop("secret")]
    assert len(set(secrets)) == 3
    assert secrets[2] == OWN
    assert all(secret.startswith("whsec_") for secret in secrets)
    happen(own_house, 2)
    await admin.patch(f"{BASE}/{own['id']}", json={"enabled": False})
    for answer in [
        await admin.get(BASE),
        await admin.get(address),
        await admin.patch(address, json={"enabled": False}),
        await admin.post(f"{address}/replay", json={"since": "2020-01-01T00:00:00Z"}),
        await admin.get(f"{address}/deliveries"),
    ]:
        assert answer.status_code == 200
        assert "whsec_" not in answer.text
        assert "secret" not in answer.text.replace("previous_secret_until", "")
        assert answer.headers["cache-control"] == "no-store"
    refused = await admin.post(BASE, json={"url": URL, "secret": secrets[0] + "x"})
    assert_problem(refused, errors.InvalidRequestError)
    assert secrets[0] not in refused.text
    log = written.getvalue()
    assert '"event": "webhook_endpoint.rotated"' in log
    assert [text for text in [*secrets, "of-the-receiver", *own_house.secrets] if text in log] == []


async def test_the_log_says_who_did_what(admin: httpx.AsyncClient, written: StringIO) -> None:
    made = await created(admin)
    address = f"{BASE}/{made['id']}"
    await admin.patch(address, json={"enabled": False, "url": URL})
    await admin.post(f"{address}/rotate")
    await admin.post(f"{address}/replay", json={"since": "2020-01-01T00:00:00Z"})
    await admin.delete(address)
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    told = [line for line in lines if line["event"].startswith("webhook_endpoint.")]
    words = [line["event"].removeprefix("webhook_endpoint.") for line in told]
    assert words == ["created", "changed", "rotated", "replayed", "deleted"]
    assert {(line["by"], line["endpoint_id"]) for line in told} == {("usr_eve", made["id"])}
    assert (told[1]["changed"], told[3]["events"]) == (["enabled", "url"], 0)
    assert "of-the-receiver" not in written.getvalue()


async def test_what_was_asked_for_is_shown(admin: httpx.AsyncClient) -> None:
    types = ["upload.completed", "upload.quarantined"]
    made = await created(admin, description="é 🎉", event_types=types[::-1])
    del made["secret"]
    assert made == (await admin.get(f"{BASE}/{made['id']}")).json()
    assert (await admin.get(BASE)).json() == {"items": [made]}
    assert (made["url"], made["description"], made["event_types"]) == (URL, "é 🎉", types)
    assert (made["enabled"], made["disabled_reason"]) == (True, None)
    assert made["previous_secret_until"] is None
    assert (await created(admin))["event_types"] is None


async def test_a_rotation_says_how_long_the_old_secret_signs(admin: httpx.AsyncClient) -> None:
    made = await created(admin)
    before = datetime.now(UTC)
    rotated = (await admin.post(f"{BASE}/{made['id']}/rotate")).json()
    assert rotated["secret"] != made["secret"]
    until = datetime.fromisoformat(rotated["previous_secret_until"])
    assert timedelta(hours=24) <= until - before <= timedelta(hours=24, minutes=5)


async def test_a_change_leaves_what_it_does_not_name(admin: httpx.AsyncClient) -> None:
    made = await created(admin, description="d", event_types=["upload.deleted"])
    address = f"{BASE}/{made['id']}"
    off = (await admin.patch(address, json={"enabled": False})).json()
    assert (off["enabled"], off["disabled_reason"]) == (False, "disabled by an administrator")
    assert (off["description"], off["event_types"]) == ("d", ["upload.deleted"])
    on = (await admin.patch(address, json={"enabled": True, "event_types": None})).json()
    assert (on["enabled"], on["disabled_reason"], on["event_types"]) == (True, None, None)
    assert (await admin.patch(address, json={})).json() == on
    other = (await admin.patch(address, json={"url": URL + "2", "description": ""})).json()
    assert (other["url"], other["description"]) == (URL + "2", "")


async def test_what_is_removed_is_gone(admin: httpx.AsyncClient, own_house: House) -> None:
    made = await created(admin)
    happen(own_house, 3)
    address = f"{BASE}/{made['id']}"
    await admin.patch(address, json={"enabled": False})
    answer = await admin.post(f"{address}/replay", json={"since": "2020-01-01T00:00:00Z"})
    assert answer.json() == {"replayed": 3}
    assert own_house.rows()["deliveries"] == 3
    answer = await admin.delete(address)
    assert (answer.status_code, answer.content) == (204, b"")
    assert own_house.rows()["deliveries"] == own_house.rows()["webhook_endpoints"] == 0
    assert_problem(await admin.delete(address), errors.EndpointNotFoundError)


async def test_deliveries_page_by_page(admin: httpx.AsyncClient, own_house: House) -> None:
    made = await created(admin)
    address = f"{BASE}/{made['id']}"
    await admin.patch(address, json={"enabled": False})
    happen(own_house, 5)
    await admin.post(f"{address}/replay", json={"since": "2020-01-01T00:00:00Z"})
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        query = {"limit": "2", "status": "waiting", **cursor}
        page = (await admin.get(f"{address}/deliveries", params=query)).json()
        seen += [item["event_id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == [f"evt_{number:03}" for number in (5, 4, 3, 2, 1)]
    (first, *_) = (await admin.get(f"{address}/deliveries")).json()["items"]
    assert first["event_type"] == "upload.completed"
    assert (first["status"], first["attempts"]) == ("waiting", 0)
    for status in ("delivered", "failed"):
        answer = await admin.get(f"{address}/deliveries", params={"status": status})
        assert answer.json() == {"items": [], "next_cursor": None}


async def test_a_replay_of_one_event_or_of_a_time(
    admin: httpx.AsyncClient, own_house: House
) -> None:
    made = await created(admin)
    address = f"{BASE}/{made['id']}"
    await admin.patch(address, json={"enabled": False})
    happen(own_house, 4)
    bodies: list[tuple[Any, int]] = [
        ({"event_id": "evt_001"}, 1),
        ({"event_id": "evt_999"}, 0),
        ({"since": "2020-01-01T00:00:00Z", "only_failed": True}, 1),
        ({"since": "2020-01-01T00:00:00Z", "event_types": ["upload.deleted"]}, 0),
        ({"since": "2020-01-01T00:00:00+14:00", "until": "2020-01-02T00:00:00-12:00"}, 0),
        ({"since": "0001-01-01T00:00:00+14:00", "until": None}, 4),
        ({"since": "9999-12-31T23:59:59-12:00"}, 0),
    ]
    for body, count in bodies:
        answer = await admin.post(f"{address}/replay", json=body)
        assert (answer.status_code, answer.json()) == (200, {"replayed": count}), body


async def test_there_are_no_more_than_may_be(admin: httpx.AsyncClient) -> None:
    for _ in range(MOST):
        await created(admin)
    answer = await admin.post(BASE, json={"url": URL})
    assert_problem(answer, errors.TooManyEndpointsError)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::ffff:10.0.0.1]/",
        "https://user:pass@127.0.0.1/",
        "https://127.0.0.1/\n",
        "https://127.1/",
        "file:///etc/passwd",
        "x",
    ],
)
async def test_an_address_to_which_nothing_is_sent(admin: httpx.AsyncClient, url: str) -> None:
    assert_problem(await admin.post(BASE, json={"url": url}), errors.InvalidEndpointError)
    made = await created(admin)
    answer = await admin.patch(f"{BASE}/{made['id']}", json={"url": url})
    assert_problem(answer, errors.InvalidEndpointError)
    assert (await admin.get(f"{BASE}/{made['id']}")).json()["url"] == URL


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"url": ""}, "/body/url"),
        ({"url": None}, "/body/url"),
        ({"url": "https://127.0.0.1/" + "x" * 2048}, "/body/url"),
        ({"description": "x" * 256}, "/body/description"),
        ({"description": "\u202e"}, "/body/description"),
        ({"event_types": []}, "/body/event_types"),
        ({"event_types": ["upload.uploading"]}, "/body/event_types/0"),
        ({"event_types": ["upload.completed"] * 51}, "/body/event_types"),
        ({"secret": "x" * 256}, "/body/secret"),
        ({"enabled": True}, "/body/enabled"),
        ({"unknown": 1}, "/body/unknown"),
    ],
)
async def test_an_endpoint_that_is_not_in_order(
    admin: httpx.AsyncClient, changes: Any, pointer: str
) -> None:
    answer = await admin.post(BASE, json={"url": URL, **changes})
    found = assert_problem(answer, errors.InvalidRequestError)
    assert {entry["pointer"] for entry in found["errors"]} == {pointer}
    assert (await admin.get(BASE)).json() == {"items": []}


NULL_URL = "`url` cannot be null"
TYPES = (
    "Input should be 'upload.quarantined', 'upload.completed', 'upload.rejected', "
    "'upload.aborted', 'upload.expired', 'upload.deleted', 'upload.replaced' or 'identity.changed'"
)


@pytest.mark.parametrize(
    ("call", "path", "body", "message"),
    [
        ("POST", "", {"url": URL, "event_types": ["upload.uploading"]}, TYPES),
        ("POST", "", [], "Input should be an object"),
        ("POST", "", {"url": URL, "event_types": {}}, "Input should be an array"),
        ("POST", "", {"url": URL, "description": "\n"}, "Holds a control character"),
        ("PATCH", "/whe_0", {"url": None}, NULL_URL),
        ("POST", "/whe_0/replay", {}, "Give either `since` or `event_id`"),
        (
            "POST",
            "/whe_0/replay",
            {"event_id": "e", "only_failed": True},
            "`event_id` stands alone",
        ),
    ],
)
async def test_what_is_wrong_is_said_in_words_for_people(
    admin: httpx.AsyncClient, call: str, path: str, body: Any, message: str
) -> None:
    answer = await admin.request(call, BASE + path, json=body)
    found = assert_problem(answer, errors.InvalidRequestError)
    assert [entry["message"] for entry in found["errors"]] == [message]


@pytest.mark.parametrize(
    "changes",
    [
        {"url": None},
        {"url": ""},
        {"description": None},
        {"enabled": None},
        {"enabled": "perhaps"},
        {"event_types": []},
        {"secret": OWN},
        {"id": "whe_2"},
        [],
    ],
)
async def test_a_change_that_is_not_in_order(admin: httpx.AsyncClient, changes: Any) -> None:
    made = await created(admin)
    answer = await admin.patch(f"{BASE}/{made['id']}", json=changes)
    assert_problem(answer, errors.InvalidRequestError)
    del made["secret"]
    assert (await admin.get(f"{BASE}/{made['id']}")).json() == made


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"since": None},
        {"until": "2030-01-01T00:00:00Z"},
        {"since": "2030-01-01T00:00:00"},
        {"since": "2h"},
        {"since": "2030-01-01T00:00:00Z", "event_id": "evt_1"},
        {"event_id": "evt_1", "only_failed": True},
        {"event_id": ""},
        {"event_id": "x" * 65},
        {"since": "2030-01-01T00:00:00Z", "event_types": ["upload.received"]},
        {"since": "2030-01-01T00:00:00Z", "limit": 5},
    ],
)
async def test_a_replay_that_is_not_in_order(admin: httpx.AsyncClient, body: Any) -> None:
    made = await created(admin)
    answer = await admin.post(f"{BASE}/{made['id']}/replay", json=body)
    assert_problem(answer, errors.InvalidRequestError)


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "101"},
        {"status": "lost"},
        {"cursor": "x"},
        {"cursor": "MjAzMC0wMS0wMVQwMDowMDowMCswMDowMHx4"},
        {"cursor": "x" * 257},
    ],
)
async def test_a_page_that_there_is_not(admin: httpx.AsyncClient, query: dict[str, str]) -> None:
    made = await created(admin)
    answer = await admin.get(f"{BASE}/{made['id']}/deliveries", params=query)
    assert_problem(answer, errors.InvalidRequestError)


@OF_ONE
@pytest.mark.parametrize("endpoint_id", ["whe_0", "%00", "x" * 64, "é"])
async def test_an_endpoint_that_there_is_not(
    admin: httpx.AsyncClient, route: Route, endpoint_id: str
) -> None:
    path = route.path.replace("whe_0", endpoint_id)
    answer = await admin.request(route.method, BASE + path, json=route.body)
    assert_problem(answer, errors.EndpointNotFoundError)


@EVERY_ROUTE
async def test_it_is_for_administrators_alone(own_house: House, route: Route) -> None:
    async with own_house.client() as client:
        answer = await client.request(route.method, BASE + route.path, json=route.body)
        assert_problem(answer, errors.NotAuthenticatedError)
        client.headers["Authorization"] = f"Bearer {own_house.token}"
        answer = await client.request(route.method, BASE + route.path, json=route.body)
        assert_problem(answer, errors.MissingScopeError)
    assert own_house.rows()["webhook_endpoints"] == 0


@TAKES_JSON
async def test_a_body_of_another_type(admin: httpx.AsyncClient, route: Route) -> None:
    headers = {"content-type": "text/plain"}
    for content, kind in ((b"{}", errors.UnsupportedMediaTypeError), (b"{", None)):
        answer = await admin.request(
            route.method,
            BASE + route.path,
            content=content,
            headers=headers if kind else {"content-type": "application/json"},
        )
        assert_problem(answer, kind or errors.MalformedJsonError)
