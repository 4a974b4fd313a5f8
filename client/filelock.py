"""A lock between processes, held while a file is open. It dies with its holder."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from client.problems import SessionError

_PAUSE = 0.05

if sys.platform == "win32":
    import msvcrt

    def _take(handle: IO[bytes]) -> None:
        msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _take(handle: IO[bytes]) -> None:
        fcntl.flock(handle.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def locked(
    path: Path,
    *,
    timeout_seconds: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[None]:
    """Raises SessionError when another process holds the lock for longer than that."""
    deadline = clock() + timeout_seconds
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as handle:
        while True:
            try:
                _take(handle)
                break
            except OSError:
                if clock() >= deadline:
                    raise SessionError(f"{path} is held by another process") from None
            sleep(_PAUSE)
        yield
