"""Files that only their owner may read: directories 0700, files 0600, written atomically."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from localcloud.errors import DataDirError

_LOCK = "localcloud.lock"


def write_private(path: Path, content: str | bytes) -> None:
    """Replace the file as a whole, so that a crash leaves the old content or the new."""
    data = content.encode() if isinstance(content, str) else content
    scratch = path.with_name(f".{path.name}.new")
    scratch.unlink(missing_ok=True)
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(path)


def private_directory(path: Path) -> Path:
    """Make the directory, or shut an existing one to others."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


@contextlib.contextmanager
def exclusive_data_dir(path: Path) -> Iterator[Path]:
    """Hold the data directory for this process; gives its absolute path.

    DataDirError when another process holds it, or when it is a directory of something else:
    its mode is about to be changed and secrets are about to be laid into it.
    """
    data_dir = path.expanduser().resolve()
    if data_dir.is_dir() and not (data_dir / _LOCK).exists() and any(data_dir.iterdir()):
        raise DataDirError(f"{data_dir} is not empty and was not made by localcloud; name another")
    private_directory(data_dir)
    with os.fdopen(os.open(data_dir / _LOCK, os.O_RDWR | os.O_CREAT, 0o600), "r+") as lock:
        _take(lock.fileno(), data_dir)
        write_private(data_dir / ".gitignore", "*\n")
        yield data_dir


def _take(descriptor: int, data_dir: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        raise DataDirError(f"{data_dir} is in use by process {holder}") from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
