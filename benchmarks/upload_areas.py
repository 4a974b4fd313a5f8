"""Where the time of the uploads' calls goes: py-spy's samples, by areas of code."""

from pathlib import Path

from benchmarks import areas

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
    return await areas.sampled(pid, seconds, file, _AREAS)
