import httpx
import pytest
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Receive, Scope, Send

from routers.middleware.cors import Cors
from tests.fakes.asgi import Call

ORIGIN = "https://app.example"
EXPOSED = {
    "etag",
    "location",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "www-authenticate",
    "x-request-id",
}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
async def test_a_page_of_ours_may_call(caller: httpx.AsyncClient, method: str) -> None:
    answer = await caller.options(
        "/v1/uploads",
        headers={
            "Origin": ORIGIN,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "authorization,content-range,content-type,"
            "idempotency-key",
        },
    )
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert method in answer.headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    "asked",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "https://app.example.evil.example"},
        {"Origin": "http://app.example"},
        {"Origin": "null"},
        {"Origin": ORIGIN, "Access-Control-Request-Method": "TRACE"},
        {"Origin": ORIGIN, "Access-Control-Request-Headers": "x-other"},
    ],
)
async def test_any_other_page_may_not(caller: httpx.AsyncClient, asked: dict[str, str]) -> None:
    headers = {"Access-Control-Request-Method": "GET", **asked}
    answer = await caller.options("/v1/uploads", headers=headers)
    assert answer.status_code == 400
    answer = await caller.get("/v1/uploads", headers={"Origin": asked["Origin"]})
    allowed = answer.headers.get("access-control-allow-origin")
    assert allowed == (ORIGIN if asked["Origin"] == ORIGIN else None)


@pytest.mark.parametrize("path", ["/v1/uploads", "/v1/uploads/upl_0", "/nothing"])
async def test_a_page_can_read_the_headers_it_needs(caller: httpx.AsyncClient, path: str) -> None:
    answer = await caller.get(path, headers={"Origin": ORIGIN})
    exposed = answer.headers["access-control-expose-headers"].lower().split(", ")
    assert set(exposed) == EXPOSED
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "Origin" in answer.headers["vary"]


OTHER = "https://other.example"
OPTIONS = {
    "allow_methods": ["GET", "PUT"],
    "allow_headers": ["Authorization"],
    "expose_headers": ["ETag", "Location"],
    "max_age": 600,
}


@pytest.mark.parametrize("allowed", [[], [ORIGIN], [ORIGIN, OTHER], ["*"]])
@pytest.mark.parametrize("origin", [None, ORIGIN, OTHER, "null", ""])
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
@pytest.mark.parametrize("asks", [{}, {"Access-Control-Request-Method": "PUT"}])
@pytest.mark.parametrize(
    "given",
    [[], [(b"vary", b"Accept")], [(b"access-control-allow-origin", b"x")], [(b"etag", b"1")]],
)
async def test_it_answers_as_starlettes_own(
    allowed: list[str],
    origin: str | None,
    method: str,
    asks: dict[str, str],
    given: list[tuple[bytes, bytes]],
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": list(given)})
        await send({"type": "http.response.body", "body": b"x"})

    headers = asks if origin is None else {**asks, "Origin": origin}
    calls = [Call(headers=headers, method=method) for _ in range(2)]
    await calls[0].to(CORSMiddleware(app, allow_origins=allowed, **OPTIONS))  # type: ignore[arg-type]
    await calls[1].to(Cors(app, allow_origins=allowed, **OPTIONS))  # type: ignore[arg-type]
    assert calls[1].sent == calls[0].sent
