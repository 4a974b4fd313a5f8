"""A load generator: so many connections, each sending its next request when it has its answer."""

import asyncio
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

Request = tuple[str, str, dict[str, Any]]
"""Method, path, what aiohttp's `request` takes besides."""


@dataclass(frozen=True)
class Run:
    """One run: requests a second, and how long they took in milliseconds."""

    per_second: float
    median_ms: float
    p99_ms: float
    failures: int


async def run(
    base_url: str, request: Callable[[int], Request], *, count: int, connections: int
) -> Run:
    """`request(n)` makes the nth of `count` requests."""
    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(base_url, connector=connector) as session:
        numbers = iter(range(count))
        took: list[float] = []
        failures = 0

        async def client() -> None:
            nonlocal failures
            for number in numbers:
                method, path, more = request(number)
                began = time.perf_counter()
                async with session.request(method, path, **more) as answer:
                    await answer.read()
                    failures += answer.status >= 400  # noqa: PLR2004 - every problem
                took.append((time.perf_counter() - began) * 1000)

        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for _ in range(connections):
                group.create_task(client())
        seconds = time.perf_counter() - began
    return Run(
        count / seconds, statistics.median(took), statistics.quantiles(took, n=100)[98], failures
    )


def median(runs: list[Run]) -> Run:
    """Figure by figure; failures are added up."""
    return Run(
        statistics.median(run.per_second for run in runs),
        statistics.median(run.median_ms for run in runs),
        statistics.median(run.p99_ms for run in runs),
        sum(run.failures for run in runs),
    )
