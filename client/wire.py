"""The answers' shapes, read tolerantly: what is not needed here may come and go."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeVar

from client.problems import BadAnswerError
from client.signed import Body, Multipart, Signed, moment, text

T = TypeVar("T")

SETTLED = frozenset({"completed", "rejected", "aborted", "expired", "deleted", "replaced"})
ARRIVED = frozenset({"received", "quarantined", "completed"})
UNFINISHED = frozenset({"pending", "uploading"})


def _maybe(body: Body, name: str, read: Callable[[Body, str], T]) -> T | None:
    return None if body.get(name) is None else read(body, name)


def _part(body: Body, name: str, read: Callable[[Body], T]) -> T | None:
    found = body.get(name)
    if found is None:
        return None
    if not isinstance(found, Mapping):
        raise BadAnswerError(f"`{name}` is not an object")
    return read(found)


@dataclass(frozen=True, slots=True)
class Tokens:
    """A login's tokens. The lives are in seconds from the time of the answer."""

    access_token: str = field(repr=False)
    expires_in: float
    refresh_token: str = field(repr=False)
    refresh_expires_in: float

    @classmethod
    def read(cls, body: Body) -> "Tokens":
        try:
            lives = float(body["expires_in"]), float(body["refresh_expires_in"])
        except (KeyError, TypeError, ValueError):
            raise BadAnswerError("the answer does not say how long the tokens live") from None
        return cls(text(body, "access_token"), lives[0], text(body, "refresh_token"), lives[1])


@dataclass(frozen=True, slots=True)
class Place:
    """Where a grant allows to write: everything under `key_prefix`. No endpoint: AWS's own."""

    region: str
    endpoint: str | None
    bucket: str
    key_prefix: str


@dataclass(frozen=True, slots=True)
class Keys:
    """Temporary AWS credentials."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Grant:
    """What `POST /v1/credentials` answered. The Cognito fields are set in that mode only."""

    mode: Literal["cognito", "presigned", "sts"]
    place: Place
    server_time: datetime
    reason: str | None = None
    identity_id: str | None = None
    logins: Mapping[str, str] = field(default_factory=dict, repr=False)
    identity_pool_id: str | None = None
    cognito_endpoint: str | None = None
    expires_at: datetime | None = None

    @classmethod
    def read(cls, body: Body) -> "Grant":
        mode = text(body, "mode")
        if mode not in ("cognito", "presigned", "sts"):
            raise BadAnswerError("a grant of a mode that this client does not know")
        endpoints: Body = body.get("endpoints") or {}
        place = Place(
            text(body, "region"),
            endpoints.get("s3"),
            text(body, "bucket"),
            text(body, "key_prefix"),
        )
        return cls(
            mode,  # type: ignore[arg-type]  # checked above
            place,
            moment(body, "server_time"),
            reason=body.get("reason"),
            identity_id=text(body, "identity_id") if mode == "cognito" else None,
            logins=body.get("logins") or {},
            identity_pool_id=body.get("identity_pool_id"),
            cognito_endpoint=endpoints.get("cognito_identity"),
            expires_at=_maybe(body, "expires_at", moment),
        )


@dataclass(frozen=True, slots=True)
class Exchanged:
    """What `POST /v1/credentials/exchange` answered."""

    keys: Keys
    place: Place
    server_time: datetime

    @classmethod
    def read(cls, body: Body) -> "Exchanged":
        keys = Keys(
            text(body, "access_key_id"),
            text(body, "secret_access_key"),
            text(body, "session_token"),
            moment(body, "expires_at"),
        )
        place = Place(
            text(body, "region"),
            body.get("endpoint"),
            text(body, "bucket"),
            text(body, "key_prefix"),
        )
        return cls(keys, place, moment(body, "server_time"))


@dataclass(frozen=True, slots=True)
class Checksum:
    """Of the full object; `value` is the big-endian digest in base64, as S3 writes it."""

    algorithm: str
    value: str

    @classmethod
    def read(cls, body: Body) -> "Checksum":
        return cls(text(body, "algorithm"), text(body, "value"))


@dataclass(frozen=True, slots=True)
class Upload:
    """A record. `raw` is the whole answer, as the API shows it; while `put` is there it holds an
    address that is as good as the bytes, and is not for people's eyes.
    """

    id: str
    status: str
    status_reason: str | None
    bucket: str
    key: str
    content_type: str | None
    created_at: datetime
    completed_at: datetime | None
    raw: Body = field(repr=False)
    transport: str | None = None
    profile: str | None = None
    size: int | None = None
    checksum: Checksum | None = None
    multipart: Multipart | None = None
    put: Signed | None = None
    server_time: datetime | None = None

    @property
    def settled(self) -> bool:
        return self.status in SETTLED

    @classmethod
    def read(cls, body: Body) -> "Upload":
        return cls(
            text(body, "id"),
            text(body, "status"),
            body.get("status_reason"),
            text(body, "bucket"),
            text(body, "key"),
            body.get("content_type"),
            moment(body, "created_at"),
            _maybe(body, "completed_at", moment),
            body,
            transport=body.get("transport"),
            profile=body.get("profile"),
            size=body.get("size"),
            checksum=_part(body, "checksum", Checksum.read),
            multipart=_part(body, "multipart", Multipart.read),
            put=_part(body, "put", Signed.read),
            server_time=_maybe(body, "server_time", moment),
        )
