"""What every stage stands on: the two cores, free ports, processes and their logs."""

import asyncio
import contextlib
import functools
import os
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

import aiohttp

ROOT = Path(__file__).parents[1]
_START_SECONDS = 60.0
_LAST_WORDS = 2000


@functools.cache  # before this process is bound to one of them
def cores() -> tuple[set[int], set[int]]:
    """The service's core, and the one for the load and the embedded cloud."""
    available = sorted(os.sched_getaffinity(0))
    return {available[0]}, {available[-1]}


@contextlib.asynccontextmanager
async def started(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    log: Path,
    core: set[int] | None = None,
    pipes: bool = False,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """What it tells goes into the log, so that it is written as ever and nobody has to read it.
    `pipes`: its input and its plain output are for whoever started it.
    """
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=ROOT,
            env=environment,
            stdin=asyncio.subprocess.PIPE if pipes else None,
            stdout=asyncio.subprocess.PIPE if pipes else output,
            stderr=output,
        )
    try:
        if core is not None:
            os.sched_setaffinity(process.pid, core)  # before it has made processes or threads
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@contextlib.asynccontextmanager
async def served(
    command: Sequence[str],
    environment: Mapping[str, str],
    url: str,
    *,
    log: Path,
    core: set[int] | None = None,
) -> AsyncIterator[int]:
    """Its process id, once it answers there."""
    async with started(command, environment, log=log, core=core) as process:
        await _ready(url, process, log)
        yield process.pid


async def _ready(url: str, process: asyncio.subprocess.Process, log: Path) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_START_SECONDS), aiohttp.ClientSession() as session:
            while process.returncode is None:
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(url) as answer:
                        if answer.ok:
                            return
                await asyncio.sleep(0.1)
    raise RuntimeError(f"it did not start: {await asyncio.to_thread(last_words, log)}")


def last_words(log: Path) -> str:
    """For whoever has to find out why it did not start."""
    return log.read_text(errors="replace")[-_LAST_WORDS:]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
