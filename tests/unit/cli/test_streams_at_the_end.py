"""Event streams on a real server: one that stops, and clients that leave or take nothing."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from cli import serve
from cli.serve import DrainingServer
from settings import HttpSettings
from tests.fakes.event_house import TOKEN, EventHouse
from tests.fakes.event_page import PATH
from tests.fakes.eventually import eventually


@asynccontextmanager
async def served(house: EventHouse, drain_seconds: float = 0.05) -> AsyncIterator[DrainingServer]:
    config = serve._config(HttpSettings.model_validate({"port": 0}), house.app)
    server = DrainingServer(
        config, lambda: None, drain_seconds=drain_seconds, end_streams=house.streams.close
    )
    running = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    try:
        yield server
    finally:
        server.should_exit = server.force_exit = True
        await running


@asynccontextmanager
async def listening(server: DrainingServer) -> AsyncIterator[AsyncIterator[str]]:
    async with (
        httpx.AsyncClient(base_url=server.address, headers=TOKEN, timeout=60) as client,
        client.stream("GET", PATH) as answer,
    ):
        assert answer.status_code == 200
        lines = answer.aiter_lines()
        assert await anext(lines) == "event: ready"
        yield lines


@pytest.mark.parametrize("sent", [[signal.SIGTERM], [signal.SIGINT], [signal.SIGTERM] * 2])
async def test_a_server_that_stops_ends_its_streams_and_waits_for_none(
    sent: list[signal.Signals],
) -> None:
    """Were they not ended, it would wait for them until its grace is over."""
    house = EventHouse()
    async with served(house) as server, listening(server) as lines:
        for each in sent:
            server.handle_exit(each, None)
        async with asyncio.timeout(serve.GRACE_SECONDS * 0.75):
            assert 'data: {"reason":"server_going"}' in [line async for line in lines]
            await eventually(lambda: not server.server_state.connections)
    assert len(house.hub) == 0


async def test_a_drain_ends_no_stream_before_it_is_over() -> None:
    house = EventHouse()
    async with served(house, drain_seconds=3600) as server, listening(server) as lines:
        server.handle_exit(signal.SIGTERM, None)
        house.happen()
        async with asyncio.timeout(60):
            assert "event: upload.completed" in [await anext(lines) for _ in range(5)]
        async with listening(server):
            assert len(house.hub) == 2


async def test_a_client_that_leaves_gives_its_place_back() -> None:
    house = EventHouse()
    async with served(house) as server:
        async with listening(server):
            assert len(house.hub) == 1
        await eventually(lambda: len(house.hub) == 0)


async def test_a_client_that_takes_nothing_gives_its_place_back() -> None:
    house = EventHouse(send=0.2)
    house.feed.padding = "x" * 100_000
    async with served(house) as server:
        port = server.servers[0].sockets[0].getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(f"GET {PATH} HTTP/1.1\r\nHost: a\r\n{_header()}\r\n\r\n".encode())
            await eventually(lambda: len(house.hub) == 1)
            for _ in range(500):
                house.happen()
            await eventually(lambda: len(house.hub) == 0)


def _header() -> str:
    return "\r\n".join(f"{name}: {value}" for name, value in TOKEN.items())
