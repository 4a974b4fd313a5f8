"""SQLite's file holds the hashes of passwords: it is for its owner alone."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from state import schema
from state.database import Database, sqlite_file


@pytest.fixture(autouse=True)
def _generous_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def _modes(folder: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


async def test_a_new_file_is_private_and_so_are_those_beside_it(tmp_path: Path) -> None:
    async with Database.opened(f"sqlite+aiosqlite:///{tmp_path / 'new.db'}") as database:
        await schema.upgrade(database)
        assert _modes(tmp_path) == dict.fromkeys(["new.db", "new.db-shm", "new.db-wal"], 0o600)


async def test_a_file_with_options_is_private_too(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'new.db'}?cached_statements=50"
    async with Database.opened(url) as database:
        await database.ping()
        assert set(_modes(tmp_path).values()) == {0o600}
        assert "new.db" in _modes(tmp_path)


async def test_an_existing_file_keeps_its_content_and_mode(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'old.db'}"
    async with Database.opened(url) as database:
        await schema.upgrade(database)
    (tmp_path / "old.db").chmod(0o640)
    async with Database.opened(url) as database:
        assert await schema.is_current(database)
    assert _modes(tmp_path)["old.db"] == 0o640


@pytest.mark.parametrize("url", ["sqlite+aiosqlite://", "sqlite+aiosqlite:///:memory:"])
async def test_memory_leaves_no_file(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with Database.opened(url) as database:
        await database.ping()
    assert _modes(tmp_path) == {}


@pytest.mark.parametrize(
    ("url", "file"),
    [
        ("sqlite+aiosqlite:///a.db", Path("a.db")),
        ("sqlite+aiosqlite:////var/a.db?timeout=5", Path("/var/a.db")),
        ("sqlite+aiosqlite:///file:a.db?mode=ro&uri=true", None),
        ("sqlite+aiosqlite:///:memory:", None),
        ("sqlite+aiosqlite://", None),
        ("postgresql+asyncpg://h/a.db", None),
        ("garbage", None),
    ],
)
def test_which_file_it_is(url: str, file: Path | None) -> None:
    assert sqlite_file(url) == file
