"""How much the service process has read: the proof that no file went through it, or that one
did.
"""

from collections.abc import Callable
from pathlib import Path

# Less than the service takes as a body: a larger one it refuses by its announced length, unread.
_CONTROL_BYTES = 48 * 1024


class Traffic:
    """Counts by the kernel what a process reads: files, sockets, everything. Linux only.

    Before it is believed it is put to the test: a request of a known size has to show in it.
    """

    def __init__(self, pid: int) -> None:
        self._path = Path(f"/proc/{pid}/io")
        self._start: int | None = None

    def begin(self, send: Callable[[int], None]) -> None:
        """`send` posts a request with a body of so many bytes to the service."""
        before = self._read()
        send(_CONTROL_BYTES)
        after = self._read()
        if before is not None and after is not None and after - before >= _CONTROL_BYTES:
            self._start = after

    def read(self) -> int | None:
        """Bytes since the beginning; None where the kernel does not count this."""
        now = self._read()
        return None if self._start is None or now is None else now - self._start

    def _read(self) -> int | None:
        try:
            lines = self._path.read_text("ascii").splitlines()
        except OSError:
            return None
        return next((int(line.split()[1]) for line in lines if line.startswith("rchar:")), None)
