"""A folder for sockets, whose paths have at most some 100 characters."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MOST = 50


@contextmanager
def short_folder(prefix: str) -> Iterator[Path]:
    """In TMPDIR, unless that is a long path. What has been killed may still write into it at the
    end.
    """
    place = None if len(tempfile.gettempdir()) < _MOST else "/tmp"
    with tempfile.TemporaryDirectory(
        prefix=prefix, dir=place, ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)
