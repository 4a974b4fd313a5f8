"""The auth calls as a client sees them: statuses, headers and bodies of every answer."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

import errors
from auth.accounts import Accounts
from auth.callers import ADMIN, UPLOADS
from auth.passwords import Passwords
from routers import auth as auth_router
from routers import problems
from routers.caller import AdminCaller
from tests.unit.auth import fakes

PASSWORD = "correct horse"
LOGIN = {"username": "ada", "password": PASSWORD}


@pytest.fixture
def clock() -> fakes.Clock:
    return fakes.Clock()


@pytest.fixture
def users() -> fakes.MemoryUsers:
    return fakes.MemoryUsers()


@pytest.fixture
def accounts(users: fakes.MemoryUsers, clock: fakes.Clock) -> Iterator[Accounts]:
    opened = fakes.accounts(users, fakes.MemoryRefreshTokens(), clock)
    yield opened
    opened.close()


@pytest.fixture
def app() -> FastAPI:
    made = FastAPI()
    problems.install(made)
    made.include_router(auth_router.router)

    @made.get("/admin")
    async def admin(caller: AdminCaller) -> str:
        return caller.user_id

    return made


Client = Callable[[str], httpx.AsyncClient]


@pytest.fixture
async def client_at(app: FastAPI, accounts: Accounts) -> AsyncIterator[Client]:
    """Clients by their address."""
    opened: list[httpx.AsyncClient] = []

    async def with_state(scope: Scope, receive: Receive, send: Send) -> None:
        await app(
            {**scope, "state": {"services": SimpleNamespace(accounts=accounts)}}, receive, send
        )

    def at(address: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(with_state, client=(address, 1234))
        opened.append(httpx.AsyncClient(transport=transport, base_url="http://test"))
        return opened[-1]

    yield at
    for client in opened:
        await client.aclose()


@pytest.fixture
async def client(client_at: Client, accounts: Accounts) -> httpx.AsyncClient:
    """With a user `ada` to log in as."""
    await accounts.add_user("ada", PASSWORD)
    return client_at("192.0.2.1")


def assert_problem(answer: httpx.Response, kind: type[errors.UploadgateError]) -> dict[str, Any]:
    body: dict[str, Any] = answer.json()
    assert answer.status_code == problems.STATUS[kind], body
    assert answer.headers["content-type"] == problems.MEDIA_TYPE
    assert answer.headers["cache-control"] == "no-store"
    assert (body["code"], body["status"]) == (kind.code, answer.status_code)
    assert PASSWORD not in answer.text
    return body


async def log_in(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.post("/v1/auth/login", json=LOGIN)
    assert answer.status_code == 200
    body: dict[str, Any] = answer.json()
    return body


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.post("/v1/auth/login", json=LOGIN),
        lambda client: client.post("/v1/auth/token", data={**LOGIN, "grant_type": "password"}),
    ],
    ids=["json", "form"],
)
async def test_a_login(
    client: httpx.AsyncClient, call: Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]
) -> None:
    answer = await call(client)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert body.pop("access_token").count(".") == 2
    assert body.pop("refresh_token").startswith("rt_")
    assert body == {"token_type": "Bearer", "expires_in": 900, "refresh_expires_in": 86_400}


async def test_a_session_from_login_to_logout(
    client: httpx.AsyncClient, clock: fakes.Clock, users: fakes.MemoryUsers
) -> None:
    first = await log_in(client)
    clock.advance(60)
    answer = await client.post("/v1/auth/refresh", json={"refresh_token": first["refresh_token"]})
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    second = answer.json()
    assert set(second) == set(first)
    assert second["refresh_expires_in"] == 86_340

    answer = await client.get("/v1/auth/me", headers=bearer(second["access_token"]))
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    me = answer.json()
    assert datetime.fromisoformat(me.pop("expires_at")).timestamp() == clock.seconds() + 900
    (user_id,) = users.rows
    assert me == {"user_id": user_id, "username": "ada", "scopes": ["uploads"]}

    for _ in range(2):
        answer = await client.post(
            "/v1/auth/logout", json={"refresh_token": second["refresh_token"]}
        )
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["cache-control"] == "no-store"
    for body in (first, second):
        answer = await client.post(
            "/v1/auth/refresh", json={"refresh_token": body["refresh_token"]}
        )
        assert_problem(answer, errors.InvalidRefreshTokenError)
        assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("name", ["ada", "nobody"])
@pytest.mark.parametrize("path", ["login", "token"])
async def test_a_failed_login_says_nothing_of_the_user(
    client: httpx.AsyncClient, path: str, name: str
) -> None:
    wrong = {"username": name, "password": "wrong horse"}
    kind = "json" if path == "login" else "data"
    answer = await client.request("POST", f"/v1/auth/{path}", **{kind: wrong})  # type: ignore[arg-type]
    body = assert_problem(answer, errors.InvalidCredentialsError)
    assert body["detail"] == errors.InvalidCredentialsError.title


async def test_too_many_failures_make_wait_at_that_address_only(
    client: httpx.AsyncClient, client_at: Client
) -> None:
    stranger = client_at("198.51.100.7")
    for _ in range(3):
        await stranger.post("/v1/auth/login", json={**LOGIN, "password": "wrong horse"})
    answer = await stranger.post("/v1/auth/login", json=LOGIN)
    assert_problem(answer, errors.TooManyAttemptsError)
    assert 299 <= int(answer.headers["retry-after"]) <= 300
    await log_in(client)


@pytest.mark.parametrize("kind", [errors.OverloadedError, errors.UnavailableError])
async def test_what_waiting_mends_says_so(
    client: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[errors.UploadgateError],
) -> None:
    async def fails(*_: Any) -> bool:
        raise kind

    monkeypatch.setattr(Passwords, "verify", fails)
    answer = await client.post("/v1/auth/login", json=LOGIN)
    assert assert_problem(answer, kind)["retry_mode"] == "wait"
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("login", {"username": "ada"}, "/body/password"),
        ("login", {**LOGIN, "password": ""}, "/body/password"),
        ("login", {**LOGIN, "password": "x" * 1025}, "/body/password"),
        ("login", {**LOGIN, "username": "x" * 256}, "/body/username"),
        ("login", {**LOGIN, "otp": "1"}, "/body/otp"),
        ("refresh", {}, "/body/refresh_token"),
        ("refresh", {"refresh_token": "x" * 256}, "/body/refresh_token"),
        ("logout", {"refresh_token": 7}, "/body/refresh_token"),
    ],
)
async def test_requests_of_another_shape(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], pointer: str
) -> None:
    answer = await client.post(f"/v1/auth/{path}", json=body)
    found = assert_problem(answer, errors.InvalidRequestError)
    assert [entry["pointer"] for entry in found["errors"]] == [pointer]


async def test_a_form_of_another_shape(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/auth/token", data={**LOGIN, "grant_type": "magic"})
    assert_problem(answer, errors.InvalidRequestError)
    answer = await client.post("/v1/auth/token", data={**LOGIN, "password": "x" * 2000})
    assert_problem(answer, errors.InvalidCredentialsError)


async def test_a_body_that_is_no_json(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/v1/auth/login", content=b"{", headers={"content-type": "application/json"}
    )
    assert_problem(answer, errors.MalformedJsonError)


async def test_json_that_no_text_can_hold(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/v1/auth/login",
        content=rb'{"username": "\ud800", "password": "\ud800\ud800"}',
        headers={"content-type": "application/json"},
    )
    assert answer.status_code in (401, 422)


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic YTpi"}, bearer("")])
async def test_without_a_token(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    answer = await client.get("/v1/auth/me", headers=headers)
    assert assert_problem(answer, errors.NotAuthenticatedError)["retry_mode"] == "refresh"
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "x" * 5000])
async def test_a_token_of_nobodys(client: httpx.AsyncClient, token: str) -> None:
    answer = await client.get("/v1/auth/me", headers=bearer(token))
    assert_problem(answer, errors.InvalidTokenError)
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert token not in answer.text


async def test_a_refresh_token_is_no_access_token(client: httpx.AsyncClient) -> None:
    body = await log_in(client)
    answer = await client.get("/v1/auth/me", headers=bearer(body["refresh_token"]))
    assert_problem(answer, errors.InvalidTokenError)


async def test_an_expired_token(client: httpx.AsyncClient, clock: fakes.Clock) -> None:
    body = await log_in(client)
    clock.advance(900 + 30)
    answer = await client.get("/v1/auth/me", headers=bearer(body["access_token"]))
    assert assert_problem(answer, errors.TokenExpiredError)["retry_mode"] == "refresh"
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_the_admin_scope(client: httpx.AsyncClient, accounts: Accounts) -> None:
    root = await accounts.add_user("root", PASSWORD, {UPLOADS, ADMIN})
    body = await log_in(client)
    answer = await client.get("/admin", headers=bearer(body["access_token"]))
    assert_problem(answer, errors.MissingScopeError)
    assert_problem(await client.get("/admin"), errors.NotAuthenticatedError)
    pair = await accounts.login("root", PASSWORD, "192.0.2.1")
    answer = await client.get("/admin", headers=bearer(pair.access_token))
    assert (answer.status_code, answer.json()) == (200, root.id)


def test_the_schema_names_every_call_and_error(app: FastAPI) -> None:
    paths = app.openapi()["paths"]
    documented = {
        operation["operationId"]: set(operation["responses"])
        for path, methods in paths.items()
        if path.startswith("/v1/auth/")
        for operation in methods.values()
    }
    assert documented == {
        "login": {"200", "400", "401", "408", "413", "415", "422", "429", "503"},
        "login_form": {"200", "400", "401", "408", "413", "415", "422", "429", "503"},
        "refresh": {"200", "400", "401", "408", "413", "415", "422", "503"},
        "logout": {"204", "400", "408", "413", "415", "422", "503"},
        "get_me": {"200", "401", "503"},
    }
    assert paths["/v1/auth/me"]["get"]["security"] == [{"AccessToken": []}]


def test_the_authorize_button_finds_the_form(app: FastAPI) -> None:
    scheme = app.openapi()["components"]["securitySchemes"]["AccessToken"]
    assert scheme["flows"]["password"]["tokenUrl"] == "/v1/auth/token"
