"""What the settings say reaches the parts of completion, in its own unit."""

from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from service.completion.upkeep import Upkeep
from state.database import Database
from tests.fakes.completion import OVERDUE, URL_LIFE
from tests.fakes.house import settings
from wiring import completion as module


async def test_the_upkeep_keeps_and_waits_as_long_as_was_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, Any]] = []

    def made(**values: Any) -> Upkeep:
        told.append(values)
        return Upkeep(**values)

    monkeypatch.setattr(module, "Upkeep", made)
    values = {"inbox_days": 7, "lease_seconds": 90}
    unused: Any = SimpleNamespace(reject_overgrown=None)
    async with Database.opened(f"sqlite+aiosqlite:///{tmp_path / 'unused.db'}") as database:
        parts: Any = SimpleNamespace(
            settings=settings(tmp_path, "http://127.0.0.1:1", completion=values),
            database=database,
            **dict.fromkeys(["records", "store", "policy", "keeper", "multiparts", "grants"]),
            overdue=OVERDUE,
            url_life=URL_LIFE,
        )
        module.completion_of(parts, unused, unused)
    (given,) = told
    assert (given["keep"], given["lease"]) == (timedelta(days=7), timedelta(seconds=90))
