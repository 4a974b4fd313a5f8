"""Who goes by the time that replicas share, and that it is known before anything begins."""

import asyncio
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

import wiring
from service.clock import utc_now
from service.completion.completion import Completion
from service.delivery.drainer import Drainer
from state.common_clock import CommonClock
from state.database import Database
from tests.fakes import house
from tests.fakes.aws_environment import without_ambient_aws
from tests.fakes.eventually import eventually
from tests.fakes.http_stub import HttpStub
from wiring.delivery import opened_delivery

# What is compared with the time of the world: tokens, tickets that are signed, what AWS gave, and
# the time in a message's signature where it is of nothing else.
OF_THE_WORLD = {"Asking", "Grants", "OperationTickets", "Streams", "Tokens", "Trials"}
# Some of those who write down what is due, or look at what others have written.
SHARED = {"Courier", "Drainer", "Endpoints", "Intake", "Orphans", "Processor", "Retention"}
SHARED |= {"Completing", "Settlement", "Sweep", "Ticketing", "Upkeep", "Uploads", "Verdicts"}


def held(thing: Any) -> Iterator[Any]:
    if is_dataclass(thing):
        yield from (getattr(thing, field.name) for field in fields(thing))
    yield from getattr(thing, "__dict__", {}).values()
    yield getattr(thing, "__self__", None)  # of a method that was handed on


def clocks(*roots: Any) -> dict[str, set[Any]]:
    """By the class of who has them, for all of `service/` that can be reached."""
    found: dict[str, set[Any]] = {}
    seen, left = set(), list(roots)
    while left:
        thing = left.pop()
        module = getattr(type(thing), "__module__", "")
        known = module.startswith(("service.", "routers.services", "wiring")) or callable(thing)
        if id(thing) in seen or not known or isinstance(thing, type):
            continue
        seen.add(id(thing))
        if module.startswith("service.") and hasattr(thing, "_clock"):
            found.setdefault(type(thing).__name__, set()).add(thing._clock)
        left.extend(held(thing))
    return found


async def test_all_that_replicas_write_down_is_of_one_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_ambient_aws(monkeypatch)
    async with HttpStub.serving(house.aws) as stub:
        values = house.settings(tmp_path, stub.url)
        async with (
            wiring.opened_services(values, "1.2.3") as services,
            Database.opened(values.database.url.get_secret_value()) as database,
            opened_delivery(values, database, "1.2.3", streams=True) as room,
        ):
            found = clocks(services, room)
    by_the_world = {name for name, of in found.items() if utc_now in of}
    shared = {name for name, of in found.items() if any(isinstance(c, CommonClock) for c in of)}
    assert shared >= SHARED
    assert by_the_world == OF_THE_WORLD
    assert not by_the_world & shared


async def test_nothing_begins_before_the_time_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []
    asked, known = asyncio.Event(), asyncio.Event()

    async def first(_: CommonClock) -> None:
        asked.set()
        await known.wait()
        begun.append("clock")

    def noted(name: str) -> Any:
        async def run(_: Any) -> None:
            begun.append(name)

        return run

    monkeypatch.setattr(CommonClock, "first", first)
    monkeypatch.setattr(CommonClock, "run", noted("measuring"))
    monkeypatch.setattr(Drainer, "run", noted("drainer"))
    monkeypatch.setattr(Completion, "run", noted("completion"))
    without_ambient_aws(monkeypatch)
    async with (
        HttpStub.serving(house.aws) as stub,
        wiring.opened_worker(house.settings(tmp_path, stub.url), "1.2.3"),
    ):
        await asked.wait()
        assert begun == []
        known.set()
        await eventually(lambda: len(begun) == 4)
    assert begun[0] == "clock"
    assert set(begun) == {"clock", "measuring", "drainer", "completion"}
