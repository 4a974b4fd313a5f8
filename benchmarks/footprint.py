"""What a service takes of its machine: all its processes together, by the kernel's own word."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024
_TICKS = os.sysconf("SC_CLK_TCK")
_LOOK_SECONDS = 0.25


def processes(pid: int) -> list[int]:
    """It, its children and theirs."""
    found = [pid]
    with contextlib.suppress(OSError):
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in children.read_text().split():
                found += processes(int(child))
    return found


def processor_seconds(pid: int) -> float:
    """User and system, of all its threads; of children only where they have ended."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / _TICKS


def resident(pid: int) -> int:
    """Bytes."""
    return _of("status", pid, "VmRSS:") * 1024


def shared_out(pid: int) -> int:
    """Bytes; what processes share counts once in the sum over all of them (PSS)."""
    return _of("smaps_rollup", pid, "Pss:") * 1024


def written(pid: int) -> int:
    """Bytes that go to the disk, not those to sockets and pipes."""
    return _of("io", pid, "write_bytes:")


def _of(file: str, pid: int, name: str) -> int:
    return int(Path(f"/proc/{pid}/{file}").read_text().split(name)[1].split()[0])


@dataclass
class Footprint:
    """From the beginning to the end of what was watched; bytes."""

    processor_seconds: float = 0
    most_memory: int = 0
    written: int = 0


@contextlib.asynccontextmanager
async def watched(pid: int) -> AsyncIterator[Footprint]:
    """Complete when the context ends. No process of the service's may end before."""
    ids = processes(pid)
    found = Footprint()
    used, wrote = sum(map(processor_seconds, ids)), sum(map(written, ids))
    looking = asyncio.create_task(_look(ids, found))
    try:
        yield found
    finally:
        looking.cancel()
        await asyncio.wait([looking])
    found.processor_seconds = sum(map(processor_seconds, ids)) - used
    found.written = sum(map(written, ids)) - wrote


async def _look(ids: list[int], found: Footprint) -> None:
    while True:
        found.most_memory = max(found.most_memory, sum(map(shared_out, ids)))
        await asyncio.sleep(_LOOK_SECONDS)
