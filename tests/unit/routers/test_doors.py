"""Doors take what is theirs, and no more; their answers are those of the long way."""

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

import errors
from routers import problems
from routers.doors import Answer, Doors, usual_call
from routers.middleware.body_limit import WHOLE_BODY
from routers.middleware.request_id import RequestId
from tests.fakes.asgi import Call, ok

HOUSE = "/v1/house"
ROOM = "/v1/house/{room}/window"
EMPTY = Answer(b"{}")
ERROR = errors.CognitoThrottledError("slower", retry_after=3)


class Given:
    """Answers what it is told to."""

    def __init__(self, path: str, answer: Answer | Exception | None = EMPTY) -> None:
        self.path = path
        self.method = "POST"
        self.seen: list[Scope] = []
        self._answer = answer

    async def answer(self, scope: Scope, receive: Receive) -> Answer | None:
        self.seen.append(dict(scope))
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


async def long_way(scope: Scope, receive: Receive, send: Send) -> None:
    assert "route" not in scope
    await ok(scope, receive, send)
    scope["long"] = True


async def test_its_own_path_is_answered_at_once() -> None:
    door = Given(HOUSE, Answer(b'{"a":1}'))
    call = await Call(HOUSE).to(Doors(long_way, doors=[door]))
    assert (call.status, call.sent[1]["body"]) == (200, b'{"a":1}')
    assert call.headers == {
        "content-length": "7",
        "content-type": "application/json",
        "cache-control": "no-store",
    }
    assert call.scope["route"] is door
    assert "long" not in call.scope


@pytest.mark.parametrize(
    ("path", "method"),
    [
        (HOUSE + "/", "POST"),
        ("/v1", "POST"),
        (HOUSE, "GET"),
        (HOUSE, "HEAD"),
        ("/v1/house//window", "POST"),
        ("/v1/house/a/b/window", "POST"),
        ("/v1/house/a/window/", "POST"),
        ("/x/v1/house/a/window", "POST"),
        ("/v1/house/a/window", "PUT"),
    ],
)
async def test_what_is_not_its_own_goes_the_long_way(path: str, method: str) -> None:
    doors = [Given(HOUSE), Given(ROOM)]
    call = await Call(path, method=method).to(Doors(long_way, doors=doors))
    assert call.scope["long"]
    assert [door.seen for door in doors] == [[], []]


@pytest.mark.parametrize("room", ["red", "a b", "é", "{room}", "a.b"])
async def test_a_door_knows_the_parameters_of_its_path(room: str) -> None:
    door = Given(ROOM)
    call = await Call(ROOM.replace("{room}", room)).to(Doors(long_way, doors=[Given(HOUSE), door]))
    assert call.status == 200
    assert door.seen[0]["path_params"] == {"room": room}
    assert call.scope["route"].path == ROOM


async def test_what_it_does_not_answer_goes_the_long_way() -> None:
    call = await Call(HOUSE).to(Doors(long_way, doors=[Given(HOUSE, None)]))
    assert call.scope["long"]


async def test_what_is_no_request_passes() -> None:
    call = Call(kind="lifespan")
    del call.scope["method"], call.scope["path"]
    await call.to(Doors(long_way, doors=[Given(HOUSE)]))
    assert call.scope["long"]


@pytest.mark.parametrize(
    "error",
    [
        ERROR,
        errors.TokenExpiredError(),
        errors.UploadIncompleteError(missing=[1]),
        errors.MissingScopeError(),
    ],
)
async def test_an_error_is_the_same_problem_either_way(error: errors.UploadgateError) -> None:
    app = FastAPI()

    @app.post(HOUSE)
    async def fails() -> None:
        raise error

    problems.install(app)
    headers = {"X-Request-ID": "abc"}
    answers = []
    for doors in ([], [Given(HOUSE, error)]):
        transport = httpx.ASGITransport(RequestId(Doors(app, doors=doors)))
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
            answers.append(await client.post(HOUSE, headers=headers))
    long, short = answers
    assert (short.status_code, short.content) == (long.status_code, long.content)
    assert short.headers.raw == long.headers.raw
    assert short.json()["request_id"] == "abc"


JSON = {"Content-Type": "application/json"}
TOKEN = {"Authorization": "Bearer t0k3n"}


def call_with(
    headers: dict[str, str] | None = None,
    *more: tuple[bytes, bytes],
    body: bytes | None = b"",
    query: bytes = b"",
) -> Scope:
    scope = Call(HOUSE, headers=headers).scope
    scope["headers"] += more
    scope["query_string"] = query
    if body is not None:
        scope[WHOLE_BODY] = body
    return scope


@pytest.mark.parametrize("body", [b"", b"{}"])
@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8"])
def test_a_usual_call_has_a_token_and_json(body: bytes, kind: str) -> None:
    headers = {**TOKEN, "Content-Type": kind, "Cookie": "a"}
    assert usual_call(call_with(headers, body=body)) == ("t0k3n", body)


def test_without_a_body_no_type_is_needed() -> None:
    assert usual_call(call_with(TOKEN)) == ("t0k3n", b"")


@pytest.mark.parametrize(
    "scope",
    [
        call_with(),
        call_with({"Authorization": "t0k3n"}),
        call_with({"Authorization": "Bearer"}),
        call_with({"Authorization": "Bearer "}),
        call_with({"Authorization": "Bearer \t "}),
        call_with({"Authorization": "Basic dDA="}),
        call_with({"Authorization": "bearer t0k3n"}),
        call_with(TOKEN, (b"authorization", b"Bearer t0k3n")),
        call_with({**TOKEN, **JSON}, (b"content-type", b"application/json"), body=b"{}"),
        call_with(TOKEN, body=b"{}"),
        call_with({**TOKEN, "Content-Type": "text/plain"}, body=b"{}"),
        call_with({**TOKEN, "Content-Type": "application/json; charset=utf-16"}, body=b"{}"),
        call_with({**TOKEN, "Transfer-Encoding": "chunked"}),
        call_with(TOKEN, query=b"a=b"),
        call_with(TOKEN, body=None),
    ],
    ids=repr,
)
def test_any_other_call_is_not_usual(scope: Scope) -> None:
    assert usual_call(scope) is None
