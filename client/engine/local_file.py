"""The file that is sent: read anywhere, and never believed to have stayed the same."""

import hashlib
import mimetypes
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from client.parts import LARGEST_OBJECT
from client.problems import FileError


@dataclass(frozen=True, slots=True)
class LocalFile:
    """Open, and as it was when it was opened. Safe for use by several threads."""

    path: Path
    size: int
    mtime_ns: int
    handle: int

    @classmethod
    def open(cls, path: Path) -> "LocalFile":
        """Raises FileError for what cannot be read or stored. Blocks."""
        try:
            # A FIFO would wait for its writer before it could be told from a file.
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            raise FileError(f"{path}: {error.strerror}") from None
        try:
            return cls._checked(path, handle)
        except BaseException:
            os.close(handle)
            raise

    @classmethod
    def _checked(cls, path: Path, handle: int) -> "LocalFile":
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise FileError(f"{path} is not a file")
        if status.st_size > LARGEST_OBJECT:
            raise FileError(f"{path} is larger than the 48.8 TiB that S3 stores")
        return cls(path, status.st_size, status.st_mtime_ns, handle)

    def close(self) -> None:
        os.close(self.handle)

    @property
    def content_type(self) -> str:
        return mimetypes.guess_type(self.path.name)[0] or "application/octet-stream"

    @property
    def fingerprint(self) -> str:
        """The same for the same file of the same machine as long as nobody writes to it.

        Of its absolute path, size and time of change: what tells it from its neighbours without
        reading it. Hashed, because where users keep their files is no business of the service.
        """
        identity = f"{self.path.resolve()}\0{self.size}\0{self.mtime_ns}"
        digest = hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()
        return f"file-v1-{digest}"

    def read(self, offset: int, length: int) -> bytes:
        """Exactly so many bytes. Raises FileError where it has changed since it was opened: what
        is sent would be of two different files. Looked at after reading, so that nothing newer
        goes out. Blocks.
        """
        try:
            data = _read_at(self.handle, length, offset)
        except OSError as error:
            raise FileError(f"{self.path}: {error.strerror}") from None
        self.check()
        if len(data) != length:
            raise FileError(f"{self.path} ended early")
        return data

    def check(self) -> None:
        """Raises FileError where it has changed since it was opened. Blocks."""
        status = os.fstat(self.handle)
        if status.st_size != self.size:
            how = "grew" if status.st_size > self.size else "shrank"
            raise FileError(f"{self.path} {how} while it was being sent")
        if status.st_mtime_ns != self.mtime_ns:
            raise FileError(f"{self.path} was changed while it was being sent")


def _read_at(handle: int, length: int, offset: int) -> bytes:
    """Short only at the end of the file: a single read may stop before."""
    data = os.pread(handle, length, offset)
    while len(data) < length and (more := os.pread(handle, length - len(data), offset + len(data))):
        data += more
    return data
