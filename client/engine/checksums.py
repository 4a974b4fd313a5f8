"""Checksums of a whole file and of its parts, as S3 writes them: big-endian, in base64."""

import base64
import zlib
from collections.abc import Callable
from typing import Literal, NamedTuple

from client.engine.local_file import LocalFile
from client.engine.threads import Threads
from client.problems import ChecksumUnavailableError
from client.wire import Checksum

Wanted = Literal["crc32", "crc64nvme", "none"]
_BLOCK = 4 * 1024 * 1024


class _Algorithm(NamedTuple):
    step: Callable[[bytes, int], int]
    width: int


async def whole_file(file: LocalFile, wanted: Wanted, threads: Threads) -> Checksum | None:
    """Reads the file once. Raises ChecksumUnavailableError, FileError."""
    if wanted == "none":
        return None
    name = wanted.upper()
    return Checksum(name, await checksum(file, 0, file.size, name, threads))


async def checksum(
    file: LocalFile, offset: int, length: int, algorithm: str, threads: Threads
) -> str:
    """Of `length` bytes from `offset` on. Block by block, so that it can be cancelled."""
    step, width = _algorithm(algorithm)
    value, end = 0, offset + length
    while offset < end:
        value = await threads.read(_update, file, offset, min(_BLOCK, end - offset), step, value)
        offset += _BLOCK
    return base64.b64encode(value.to_bytes(width, "big")).decode("ascii")


def _update(
    file: LocalFile, offset: int, length: int, step: Callable[[bytes, int], int], value: int
) -> int:
    return step(file.read(offset, length), value)


def _algorithm(name: str) -> _Algorithm:
    if name == "CRC32":
        return _Algorithm(zlib.crc32, 4)
    if name == "CRC64NVME":
        return _Algorithm(_crc64nvme(), 8)
    raise ChecksumUnavailableError(f"this client does not know {name}")


def _crc64nvme() -> Callable[[bytes, int], int]:
    try:
        from awscrt import checksums  # noqa: PLC0415 - optional, and large
    except ImportError:
        raise ChecksumUnavailableError(
            "CRC64NVME needs the package awscrt; install it, or take --checksum crc32"
        ) from None
    step: Callable[[bytes, int], int] = checksums.crc64nvme
    return step
