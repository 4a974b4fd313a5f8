"""Calls until nothing is left: how long each took, and this process's memory along the way."""

import math
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from benchmarks.footprint import MIB, resident
from benchmarks.millions.reads import Reads
from benchmarks.record import Figure

CASE = "a million rows"


@dataclass
class Work:
    """What one kind of call took, in seconds; memory in MiB after each of them."""

    rows: int = 0
    seconds: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)

    @property
    def growth(self) -> float:
        """MiB, between the first tenth of the work and its end."""
        return self.memory[-1] - self.memory[self._tenth - 1]

    @property
    def _tenth(self) -> int:
        return max(1, len(self.seconds) // 10)

    def figure(self, subject: str, reads: Reads) -> Figure:
        tenth = self._tenth
        return Figure(
            case=CASE,
            subject=subject,
            value=self.rows / sum(self.seconds),
            unit="rows/s",
            more={
                "rows": self.rows,
                "calls": len(self.seconds),
                "first_ms": statistics.median(self.seconds[:tenth]) * 1000,
                "last_ms": statistics.median(self.seconds[-tenth:]) * 1000,
                "longest_ms": max(self.seconds) * 1000,
                "memory_mib": self.memory[-1],
                "growth_mib": self.growth,
                "read_each": reads.rows / self.rows,
                "read_in_sequence": reads.in_sequence,
                "indexes": " ".join(reads.indexes),
            },
        )


async def worked(
    call: Callable[[], Awaitable[int]], *, most: float = math.inf, seconds: float = math.inf
) -> Work:
    """`call` tells how many rows it has done; 0 ends it, and so do `most` of them, and so many
    `seconds`. Raises RuntimeError where nothing was done at all.
    """
    work, end = Work(), time.perf_counter() + seconds
    while work.rows < most and time.perf_counter() < end:
        began = time.perf_counter()
        rows = await call()
        if not rows:
            break
        work.seconds.append(time.perf_counter() - began)
        work.memory.append(resident(os.getpid()) / MIB)
        work.rows += rows
    if not work.rows:
        raise RuntimeError("there was nothing to do")
    return work
