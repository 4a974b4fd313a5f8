"""What happens on the way of one file, for whoever shows or counts it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Begun:
    """The record there is now; with `kept` bytes at the store from an earlier try."""

    upload_id: str
    transport: str | None
    pieces: int
    kept_pieces: int = 0
    kept: int = 0


@dataclass(frozen=True, slots=True)
class PieceStored:
    """`number` 0 is a file that went in one request."""

    number: int
    transport: str


@dataclass(frozen=True, slots=True)
class PieceResent:
    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class KeysRenewed:
    """Temporary credentials were issued anew, good until then by this machine's clock."""

    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Switched:
    """From here on the pieces go by `to`; those that are stored stay."""

    before: str
    to: str
    reason: str


@dataclass(frozen=True, slots=True)
class Restarted:
    """The store has dropped the multipart: all goes again, into a new one."""


Event = Begun | PieceStored | PieceResent | KeysRenewed | Switched | Restarted
OnEvent = Callable[[Event], None]
Progress = Callable[[int], None]
"""Called with the bytes sent since the last call; negative when a piece starts again."""


def ignore(_: object) -> None:
    return
