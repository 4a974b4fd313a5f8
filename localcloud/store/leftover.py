"""The store of an earlier run that crashed: recognised, then ended."""

import asyncio
import logging
import os
import signal
import subprocess
from pathlib import Path

from localcloud.errors import DataDirError

_log = logging.getLogger(__name__)
_GRACE_SECONDS = 2.0
_DEATH_SECONDS = 60.0  # of what is killed, on a machine that has much else to do
_POLL_SECONDS = 0.05


async def end_leftover(pid_file: Path, instance: str) -> None:
    """End the process that `pid_file` names, if it is a store of this very data directory.

    A process id may have been given to a stranger since, so its command line has to carry
    `instance`. DataDirError when it cannot be ended.
    """
    pid = await asyncio.to_thread(_leftover_pid, pid_file, instance)
    if pid is None:
        return
    _log.warning("ending the store of an earlier run, process %d", pid)
    for number, seconds in ((signal.SIGTERM, _GRACE_SECONDS), (signal.SIGKILL, _DEATH_SECONDS)):
        if await _gone_after(pid, number, seconds):
            return
    raise DataDirError(f"the store of an earlier run, process {pid}, cannot be ended")


def _leftover_pid(pid_file: Path, instance: str) -> int | None:
    try:
        pid = int(pid_file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return pid if instance in _command_line(pid) else None


def _command_line(pid: int) -> str:
    """Empty when there is no such process."""
    proc = Path("/proc")
    if (proc / "self").exists():
        try:
            return (proc / str(pid) / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            return ""
    command = ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603 - a number is the only variable part


async def _gone_after(pid: int, number: signal.Signals, seconds: float) -> bool:
    # Not a child of this process, so there is nothing to await: ask until it is gone.
    try:
        os.kill(pid, number)
        async with asyncio.timeout(seconds):
            while _alive(pid):  # noqa: ASYNC110 - see above
                await asyncio.sleep(_POLL_SECONDS)
    except ProcessLookupError:
        return True
    except TimeoutError:
        return False
    return True


def _alive(pid: int) -> bool:
    """Not of a zombie: what has ended stands in the table until its parent asks about it.

    The parent of an orphan is process 1, which in a container may take its time, or never ask.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not _zombie(pid)


def _zombie(pid: int) -> bool:
    process = Path("/proc") / str(pid)
    try:
        state = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]
        # The first thread may be gone before others that still hold the files.
        return state == "Z" and len(list((process / "task").iterdir())) == 1
    except (FileNotFoundError, ProcessLookupError):
        return False  # gone by now, as the next look will tell; or a system without /proc
