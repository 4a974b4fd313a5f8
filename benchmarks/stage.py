"""What every stage stands on: the two cores, free ports, a service that is ready."""

import asyncio
import contextlib
import functools
import os
import socket
from pathlib import Path

import aiohttp

ROOT = Path(__file__).parents[1]


@functools.cache  # before this process is bound to one of them
def cores() -> tuple[set[int], set[int]]:
    """The service's core, and the one for the load and the embedded cloud."""
    available = sorted(os.sched_getaffinity(0))
    return {available[0]}, {available[-1]}


async def ready(url: str) -> None:
    async with asyncio.timeout(60), aiohttp.ClientSession() as session:
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"{url}/readyz") as answer:
                    if answer.status == 200:  # noqa: PLR2004
                        return
            await asyncio.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
