"""What is said when the store does not come up, and when it stays down."""

import sys
from pathlib import Path

import pytest

from localcloud import StoreStartError
from localcloud.store import supervisor
from localcloud.store.process import StoreLaunch, StoreProcess, _spawn
from localcloud.store.supervisor import StoreSupervisor

DIES = "import sys; sys.exit('the disk is on fire')"


def launch(data_dir: Path, program: str) -> StoreLaunch:
    return StoreLaunch(
        data_dir=data_dir,
        command=(sys.executable, "-c", program),
        environment={},
        instance="localcloud-test",
        s3_port=1,
        sockets=(),
    )


async def test_a_store_that_dies_at_once_shows_its_log(tmp_path: Path) -> None:
    with pytest.raises(StoreStartError, match=r"died at its start(.|\n)*the disk is on fire"):
        await StoreProcess.start(launch(tmp_path, DIES))


async def test_a_silent_store_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localcloud.store.process._READY_SECONDS", 0.5)
    with pytest.raises(StoreStartError, match="was silent"):
        await StoreProcess.start(launch(tmp_path, "import signal; signal.pause()"))
    assert not (tmp_path / "weed.pid").exists()


async def test_a_store_that_keeps_dying_stays_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_FIRST_DELAY_SECONDS", 0.0)
    started = []

    async def start(_: StoreLaunch) -> StoreProcess:
        started.append(await _spawned(tmp_path))
        return started[-1]

    monkeypatch.setattr(StoreProcess, "start", start)
    store = StoreSupervisor(launch(tmp_path, DIES))
    await store.start()
    await store.failed.wait()
    assert len(started) == 7
    await store.stop()


async def _spawned(tmp_path: Path) -> StoreProcess:

    dying = launch(tmp_path, DIES)
    return StoreProcess(dying, await _spawn(dying))
