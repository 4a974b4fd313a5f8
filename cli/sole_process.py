"""SQLite is for one process: who serves holds a lock beside the file until the process ends."""

from contextlib import ExitStack

from client.filelock import locked
from client.problems import SessionError
from state.database import sqlite_file

# A predecessor that was killed just now takes a moment to be gone.
_PATIENCE_SECONDS = 1.0


def claim(url: str, life: ExitStack) -> str | None:
    """Take the lock for as long as `life` is open; the refusal to tell where it cannot be had.

    Databases other than a SQLite file need none.
    """
    file = sqlite_file(url)
    if file is None:
        return None
    file = file.resolve()
    if not file.parent.is_dir():
        return f"There is no folder {file.parent} for the SQLite file."
    lock = file.with_name(f"{file.name}.lock")
    try:
        life.enter_context(locked(lock, timeout_seconds=_PATIENCE_SECONDS))
    except SessionError:
        return (
            f"Another process serves with {file} already. "
            "SQLite is for one process: use Postgres for more replicas."
        )
    except OSError as error:
        return f"{lock} cannot be opened: {error.strerror}."
    return None
