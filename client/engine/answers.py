"""What the store's answer to a PUT means, and what helps. Pure.

Codes: "Amazon S3 API Reference, Error responses", and what SeaweedFS was seen to answer.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

from client.http import seconds
from client.problems import TransferError

Helps = Literal["again", "sign", "restart", "nothing"]
"""To send it again later, under another signature, into another multipart; or nothing does."""

_CODE = re.compile(rb"<Code>\s*([A-Za-z0-9.]{1,64})\s*</Code>")
_AGED = frozenset({"ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "TokenRefreshRequired"})
# Damaged or cut off on the way; a slow one, or somebody else's write of this key at this moment.
_DAMAGED = frozenset(
    {"BadDigest", "IncompleteBody", "RequestTimeout", "XAmzContentChecksumMismatch"}
)
_BUSY = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS})


class RefusedError(TransferError):
    """The store's own code is told, never its text: it can hold keys and signed addresses."""

    def __init__(self, status: int, code: str | None, retry_after: float | None = None) -> None:
        super().__init__(code or f"HTTP {status}")
        self.status = status
        self.store_code = code
        self.retry_after = retry_after

    @property
    def helps(self) -> Helps:
        if self.store_code == "NoSuchUpload":
            return "restart"
        if self.store_code in _AGED or self.status == HTTPStatus.FORBIDDEN:
            return "sign"
        if self.store_code in _DAMAGED or self.status in _BUSY:
            return "again"
        if self.status >= HTTPStatus.INTERNAL_SERVER_ERROR and self.store_code != "NotImplemented":
            return "again"
        return "nothing"


class CutError(TransferError):
    """The connection ended, or nothing moved for too long, before the store had answered."""


class UnreachableError(TransferError):
    """There is no connection to the store."""


class MultipartLostError(TransferError):
    """The store knows the multipart no more."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The store has it. `before`: it had something there already (If-None-Match)."""

    before: bool = False


def read_answer(status: int, headers: Mapping[str, str], body: bytes) -> Taken:
    """Raises RefusedError. `headers` must not care for case."""
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Taken()
    if status == HTTPStatus.PRECONDITION_FAILED:
        return Taken(before=True)
    found = _CODE.search(body)
    code = found[1].decode("ascii") if found else None
    raise RefusedError(status, code, seconds(headers.get("Retry-After")))
