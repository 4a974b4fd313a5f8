"""One process a replica. With SQLite it is the only one: who serves holds a lock beside the file
until the process ends.
"""

from contextlib import ExitStack

from client.filelock import locked
from client.problems import SessionError
from state.database import sqlite_file

# A predecessor that was killed just now takes a moment to be gone.
_PATIENCE_SECONDS = 1.0
_TO_POSTGRES = "set UPLOADGATE_DATABASE__URL to a Postgres"


def process_refusal(url: str, workers: int) -> str | None:
    """What would be wrong with more than one process, and what to do; None where nothing is.
    Names settings, never values.
    """
    sqlite = url.startswith("sqlite")
    if workers != 1:
        postgres = f"SQLite is for one process: {_TO_POSTGRES}. " if sqlite else ""
        return (
            f"--workers (or WEB_CONCURRENCY) is {workers}, and a replica is one process. "
            f"{postgres}Set it to 1, or leave it out, and start more replicas instead."
        )
    return None


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
            f"SQLite is for one process: {_TO_POSTGRES} for more replicas."
        )
    except OSError as error:
        return f"{lock} cannot be opened: {error.strerror}."
    return None
