import asyncio
import functools
import itertools

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from routers.middleware.admission import Admission, is_relay
from tests.fakes.asgi import LEAVE, Call, body, ok
from tests.fakes.eventually import eventually

LONG = "/long/[^/]+"
HOOK, OTHER_HOOK = "/v1/webhooks/y", "/v1/webhooks/z"


class Slow:
    """Answers once it is let go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.inside = self.most = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await self.go.wait()
            await ok(scope, receive, send)
        finally:
            self.inside -= 1


def gate(app: object, *, concurrent: int = 1, waiting: int = 10, seconds: float = 5) -> Admission:
    return Admission(
        app,  # type: ignore[arg-type]
        max_concurrent=concurrent,
        max_concurrent_grants=1,
        webhooks=[HOOK, OTHER_HOOK],
        max_concurrent_webhooks=1,
        max_concurrent_relays=1,
        long_bodies=[LONG],
        max_waiting=waiting,
        wait_seconds=seconds,
    )


async def test_the_next_wait_their_turn() -> None:
    slow = Slow()
    gated = gate(slow, concurrent=2)
    calls = [asyncio.create_task(Call().to(gated)) for _ in range(6)]
    await eventually(lambda: slow.inside == 2)
    slow.go.set()
    assert [call.status for call in await asyncio.gather(*calls)] == [200] * 6
    assert slow.most == 2


async def test_who_waits_too_long_is_told_to_come_again() -> None:
    slow = Slow()
    gated = gate(slow, seconds=0.02)
    first = asyncio.create_task(Call().to(gated))
    await eventually(lambda: slow.inside == 1)
    call = await Call().to(gated)
    assert (call.status, call.headers["retry-after"]) == (503, "2")
    assert call.headers["content-type"] == "application/problem+json"
    assert call.headers["ratelimit-policy"] == '"admission";q=11;w=1'
    assert call.headers["ratelimit"] == '"admission";r=0;t=2'
    assert b'"overloaded"' in call.sent[1]["body"]
    slow.go.set()
    assert (await first).status == 200
    assert (await Call().to(gated)).status == 200


async def test_where_too_many_wait_the_rest_is_told_at_once() -> None:
    slow = Slow()
    gated = gate(slow, waiting=1, seconds=60)
    calls = [asyncio.create_task(Call().to(gated)) for _ in range(2)]
    await eventually(lambda: slow.inside == 1)
    async with asyncio.timeout(50):
        assert (await Call().to(gated)).status == 503
    slow.go.set()
    assert [call.status for call in await asyncio.gather(*calls)] == [200, 200]


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_health_checks_never_wait(path: str) -> None:
    slow = Slow()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (ok if scope["path"] == path else slow)(scope, receive, send)

    gated = gate(app, waiting=0)
    first = asyncio.create_task(Call().to(gated))
    await eventually(lambda: slow.inside == 1)
    assert (await Call(path).to(gated)).status == 200
    assert (await Call("/other").to(gated)).status == 503
    slow.go.set()
    await first


async def test_a_failure_gives_its_place_back() -> None:
    async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError

    gated = gate(breaks, waiting=0)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            await Call().to(gated)


async def test_a_client_that_leaves_gives_its_place_back() -> None:
    async def reads(scope: Scope, receive: Receive, send: Send) -> None:
        await Request(scope, receive).body()

    gated = gate(reads, waiting=0)
    for _ in range(3):
        with pytest.raises(ClientDisconnect):
            await Call("/", [body(b"{", more=True), LEAVE]).to(gated)
    assert (await Call().to(gated)).status == 0


async def test_who_is_cut_off_while_handled_or_waiting_gives_both_places_back() -> None:
    slow = Slow()
    gated = gate(slow, waiting=1)
    handled = asyncio.create_task(Call().to(gated))
    await eventually(lambda: slow.inside == 1)
    waiting = asyncio.create_task(Call().to(gated))
    await asyncio.sleep(0)
    for task in (waiting, handled):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    slow.go.set()
    both = await asyncio.gather(Call().to(gated), Call().to(gated))
    assert [call.status for call in both] == [200, 200]


RELAY = "/v1/uploads/upl_1/content"


GRANT = "/v1/credentials"
KINDS = [RELAY, "/v1/x", HOOK, GRANT]


@pytest.mark.parametrize("paths", list(itertools.permutations(KINDS)))
async def test_grants_webhooks_relays_and_the_rest_do_not_wait_for_one_another(
    paths: tuple[str, ...],
) -> None:
    slow = Slow()
    gated = gate(slow)
    calls = []
    for number, path in enumerate(paths, 1):
        calls.append(asyncio.create_task(Call(path, method="PUT").to(gated)))
        await eventually(functools.partial(lambda many: slow.inside == many, number))
    slow.go.set()
    assert [(await call).status for call in calls] == [200] * 4


async def test_no_source_of_webhooks_waits_for_another() -> None:
    slow = Slow()
    gated = gate(slow, waiting=0)
    calls = [asyncio.create_task(Call(path).to(gated)) for path in (HOOK, OTHER_HOOK)]
    await eventually(lambda: slow.inside == 2)
    assert [(await Call(path).to(gated)).status for path in (HOOK, OTHER_HOOK)] == [503, 503]
    unknown = asyncio.create_task(Call("/v1/webhooks/unknown").to(gated))  # as any other path
    await eventually(lambda: slow.inside == 3)
    slow.go.set()
    assert [call.status for call in await asyncio.gather(*calls, unknown)] == [200] * 3


async def test_grants_and_exchanges_wait_for_one_another() -> None:
    slow = Slow()
    gated = gate(slow, waiting=0)
    first = asyncio.create_task(Call(GRANT).to(gated))
    await eventually(lambda: slow.inside == 1)
    assert (await Call(f"{GRANT}/exchange").to(gated)).status == 503
    slow.go.set()
    assert (await first).status == 200
    assert (await Call(f"{GRANT}/exchange").to(gated)).status == 200


async def test_of_thousands_at_once_all_are_answered_and_others_are_heard_meanwhile() -> None:
    """A health check that comes with them is answered long before the last of them."""
    answered: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await ok(scope, receive, send)
        answered.append(scope["path"])

    gated = gate(app, concurrent=5000)
    calls = [asyncio.create_task(Call().to(gated)) for _ in range(3000)]
    health = asyncio.create_task(Call("/livez").to(gated))
    await asyncio.gather(health, *calls)
    assert {call.result().status for call in calls} == {200}
    assert answered.index("/livez") <= 64


async def test_a_relay_too_many_is_told_at_once_to_come_again() -> None:
    slow = Slow()
    gated = gate(slow, waiting=100, seconds=60)
    first = asyncio.create_task(Call(RELAY, method="PUT").to(gated))
    await eventually(lambda: slow.inside == 1)
    async with asyncio.timeout(50):
        refused = await Call(RELAY, method="PUT").to(gated)
    assert (refused.status, refused.headers["retry-after"]) == (503, "2")
    slow.go.set()
    assert (await first).status == 200
    assert (await Call(RELAY, method="PUT").to(gated)).status == 200


@pytest.mark.parametrize(
    ("method", "path", "relayed"),
    [
        ("PUT", "/v1/uploads/upl_1/content", True),
        ("PUT", "/v1/uploads/%2F/content", True),
        ("GET", "/v1/uploads/upl_1/content", False),
        ("POST", "/v1/uploads/upl_1/content", False),
        ("PUT", "/v1/uploads//content", False),
        ("PUT", "/v1/uploads/a/b/content", False),
        ("PUT", "/v1/uploads/upl_1/content/", False),
        ("PUT", "/x/v1/uploads/upl_1/content", False),
        ("PUT", "/v1/uploads/upl_1/contents", False),
    ],
)
def test_a_relay_is_known_by_its_method_and_its_whole_path(
    method: str, path: str, relayed: bool
) -> None:
    assert is_relay(Call(path, method=method).scope) is relayed


async def test_long_bodies_and_the_rest_do_not_wait_for_one_another() -> None:
    """They are read behind their gate: one who only holds a socket open holds no more than it."""
    slow = Slow()
    gated = gate(slow, waiting=0)
    running = [asyncio.create_task(Call("/long/x").to(gated)) for _ in range(20)]
    await eventually(lambda: slow.inside == 20)
    assert (await Call("/long/x").to(gated)).status == 503
    for path in ("/long", "/long/x/y", "/x/long/x"):
        other = asyncio.create_task(Call(path).to(gated))
        await eventually(lambda: slow.inside == 21)
        assert (await Call(path).to(gated)).status == 503
        other.cancel()
        await asyncio.wait([other])
    slow.go.set()
    assert [(await call).status for call in running] == [200] * 20
