"""Where the time of the uploads' calls goes: py-spy's samples, by areas of code."""

import asyncio
import re
from collections import Counter
from pathlib import Path

from benchmarks import areas

_FRAME = re.compile(r".* \((.+):\d+\)$")
# What a frame's file says, the first that fits. Of a stack the innermost frame with an area counts,
# so that the standard library's own time is its caller's.
_AREAS = (
    ("database driver", ("asyncpg/", "aiosqlite/", "sqlalchemy/dialects/")),
    ("SQLAlchemy", ("sqlalchemy/", "greenlet")),
    ("the store's client", ("botocore", "aioboto3", "aiohttp", "yarl", "multidict")),
    ("signature", ("aws/signer/",)),
    ("who calls", ("auth/", "joserfc/")),
    ("records and quota", ("state/",)),
    ("the rules of uploads", ("service/", "aws/", "wiring/")),
    ("middlewares", ("routers/middleware/",)),
    ("FastAPI and pydantic", ("fastapi/", "pydantic", "starlette/")),
    ("routes and schemas", ("routers/",)),
    ("log", ("structlog", "logging/", "logs.py")),
    ("HTTP server and event loop", ("uvicorn/", "cli/", "asyncio/", "uvloop", "selectors.py")),
)


async def sampled(pid: int, seconds: float, file: Path) -> dict[str, float]:
    """Area → share of the samples, the largest first."""
    await areas.sampled(pid, seconds, file)
    return folded((await asyncio.to_thread(file.read_text)).splitlines())


def folded(lines: list[str]) -> dict[str, float]:
    counts: Counter[str] = Counter()
    for line in lines:
        stack, _, samples = line.rpartition(" ")
        counts[_area(stack.split(";"))] += int(samples)
    whole = counts.total() or 1
    return {area: count / whole for area, count in counts.most_common()}


def _area(stack: list[str]) -> str:
    for frame in reversed(stack):
        found = _FRAME.match(frame)
        file = found[1] if found else ""
        for area, parts in _AREAS:
            if any(part in file for part in parts):
                return area
    return "elsewhere"
