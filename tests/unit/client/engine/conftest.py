"""An engine between a fake service and a fake store."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from client.engine.engine import Engine
from client.engine.events import Event
from client.engine.tuning import Tuning
from client.retries import RetryPolicy
from tests.fakes.http_stub import HttpStub, Reply, Request
from tests.unit.client.engine.fake_service import PART, FakeService
from tests.unit.client.engine.fake_store import FakeStore

QUICK = RetryPolicy(attempts=7, budget_seconds=60, first_delay=0.001, longest_delay=0.004)
TUNING = Tuning(parallel_parts=3, stall_seconds=60, retries=QUICK)


@dataclass
class Scene:
    """`told` is the sum of all progress."""

    engine: Engine
    service: FakeService
    store: FakeStore
    events: list[Event] = field(default_factory=list)
    told: int = 0

    async def send(self, path: Path, **more: Any) -> Any:
        return await self.engine.send(
            path, progress=self._progress, on_event=self.events.append, **more
        )

    def _progress(self, count: int) -> None:
        self.told += count

    def assert_arrived(self, path: Path) -> None:
        """Every byte is at the store, and as many were told."""
        assert self.service.content == path.read_bytes()
        assert self.told == path.stat().st_size
        assert self.service.record["status"] == "completed"

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@asynccontextmanager
async def scene_with(tuning: Tuning = TUNING) -> AsyncIterator[Scene]:
    async with HttpStub.serving() as stub:
        store = FakeStore(stub)
        service = FakeService(store, stub.url)

        def answer(request: Request) -> Reply:
            relayed = request.target.startswith("/v1/")
            return service.take(request) if relayed else store.answer(request)

        stub.answer = answer
        events: list[Event] = []
        async with Engine.opened(
            service,  # type: ignore[arg-type]  # what the engine needs of it
            service,  # type: ignore[arg-type]
            tuning=tuning,
            on_event=events.append,
        ) as engine:
            yield Scene(engine, service, store, events)


@pytest_asyncio.fixture
async def scene() -> AsyncIterator[Scene]:
    async with scene_with() as running:
        yield running


@pytest.fixture
def file_of(tmp_path: Path) -> Callable[[float], Path]:
    """A file of so many parts."""

    def make(parts: float) -> Path:
        path = tmp_path / "a.bin"
        path.write_bytes(os.urandom(int(parts * PART)))
        return path

    return make


@pytest.fixture
def file(file_of: Callable[[float], Path]) -> Path:
    """Of nine parts and a bit."""
    return file_of(9.5)
