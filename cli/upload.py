"""`uploadgate upload`: a bar a file, several files at once, and a clean end on Ctrl-C."""

import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from cli.bars import bars
from cli.connection import connected
from cli.outcome import FAILED, INTERRUPTED, describe, notes
from client.api import Api
from client.arrival import wait_until_settled
from client.grants import CredentialSource, Way
from client.problems import ClientError, TransferCancelledError
from client.uploads import Uploader
from client.wire import Upload

# botocore tells of every failed renewal by itself; here it is told once, as a problem.
logging.getLogger("botocore").setLevel(logging.CRITICAL)


def run(
    files: Sequence[Path],
    session: Path | None,
    *,
    via: Way,
    wait: bool,
    parallel_files: int,
    parallel_parts: int,
) -> int:
    """0 when every file has arrived, 1 when one has not, 130 after Ctrl-C."""
    console = Console(stderr=True)
    with connected(session) as api:
        uploader = Uploader.opened(
            api,
            CredentialSource(api, via),
            parallel_parts=parallel_parts,
            parallel_files=parallel_files,
        )
        with bars(console) as progress:
            batch = Batch(api, uploader, progress, wait=wait)
            interrupted = batch.run(files, parallel_files)
        for line in batch.lines:
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    if interrupted:
        return INTERRUPTED
    return FAILED if batch.failed else 0


class Batch:
    """The files of one call. What each came to is in `lines`, in the order of their ends."""

    def __init__(self, api: Api, uploader: Uploader, progress: Progress, *, wait: bool) -> None:
        self._api = api
        self._uploader = uploader
        self._progress = progress
        self._wait = wait
        self.lines: list[str] = []
        self.failed = False

    def run(self, files: Sequence[Path], parallel: int) -> bool:
        """Whether it was interrupted."""
        with ThreadPoolExecutor(max_workers=parallel) as pool:
            pending = [pool.submit(self._one, path) for path in files]
            try:
                wait(pending)
            except KeyboardInterrupt:
                with _second_one_leaves():
                    self._stop(pending)
                return True
        return False

    def _stop(self, pending: Sequence[Future[None]]) -> None:
        self._progress.console.print("Stopping: aborting what is under way (Ctrl-C again: leave)")
        for future in pending:
            future.cancel()
        self._uploader.cancel()
        wait(pending)

    def _one(self, path: Path) -> None:
        task = self._progress.add_task(path.name, total=path.stat().st_size if path.exists() else 0)
        try:
            record = self._uploader.send(path, lambda sent: self._progress.advance(task, sent))
            self.lines.append(f"✓ {path}: {self._settled(record)}")
        except TransferCancelledError as error:
            kept = "; ".join(notes(error))
            removed = "its parts are removed, its record is aborted"
            self._failed(f"✗ {path}: cancelled: {kept or removed}")
        except ClientError as error:
            self._failed(f"✗ {path}: {describe(error)}")

    def _settled(self, record: Upload) -> str:
        if self._wait:
            pause = self._uploader.cancelled.wait
            record = wait_until_settled(self._api, record.id, pause=pause)
        return f"{record.status} as {record.key} ({record.id})"

    def _failed(self, line: str) -> None:
        self.failed = True
        self.lines.append(line)


@contextmanager
def _second_one_leaves() -> Iterator[None]:
    """The threads of a transfer cannot be ended, so a second Ctrl-C ends the process."""
    try:
        yield
    except KeyboardInterrupt:
        os._exit(INTERRUPTED)
