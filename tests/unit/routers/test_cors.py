import httpx
import pytest

ORIGIN = "https://app.example"
EXPOSED = {"etag", "location", "retry-after", "www-authenticate", "x-request-id"}


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
