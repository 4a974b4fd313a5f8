import pytest
import structlog
from starlette.types import Receive, Scope, Send

from routers.middleware.request_id import SCOPE_KEY, RequestId
from tests.fakes.asgi import Call, ok


@pytest.mark.parametrize("given", ["abc", "A-b_c.1", "x" * 64])
async def test_a_plain_id_is_taken_over(given: str) -> None:
    call = await Call(headers={"X-Request-ID": given}).to(RequestId(ok))
    assert call.headers["x-request-id"] == call.scope[SCOPE_KEY] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a\nb", "é", "<script>", "a,b", "a;b"])
async def test_any_other_is_replaced(given: str) -> None:
    call = await Call(headers={"X-Request-ID": given}).to(RequestId(ok))
    made = call.headers["x-request-id"]
    assert made == call.scope[SCOPE_KEY] != given
    assert len(made) == 32


async def test_two_requests_have_two_ids() -> None:
    calls = [await Call().to(RequestId(ok)) for _ in range(2)]
    assert calls[0].headers["x-request-id"] != calls[1].headers["x-request-id"]


async def test_every_line_of_a_request_carries_its_id_and_none_afterwards() -> None:
    seen: list[dict[str, object]] = []

    async def looks(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(structlog.contextvars.get_contextvars())
        await ok(scope, receive, send)

    await Call(headers={"X-Request-ID": "abc"}).to(RequestId(looks))
    assert seen == [{"request_id": "abc"}]
    assert structlog.contextvars.get_contextvars() == {}


async def test_what_is_no_request_passes() -> None:
    seen: list[str] = []

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    await Call(kind="lifespan").to(RequestId(lifespan))
    assert seen == ["lifespan"]
