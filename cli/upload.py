"""`uploadgate upload`: a bar a file, several files at once, and a clean end on Ctrl-C."""

import asyncio
import logging
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from cli.bars import bars
from cli.connection import connected
from cli.managers import Manager, Wishes, manager_for
from cli.outcome import FAILED, INTERRUPTED, describe, notes
from client.api import Api
from client.engine.engine import Sent
from client.engine.events import Event, Restarted, Switched
from client.problems import ClientError

# botocore tells of every failed renewal by itself; here it is told once, as a problem.
logging.getLogger("botocore").setLevel(logging.CRITICAL)


def run(files: Sequence[Path], session: Path | None, wishes: Wishes) -> int:
    """0 when every file has arrived, 1 when one has not, 130 after Ctrl-C."""
    console = Console(stderr=True)
    with connected(session) as api, bars(console) as progress:
        batch = asyncio.run(_uploaded(api, files, wishes, progress))
    for line in batch.lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if batch.interrupted:
        return INTERRUPTED
    return FAILED if batch.failed else 0


async def _uploaded(api: Api, files: Sequence[Path], wishes: Wishes, progress: Progress) -> "Batch":
    async with manager_for(api, wishes) as manager:
        batch = Batch(manager, progress)
        with _ctrl_c(batch):
            await batch.run(files, wishes.parallel_files)
    return batch


class Batch:
    """The files of one call. What each came to is in `lines`, in the order of their ends."""

    def __init__(self, manager: Manager, progress: Progress) -> None:
        self._manager = manager
        self._progress = progress
        self._tasks: list[asyncio.Task[None]] = []
        self.lines: list[str] = []
        self.failed = False
        self.interrupted = False

    async def run(self, files: Sequence[Path], parallel: int) -> None:
        """Until all have ended, or those that were under way have stopped."""
        gate = asyncio.Semaphore(parallel)
        self._tasks = [asyncio.create_task(self._one(path, gate)) for path in files]
        for ended in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended

    def interrupt(self) -> None:
        """Ends what is under way and begins nothing more. The second time the process ends."""
        if self.interrupted:
            os._exit(INTERRUPTED)
        self.interrupted = True
        self._say("Stopping: aborting what is under way (Ctrl-C again: leave)")
        for task in self._tasks:
            task.cancel()

    async def _one(self, path: Path, gate: asyncio.Semaphore) -> None:
        async with gate:
            if self.interrupted:
                return
            size = await asyncio.to_thread(_size, path)
            task = self._progress.add_task(path.name, total=size)
            try:
                sent = await self._manager.send(
                    path,
                    lambda count: self._progress.advance(task, count),
                    lambda event: self._tell(path, event),
                )
            except asyncio.CancelledError as cancelled:
                kept = "; ".join(notes(cancelled))
                removed = "its parts are removed, its record is aborted"
                self._failed(f"✗ {path}: cancelled: {kept or removed}")
            except ClientError as error:
                self._failed(f"✗ {path}: {describe(error)}")
            else:
                self.lines.append(f"✓ {path}: {_told(sent)}")

    def _tell(self, path: Path, event: Event) -> None:
        if isinstance(event, Switched):
            self._say(f"{path}: from {event.before} to {event.to}: {event.reason}")
        if isinstance(event, Restarted):
            self._say(f"{path}: the store has dropped its parts; all of them go again")

    def _say(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _failed(self, line: str) -> None:
        self.failed = True
        self.lines.append(line)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _told(sent: Sent) -> str:
    record = sent.record
    by = f"by {', then '.join(sent.transports)}" if sent.transports else "had arrived before"
    return f"{record.status} as {record.key} ({record.id}), {by}"


@contextmanager
def _ctrl_c(batch: Batch) -> Iterator[None]:
    """Where the platform cannot tell the loop of it (Windows), it ends as any program does."""
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(signal.SIGINT, batch.interrupt)
    except NotImplementedError:
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
