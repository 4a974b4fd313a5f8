"""What an upload's answers say about sending: its parts, and addresses signed for them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from client.problems import BadAnswerError

Body = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Multipart:
    """The service's own multipart: `part_count` parts of `part_size` bytes, the last as long as
    what remains. With a `checksum_algorithm` (CRC32, CRC64NVME) each part carries its own.
    """

    upload_id: str
    part_size: int
    part_count: int
    checksum_algorithm: str | None = None

    @classmethod
    def read(cls, body: Body) -> "Multipart":
        return cls(
            text(body, "upload_id"),
            whole(body, "part_size"),
            whole(body, "part_count"),
            body.get("checksum_algorithm"),
        )


@dataclass(frozen=True, slots=True)
class Signed:
    """One PUT that the store takes: exactly these headers, until then by the service's clock."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    expires_at: datetime

    @classmethod
    def read(cls, body: Body) -> "Signed":
        headers = body.get("headers") or {}
        if not isinstance(headers, Mapping):
            raise BadAnswerError("`headers` is not an object")
        return cls(text(body, "url"), dict(headers), moment(body, "expires_at"))


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A part that the store has; `size` in bytes."""

    number: int
    size: int

    @classmethod
    def read(cls, body: Body) -> "StoredPart":
        return cls(whole(body, "part_number"), whole(body, "size"))


def text(body: Body, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise BadAnswerError(f"the answer lacks `{name}`")
    return value


def whole(body: Body, name: str) -> int:
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BadAnswerError(f"`{name}` is not a whole number")
    return value


def moment(body: Body, name: str) -> datetime:
    try:
        value = datetime.fromisoformat(text(body, name))
    except ValueError:
        raise BadAnswerError(f"`{name}` is not a time") from None
    if value.tzinfo is None:
        raise BadAnswerError(f"`{name}` has no time zone")
    return value
