import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from errors import (
    BodyTooLargeError,
    RequestTimeoutError,
    UploadgateError,
    WebhookForgedError,
    WebhookUnverifiableError,
)
from routers.middleware.body_limit import BodyLimit
from tests.fakes.asgi import HANG, Call, body, ok
from tests.fakes.house import WEBHOOK_TOKEN, opened_house
from tests.fakes.problems import assert_problem


def limiting(
    app: ASGIApp,
    *,
    seconds: float = 60,
    idle_seconds: float = 60,
    least_rate: int = 0,
    **larger: int,
) -> BodyLimit:
    """Ten bytes, and more where a path's first name says so."""
    return BodyLimit(
        app,
        largest=10,
        larger={f"/{name}": most for name, most in larger.items()},
        seconds=seconds,
        idle_seconds=idle_seconds,
        least_rate=least_rate,
    )


limited = limiting(ok, larger=20, seconds=0.05, idle_seconds=0.05)
RELAY = "/v1/uploads/upl_1/content"


async def refused(call: Call, kind: type[UploadgateError], path: str) -> None:
    """Behind the gate by an exception, which the handlers answer; before it by an answer."""
    if path == "/larger":
        with pytest.raises(kind):
            await call.to(limited)
        return
    assert (await call.to(limited)).headers["content-type"] == "application/problem+json"
    assert f'"{kind.code}"'.encode() in call.sent[1]["body"]


PATHS = pytest.mark.parametrize(("path", "limit"), [("/", 10), ("/larger", 20)])


@PATHS
async def test_a_body_up_to_the_limit_passes(path: str, limit: int) -> None:
    half = b"x" * (limit // 2)
    for messages in ([body(half * 2)], [body(half, more=True), body(half)], [body()]):
        assert (await Call(path, messages).to(limited)).status == 200


@PATHS
async def test_a_body_beyond_it_does_not(path: str, limit: int) -> None:
    most = b"x" * limit
    for messages in ([body(most + b"x")], [body(most, more=True), body(b"x", more=True), HANG]):
        await refused(Call(path, messages), BodyTooLargeError, path)


@PATHS
async def test_a_body_declared_too_large_is_not_even_read(path: str, limit: int) -> None:
    headers = {"Content-Length": str(limit + 1)}
    await refused(Call(path, [HANG], headers), BodyTooLargeError, path)


@pytest.mark.parametrize("declared", ["10", "", "-1", "ten", "1e9", "9" * 5000])
async def test_what_is_declared_otherwise_is_counted(declared: str) -> None:
    headers = {"Content-Length": declared}
    assert (await Call("/", [body(b"x" * 10)], headers).to(limited)).status == 200


@PATHS
async def test_a_body_that_dawdles_is_given_up(path: str, limit: int) -> None:
    for messages in ([HANG], [body(b"x", more=True), HANG]):
        await refused(Call(path, messages), RequestTimeoutError, path)


async def test_pieces_that_keep_coming_do_not_put_off_the_deadline() -> None:
    drip = [body(b"", more=True)] * 100
    call = Call("/", drip)
    receive = call.receive

    async def slowly() -> Message:
        await asyncio.sleep(0.01)
        return await receive()

    call.receive = slowly  # type: ignore[method-assign]
    await refused(call, RequestTimeoutError, "/")


async def test_the_route_sees_the_body_whole_and_then_the_client() -> None:
    seen: list[Message] = []

    async def route(_scope: Scope, receive: Receive, _send: Send) -> None:
        seen.extend([await receive(), await receive()])

    gone: Message = {"type": "http.disconnect"}
    call = Call("/", [body(b"a", more=True), body(b"b"), gone])
    await call.to(limiting(route))
    assert seen == [{"type": "http.request", "body": b"ab", "more_body": False}, gone]


@pytest.mark.parametrize("path", ["/a/b/larger", "/a/larger/", "/other"])
async def test_a_larger_limit_is_for_paths_of_its_pattern_alone(path: str) -> None:
    some = limiting(ok, **{"[a-z]/larger": 20})
    assert (await Call("/a/larger", [body(b"x" * 20)]).to(some)).status == 200
    assert (await Call(path, [body(b"x" * 11)]).to(some)).status == 413


async def test_a_relays_body_has_no_limit_and_reaches_the_route_as_it_comes() -> None:
    pieces = [body(b"x" * 1000, more=True)] * 9 + [body(b"x")]
    seen: list[Message] = []

    async def route(_scope: Scope, receive: Receive, _send: Send) -> None:
        seen.extend([await receive() for _ in pieces])

    flowing = limiting(route, seconds=0.05, idle_seconds=5)
    headers = {"Content-Length": "999999999"}
    await Call(RELAY, pieces, headers, method="PUT").to(flowing)
    assert seen == pieces


async def test_a_relay_may_take_its_time_but_not_stand_still() -> None:
    call = Call(RELAY, [body(b"x", more=True)] * 20 + [HANG], method="PUT")
    receive, seen = call.receive, 0

    async def slowly() -> Message:
        nonlocal seen
        message = await receive()
        await asyncio.sleep(0.06)
        seen += 1
        return message

    call.receive = slowly  # type: ignore[method-assign]
    with pytest.raises(RequestTimeoutError):
        # In all longer than `seconds` and `idle_seconds`.
        await call.to(limiting(ok, seconds=0.05, idle_seconds=1))
    assert seen == 20


async def test_after_its_end_a_relay_may_take_as_long_as_the_store_does() -> None:
    answered = asyncio.Event()

    async def route(_scope: Scope, receive: Receive, _send: Send) -> None:
        await receive()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await receive()  # for the client to leave
        answered.set()

    flowing = limiting(route, seconds=0.01, idle_seconds=0.01)
    await Call(RELAY, [body(b"x"), HANG], method="PUT").to(flowing)
    assert answered.is_set()


async def test_a_client_that_leaves_while_it_sends_reaches_no_route() -> None:
    call = await Call("/", [body(b"a", more=True), {"type": "http.disconnect"}]).to(limited)
    assert call.sent == []


async def test_a_dawdling_body_is_answered_and_its_place_given_back(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async def dawdles() -> AsyncIterator[bytes]:
        yield b"{"
        async for _ in never():
            yield b""

    http = {"body_seconds": 0.05, "max_concurrent": 1, "max_waiting": 0}
    async with (
        opened_house(tmp_path_factory.mktemp("slow"), http=http) as house,
        house.client() as client,
    ):
        for path, kind in (
            ("/v1/uploads", RequestTimeoutError),
            ("/v1/auth/login", RequestTimeoutError),
            ("/v1/webhooks/seaweedfs", WebhookUnverifiableError),
        ):
            headers = {
                "content-type": "application/json",
                "authorization": f"Bearer {WEBHOOK_TOKEN}",
            }
            answer = await client.post(path, content=dawdles(), headers=headers)
            assert_problem(answer, kind)


async def test_without_the_filers_token_its_body_is_not_even_read(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async with (
        opened_house(tmp_path_factory.mktemp("filer"), http={"body_seconds": 60}) as house,
        house.client() as client,
    ):
        answer = await client.post("/v1/webhooks/seaweedfs", content=_endless())
        assert_problem(answer, WebhookForgedError)


async def _endless() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 65_536
        await asyncio.sleep(0)


async def never() -> AsyncIterator[None]:
    call = Call("/", [HANG])
    await call.receive()
    yield


def timed(call: Call, seconds: float) -> Call:
    """Each message comes this much later."""
    receive = call.receive

    async def later() -> Message:
        await asyncio.sleep(seconds)
        return await receive()

    call.receive = later  # type: ignore[method-assign]
    return call


@pytest.mark.parametrize(("piece", "refused"), [(b"x", True), (b"x" * 1000, False)])
async def test_a_relay_that_trickles_is_given_up(piece: bytes, refused: bool) -> None:
    """It never stands still, and would hold its place for days."""
    pieces = [body(piece, more=True)] * 30 + [body(piece)]
    call = timed(Call(RELAY, pieces, method="PUT"), 0.05)
    flowing = limiting(ok, idle_seconds=1, least_rate=200)
    if refused:
        with pytest.raises(RequestTimeoutError, match="too slowly"):
            await call.to(flowing)
    else:
        assert (await call.to(flowing)).status == 200


async def test_a_slow_store_is_not_laid_to_the_clients_charge() -> None:
    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        async def slowly() -> Message:
            await asyncio.sleep(0.02)
            return await receive()

        await ok(scope, slowly, send)

    pieces = [body(b"x", more=True)] * 10 + [body(b"x")]
    flowing = limiting(route, idle_seconds=0.05, least_rate=1000)
    assert (await Call(RELAY, pieces, method="PUT").to(flowing)).status == 200
