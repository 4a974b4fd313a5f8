"""One run of the store: started under its guardian, awaited until ready, stopped."""

import asyncio
import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx

from localcloud import guardian
from localcloud.errors import StoreStartError
from localcloud.ports import LOOPBACK
from localcloud.store.leftover import end_leftover

LOG_NAME, PID_NAME = "weed.log", "weed.pid"
_READY_SECONDS = 60.0
_POLL_SECONDS = 0.05
_TAIL_BYTES = 4_000
# A longer grace gains nothing: after ten seconds of waiting for streams that never end by
# themselves the store would go on to close what a kill does not harm either. What it has
# acknowledged is with the operating system already.
_GRACE_SECONDS = 1.0
_STOP_SECONDS = _GRACE_SECONDS + 60  # what is killed takes its time where all is slow


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLaunch:
    """How to run the store: its command, its environment, and where it lives."""

    data_dir: Path
    command: tuple[str, ...]
    environment: dict[str, str]
    instance: str
    s3_port: int
    sockets: tuple[Path, ...]

    @property
    def log_file(self) -> Path:
        return self.data_dir / LOG_NAME

    @property
    def pid_file(self) -> Path:
        return self.data_dir / PID_NAME


class StoreProcess:
    """A running store. `exited` ends when it does, for whatever reason."""

    def __init__(self, launch: StoreLaunch, process: asyncio.subprocess.Process) -> None:
        self._launch = launch
        self._process = process

    @classmethod
    async def start(cls, launch: StoreLaunch) -> "StoreProcess":
        """Start the store and wait for its S3 to answer.

        StoreStartError, with the tail of the log, when it dies or is silent for a minute.
        """
        await end_leftover(launch.pid_file, launch.instance)
        running = cls(launch, await _spawn(launch))
        try:
            await running._until_ready()
        except BaseException:
            await running.stop()
            raise
        return running

    async def exited(self) -> int:
        return await self._process.wait()

    async def stop(self) -> None:
        """Let the guardian end the store: a second or two, where the machine has time for it."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def _until_ready(self) -> None:
        ready = asyncio.create_task(_s3_answers(self._launch.s3_port))
        died = asyncio.create_task(self.exited())
        try:
            done, _ = await asyncio.wait(
                {ready, died}, timeout=_READY_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            await _cancelled(ready, died)
        if ready not in done:
            reason = (
                "died at its start" if died in done else f"was silent for {_READY_SECONDS:.0f} s"
            )
            raise StoreStartError(f"the store {reason}; its log ends:\n{log_tail(self._launch)}")


def log_tail(launch: StoreLaunch) -> str:
    """The end of the store's log, a few thousand characters."""
    with contextlib.suppress(OSError):
        return launch.log_file.read_bytes()[-_TAIL_BYTES:].decode(errors="replace")
    return "(no log)"


async def _spawn(launch: StoreLaunch) -> asyncio.subprocess.Process:
    if launch.log_file.exists():
        launch.log_file.replace(launch.log_file.with_suffix(".log.1"))
    launch.log_file.touch(mode=0o600)
    with launch.log_file.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-IS",
            guardian.__file__,
            str(_GRACE_SECONDS),
            PID_NAME,
            os.pathsep.join(map(str, launch.sockets)),
            *launch.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=launch.data_dir,
            env=launch.environment,
            # The terminal's Ctrl-C is not for it: the service drains first.
            start_new_session=True,
        )


async def _s3_answers(port: int) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=2.0) as client:
        while True:
            with contextlib.suppress(httpx.TransportError):
                response = await client.get(f"http://{LOOPBACK}:{port}/healthz")
                if response.is_success:
                    return
            await asyncio.sleep(_POLL_SECONDS)


async def _cancelled(*tasks: asyncio.Task[object]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
