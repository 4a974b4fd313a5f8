"""A replica that is stopped under load fails no request: behind a load balancer that asks /readyz,
and to clients that keep their connections to it.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest
import pytest_asyncio

from tests.integration import fleet
from tests.integration.fleet import Fleet
from tests.integration.stack import eventually

WORKERS = 24
UPLOAD = {"filename": "a.txt", "size": 5, "transport": "presigned"}
Ask = Callable[[httpx.AsyncClient, dict[str, str]], Awaitable[httpx.Response]]


async def _who_am_i(api: httpx.AsyncClient, user: dict[str, str]) -> httpx.Response:
    return await api.get("/v1/auth/me", headers=user)


async def _grant(api: httpx.AsyncClient, user: dict[str, str]) -> httpx.Response:
    return await api.post("/v1/credentials", headers=user, json={"mode": "presigned"})


async def _upload(api: httpx.AsyncClient, user: dict[str, str]) -> httpx.Response:
    return await api.post("/v1/uploads", headers=user, json=UPLOAD)


async def _slow_upload(api: httpx.AsyncClient, user: dict[str, str]) -> httpx.Response:
    """Its body takes its time: the replica may be told to stop within it."""

    async def body() -> AsyncIterator[bytes]:
        yield b'{"filename": "a.txt", "transport": "presigned", '
        await asyncio.sleep(0.4)
        yield b'"size": 5}'

    headers = {**user, "Content-Type": "application/json"}
    return await api.post("/v1/uploads", headers=headers, content=body())


ASKS: tuple[Ask, ...] = (_who_am_i, _grant, _who_am_i, _upload, _grant, _slow_upload)


@dataclass
class Load:
    """What became of all requests: statuses, and the kinds of what cut them off."""

    answers: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    refused: int = 0

    @asynccontextmanager
    async def running(self, url: str, user: dict[str, str]) -> AsyncIterator["Load"]:
        stop = asyncio.Event()
        async with fleet.client(url) as api, asyncio.TaskGroup() as group:
            for number in range(WORKERS):
                group.create_task(self._ask(api, user, number, stop))
            try:
                yield self
            finally:
                stop.set()

    async def _ask(
        self, api: httpx.AsyncClient, user: dict[str, str], number: int, stop: asyncio.Event
    ) -> None:
        for ask in itertools.islice(itertools.cycle(ASKS), number, None):
            if stop.is_set():
                return
            try:
                answer = await ask(api, user)
            except httpx.ConnectError:
                self.refused += 1  # nothing was sent
                await asyncio.sleep(0.05)
            except httpx.TransportError as error:
                self.failures.append(f"{ask.__name__}: {error!r}")
            else:
                self.answers[answer.status_code] += 1
                if not answer.is_success:
                    self.failures.append(f"{ask.__name__}: {answer.status_code} {answer.text}")

    async def goes_on(self, requests: int = 100) -> None:
        enough = self.answers.total() + requests

        async def reached() -> bool:
            return self.answers.total() >= enough

        await eventually(reached, "requests are answered")

    async def is_refused(self) -> None:
        async def refused() -> bool:
            return self.refused > 0

        await eventually(refused, "somebody tries to connect")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ships(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    async with Fleet.running(tmp_path_factory.mktemp("fleet")) as running:
        yield running


async def test_replicas_are_replaced_one_by_one_under_load_and_no_request_fails(
    ships: Fleet,
) -> None:
    load = Load()
    async with load.running(ships.balancer.url, ships.newcomer().headers):
        for replica in ships.replicas:
            await load.goes_on()
            assert await replica.stop() == 0
            await load.goes_on()
            await replica.start()
    assert load.failures == [], _told(ships, load)
    assert load.refused == 0


async def test_a_client_with_kept_connections_to_a_replica_that_stops_loses_no_request(
    ships: Fleet,
) -> None:
    """Connections it could not make any more are no request it has sent."""
    replica = ships.replicas[0]
    load = Load()
    async with load.running(replica.url, ships.newcomer().headers):
        await load.goes_on()
        assert await replica.stop() == 0
        await load.is_refused()
    await replica.start()
    assert load.failures == []


def _told(ships: Fleet, load: Load) -> str:
    log = ships.balancer.log.read_text().splitlines()
    odd = [line for line in log if "Server" in line or " 50" in line]
    return "\n".join([*load.failures[:10], *odd[-30:]])
