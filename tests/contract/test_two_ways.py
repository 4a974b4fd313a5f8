"""A client cannot tell whether a door answered it or the long way did. What a query holds says
nothing to either, but sends a call the long way.
"""

import re
from datetime import timedelta
from typing import Any

import httpx
import pytest

from routers import webhooks
from routers.credentials import GrantDoor
from routers.doors import Answer
from service.grants.model import Place
from tests.fakes import cognito_api
from tests.fakes.fixtures import forget
from tests.fakes.house import House
from tests.fakes.http_stub import Reply
from tests.unit.routers.test_bad_tokens import token

GRANTS = "/v1/credentials"
ORIGIN = {"Origin": "https://app.example"}
JSON = {"Content-Type": "application/json"}
# Drawn, or the moment's.
PASSING = re.compile(rb'"(server_time|expires_at|refresh_after|request_id)":"[^"]*"')


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the door answered, call by call."""
    found: list[bool] = []
    answer = GrantDoor.answer

    async def watched(self: GrantDoor, *call: Any) -> Answer | None:
        found.append(True)
        given = await answer(self, *call)
        found[-1] = given is not None
        return given

    monkeypatch.setattr(GrantDoor, "answer", watched)
    return found


def seen(answer: httpx.Response) -> tuple[Any, ...]:
    """All of it but the moment."""
    headers = [
        (name, value)
        for name, value in answer.headers.raw
        if name not in (b"x-request-id", b"content-length")
    ]
    names = [name for name, _ in answer.headers.raw]
    return (
        answer.status_code,
        PASSING.sub(rb'"\1":""', answer.content),
        headers,
        names,
    )


async def both(client: httpx.AsyncClient, **call: Any) -> tuple[httpx.Response, httpx.Response]:
    short = await client.post(GRANTS, **call)
    return short, await client.post(f"{GRANTS}?long=way", **call)


BODIES = [
    b"",
    b"{}",
    b'{"mode":"auto"}',
    b'{"mode": "auto"}',
    b'{"mode":"cognito"}',
    b'{"mode": "cognito"}',
    b'{"mode":"presigned"}',
    b'{"mode": "presigned"}',
]


@pytest.mark.parametrize("body", BODIES, ids=repr)
@pytest.mark.parametrize("origin", [{}, ORIGIN])
async def test_a_grant(
    caller: httpx.AsyncClient, taken: list[bool], body: bytes, origin: dict[str, str]
) -> None:
    short, long = await both(caller, content=body, headers={**JSON, **origin})
    assert short.status_code == 200
    assert seen(short) == seen(long)
    warm, _ = await both(caller, content=body, headers={**JSON, **origin})
    assert seen(warm) == seen(long)
    assert taken == [True, False] * 2


async def test_a_warm_grant_differs_in_the_servers_time_alone(caller: httpx.AsyncClient) -> None:
    await caller.post(GRANTS)
    short, long = await both(caller)
    bodies = [re.sub(r'"server_time":"[^"]*"', "", answer.text) for answer in (short, long)]
    assert bodies[0] == bodies[1]
    assert '"mode":"cognito"' in bodies[0]
    # The last digits of a time are left out where they are zeros.
    times = [answer.json()["server_time"] for answer in (short, long)]
    assert all(re.fullmatch(r"[0-9-]{10}T[0-9:]{8}(\.[0-9]{6})?Z", time) for time in times)


ODD = 'é"\\\n</script>\u2028\U0001f600'


@pytest.mark.parametrize("mode", ["cognito", "presigned"])
async def test_whatever_a_grant_holds(
    house: House, caller: httpx.AsyncClient, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(region=ODD, bucket=ODD, cognito_endpoint=ODD, s3_endpoint=f"https://s3/{ODD}")
    monkeypatch.setattr(house.services.grants, "_place", place)
    short, long = await both(caller, json={"mode": mode})
    assert short.json()["bucket"] == ODD
    assert seen(short) == seen(long)


@pytest.mark.parametrize(
    "reply",
    [
        cognito_api.refusal("TooManyRequestsException"),
        cognito_api.refusal("NotAuthorizedException"),
        Reply(500),
        cognito_api.answer(b"<html>"),
    ],
)
@pytest.mark.parametrize("mode", ["auto", "cognito"])
async def test_a_cognito_that_is_not_well(
    house: House, caller: httpx.AsyncClient, taken: list[bool], reply: Reply, mode: str
) -> None:
    answers = []
    for url in (GRANTS, f"{GRANTS}?long=way"):
        await forget(house.services.grants)
        caller.headers["Authorization"] = f"Bearer {token(user_id='usr_new')}"
        house.stub.answer = reply
        answers.append(await caller.post(url, json={"mode": mode}, headers=ORIGIN))
    assert seen(answers[0]) == seen(answers[1])
    assert answers[0].json().get("request_id", "") in answers[0].headers["x-request-id"]
    assert len(taken) == 2


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "bearer nonsense"},
        {"Authorization": "Basic dDA6dDA="},
        {"Authorization": f"Bearer {'a' * 5000}"},
        {"Authorization": b"Bearer \xff\xfe"},
    ],
    ids=repr,
)
async def test_who_is_not_known(caller: httpx.AsyncClient, headers: dict[str, Any]) -> None:
    short, long = await both(caller, headers=headers)
    assert short.status_code == 401
    assert seen(short) == seen(long)


@pytest.mark.parametrize(
    "claims", [{"scope": ""}, {"scope": "admin"}, {"later": timedelta(hours=-1)}]
)
async def test_who_may_not(caller: httpx.AsyncClient, claims: dict[str, Any]) -> None:
    short, long = await both(caller, headers={"Authorization": f"Bearer {token(**claims)}"})
    assert short.status_code in (401, 403)
    assert seen(short) == seen(long)


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", JSON, 400),
        (b"\xff", JSON, 400),
        (b"[]", JSON, 422),
        (b'"auto"', JSON, 422),
        (b'{"mode":"none"}', JSON, 422),
        (b'{"mode":null}', JSON, 422),
        (b'{"mode":"auto","x":1}', JSON, 422),
        (b'{"mode":"none","mode":"auto"}', JSON, 200),
        (b' {"mode" : "auto"}\n', JSON, 200),
        (b"null", JSON, 422),
        (b"{}", {"Content-Type": "text/plain"}, 415),
        (b"{}", {"Content-Type": "application/json;charset=utf-8"}, 200),
        (b"{}", {}, 415),
        (b"", {"Content-Type": "text/plain"}, 200),
    ],
    ids=repr,
)
async def test_what_is_unusual_is_judged_the_long_way(
    caller: httpx.AsyncClient,
    taken: list[bool],
    body: bytes,
    headers: dict[str, str],
    status: int,
) -> None:
    short, long = await both(caller, content=body, headers=headers)
    assert short.status_code == status
    assert seen(short) == seen(long)
    assert taken == [status == 200 and body == b"", False]


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE"])
async def test_another_method_is_the_long_ways(caller: httpx.AsyncClient, method: str) -> None:
    assert (await caller.request(method, GRANTS)).status_code == 405


def test_every_door_has_its_route_in_the_document(house: House) -> None:
    wired: list[Any] = [part.kwargs.get("doors") for part in house.app.user_middleware]
    (doors,) = filter(None, wired)
    paths = house.app.openapi()["paths"]
    assert {GRANTS, *(door.path for door in webhooks.doors())} <= {door.path for door in doors}
    assert [door.path for door in doors if door.method.lower() not in paths[door.path]] == []
