"""Where a process's time goes, by areas of code: py-spy's samples, folded."""

import asyncio
import re
import sysconfig
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

_RATE = 250  # samples a second
_FRAME = re.compile(r".* \((.+):\d+\)$")
# What a frame's file says, the first that fits. Of a stack the innermost frame with an area counts,
# so that the standard library's own time is its caller's.
_AREAS = (
    ("database driver", ("asyncpg", "aiosqlite", "sqlalchemy/dialects/", "sqlalchemy/connectors/")),
    ("SQLAlchemy", ("sqlalchemy/", "greenlet")),
    ("botocore", ("botocore", "aioboto3")),
    ("HTTP client", ("aiohttp", "yarl", "multidict", "aiohappyeyeballs")),
    ("signature", ("aws/signer/",)),
    ("HEAD: our own code", ("aws/",)),
    ("SQL: our own code", ("state/",)),
    ("events and their JSON", ("service/delivery/", "json/")),
    ("completion: our own code", ("service/", "wiring/")),
    ("log", ("structlog", "logging/", "logs.py")),
    ("event loop", ("asyncio/", "uvloop", "selectors.py", "benchmarks/")),
)


Areas = Sequence[tuple[str, tuple[str, ...]]]


async def sampled(pid: int, seconds: float, file: Path, areas: Areas = _AREAS) -> dict[str, float]:
    """Area → share of the samples, the largest first."""
    length = ("-d", str(max(1, round(seconds))))
    command = ("record", "-f", "raw", "-F", "--gil", "-r", str(_RATE), *length)
    process = await asyncio.create_subprocess_exec(
        *("py-spy", *command, "-p", str(pid), "-o", str(file)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PATH": sysconfig.get_path("scripts")},
    )
    await process.wait()
    return folded((await asyncio.to_thread(file.read_text)).splitlines(), areas)


def folded(lines: list[str], areas: Areas = _AREAS) -> dict[str, float]:
    counts: Counter[str] = Counter()
    for line in lines:
        stack, _, samples = line.rpartition(" ")
        counts[_area(stack.split(";"), areas)] += int(samples)
    whole = counts.total() or 1
    return {area: count / whole for area, count in counts.most_common()}


def _area(stack: list[str], areas: Areas) -> str:
    for frame in reversed(stack):
        found = _FRAME.match(frame)
        file = found[1] if found else ""
        for area, parts in areas:
            if any(part in file for part in parts):
                return area
    return "elsewhere"
