"""Thousands of requests at once are begun by and by; health checks are answered in between."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.types import Receive, Scope, Send

from cli.http_protocol import BoundedHttpProtocol
from cli.turnstile import _AT_ONCE, Turnstile
from tests.fakes.asgi import ok
from tests.fakes.eventually import eventually
from tests.unit.cli.test_http_protocol import House, Wire

MANY = 5 * _AT_ONCE


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: t\r\n\r\n".encode()


class Order:
    """The paths in the order in which they came to the application."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen.append(scope["path"])
        await ok(scope, receive, send)


@pytest.fixture
def order() -> Order:
    return Order()


@pytest.fixture
async def house(order: Order) -> AsyncIterator[House]:
    async with House(BoundedHttpProtocol, app=order) as house:
        yield house


async def opened(house: House, count: int = MANY) -> list[Wire]:
    """Each has had an answer, so the server knows them all."""
    wires = [await house.wire() for _ in range(count)]
    for wire in wires:
        await wire.send(get("/before"))
        assert (await wire.answer())[0] == 200
    return wires


async def test_all_are_answered_in_their_order_and_health_checks_before_most(
    house: House, order: Order
) -> None:
    *wires, checker = await opened(house, MANY + 1)
    order.seen.clear()
    # Nobody else has a turn before all of it has been sent.
    for number, wire in enumerate(wires):
        wire._writer.write(get(f"/{number}"))
    checker._writer.write(get("/livez"))
    assert (await checker.answer())[0] == 200
    for wire in wires:
        assert (await wire.answer())[0] == 200
    assert len(order.seen) == MANY + 1
    assert order.seen.index("/livez") < MANY / 2


async def test_one_connection_may_ask_again_and_again(house: House, order: Order) -> None:
    (wire,) = await opened(house, 1)
    for _ in range(3 * _AT_ONCE):
        await wire.send(get("/again"))
        assert (await wire.answer())[0] == 200


async def test_who_leaves_while_held_harms_nobody(house: House, order: Order) -> None:
    wires = await opened(house)
    order.seen.clear()
    for number, wire in enumerate(wires):
        wire._writer.write(get(f"/{number}"))
    for wire in wires[_AT_ONCE:]:
        wire._writer.transport.abort()
    for wire in wires[:_AT_ONCE]:
        assert (await wire.answer())[0] == 200
    await eventually(lambda: len(house.server.server_state.connections) == _AT_ONCE)


async def test_a_stop_answers_those_that_are_held(order: Order) -> None:
    async with House(BoundedHttpProtocol, app=order) as house:
        wires = await opened(house)
        for number, wire in enumerate(wires):
            wire._writer.write(get(f"/{number}"))
        house.server.should_exit = True
        for wire in wires:
            assert (await wire.answer())[0] == 200


async def test_a_turn_lets_in_so_many_and_the_next_one_the_next() -> None:
    turnstile = Turnstile(asyncio.get_running_loop())
    let_in: list[bytes] = []
    for number in range(MANY):
        data = b"%d" % number
        if turnstile.admits(data):
            let_in.append(data)
        else:
            turnstile.hold(let_in.append, data)
    assert len(let_in) == _AT_ONCE
    turns = 0
    while len(let_in) < MANY:
        before = len(let_in)
        await asyncio.sleep(0)
        turns += 1
        assert len(let_in) - before <= _AT_ONCE
        assert not turnstile.admits(b"late")  # nobody overtakes
        assert turnstile.admits(b"GET /livez HTTP/1.1")
    assert let_in == [b"%d" % number for number in range(MANY)]
    assert turns >= MANY / _AT_ONCE - 1
