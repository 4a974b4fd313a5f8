"""Tickets for one operation on one upload's multipart, kept nowhere: what they say is signed.

They stand in the path of an address that a transfer manager calls without a header of ours. One
is good for what it names, until it expires or its upload has ended: the record is looked at each
time, so what a ticket can do ends with the upload.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from errors import InvalidTicketError
from service.clock import Clock
from service.uploads.model import Upload

# The signing keys serve other purposes too: a key made for this one alone signs nothing else.
_PURPOSE = b"uploadgate: a ticket for one operation on a multipart, version 1"
# Four ids and a time: stores' multipart ids have 130 characters or so, 1,024 at the most.
LONGEST = 2048


class Operation(StrEnum):
    CREATE = "create"
    LIST = "list"
    COMPLETE = "complete"
    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class OperationTicket:
    """`multipart_id` is the store's, None for the one that is still to be made."""

    operation: Operation
    user_id: str
    upload_id: str
    multipart_id: str | None
    expires_at: datetime


class OperationTickets:
    def __init__(self, signing_keys: Sequence[str], *, life: timedelta, clock: Clock) -> None:
        """The first key signs, all are accepted: so a key can be replaced."""
        self._keys = [_derived(key) for key in signing_keys]
        self._life = life
        self._clock = clock

    def issue(self, operation: Operation, upload: Upload, multipart_id: str | None = None) -> str:
        """Letters, digits, `-`, `_` and one dot. It ends with its upload at the latest."""
        ends = min(self._clock() + self._life, upload.expires_at)
        fields = [operation, upload.user_id, upload.id, multipart_id, int(ends.timestamp())]
        said = _encode(json.dumps(fields, separators=(",", ":")).encode())
        return f"{said}.{_encode(_mac(self._keys[0], said))}"

    def read(self, text: str) -> OperationTicket:
        """Raises InvalidTicketError. Nothing of a ticket is looked at before its signature."""
        said, _, signature = text.partition(".")
        if len(text) > LONGEST or not self._signed(said, signature):
            raise InvalidTicketError
        operation, user_id, upload_id, multipart_id, ends = json.loads(_decode(said))
        expires_at = datetime.fromtimestamp(ends, UTC)
        if expires_at <= self._clock():
            raise InvalidTicketError("The ticket has expired")
        return OperationTicket(Operation(operation), user_id, upload_id, multipart_id, expires_at)

    def _signed(self, said: str, signature: str) -> bool:
        try:
            given = _decode(signature)
            return any(hmac.compare_digest(given, _mac(key, said)) for key in self._keys)
        except ValueError:  # no base64, no ASCII
            return False


def _derived(signing_key: str) -> bytes:
    return hmac.digest(signing_key.encode(), _PURPOSE, hashlib.sha256)


def _mac(key: bytes, said: str) -> bytes:
    return hmac.digest(key, said.encode("ascii"), hashlib.sha256)


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    """Raises ValueError, also for a spelling of the same bytes that `_encode` would not use."""
    data = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
    if _encode(data) != text:
        raise binascii.Error("not the canonical spelling")
    return data
