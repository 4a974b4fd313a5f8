"""What would be wrong with more than one process does not start: the command as it is run."""

import asyncio
import os
import secrets
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from cli.configuration import REFUSED
from cli.sole_process import claim

_ROOT = Path(__file__).parents[2]
_POSTGRES = "postgresql+asyncpg://nobody@127.0.0.1:1/none"


async def _serve(*words: str, **variables: str) -> tuple[int, str]:
    """The exit code, and what it says."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli.main", "serve", *words),
        env={"PATH": os.environ["PATH"], "UPLOADGATE_ENVIRONMENT": "development", **variables},
        cwd=_ROOT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(120):
            _, told = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode is not None
    return process.returncode, told.decode()


async def test_a_second_process_on_the_same_sqlite_file(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'records.db'}"
    with ExitStack() as life:
        assert claim(url, life) is None
        code, told = await _serve(UPLOADGATE_DATABASE__URL=url)
    assert code == REFUSED
    assert "Another process serves with" in told
    assert "set UPLOADGATE_DATABASE__URL to a Postgres" in told


@pytest.mark.parametrize(
    ("words", "variables"),
    [(("--workers", "2"), {}), ((), {"WEB_CONCURRENCY": "2"})],
    ids=["option", "environment"],
)
async def test_more_than_one_worker(words: tuple[str, ...], variables: dict[str, str]) -> None:
    code, told = await _serve(*words, **variables, UPLOADGATE_DATABASE__URL=_POSTGRES)
    assert code == REFUSED
    assert "WEB_CONCURRENCY) is 2" in told
    assert "start more replicas" in told


async def test_redis_beside_sqlite_in_production(tmp_path: Path) -> None:
    code, told = await _serve(
        UPLOADGATE_ENVIRONMENT="production",
        UPLOADGATE_PUBLIC_URL="https://uploads.example",
        UPLOADGATE_AUTH__SIGNING_KEY=secrets.token_urlsafe(32),
        UPLOADGATE_DATABASE__URL=f"sqlite+aiosqlite:///{tmp_path / 'records.db'}",
        UPLOADGATE_REDIS__URL="redis://127.0.0.1:1",
    )
    assert code == REFUSED
    assert "redis.url" in told
    assert "Traceback" not in told
