"""The upload: one record a file, and the names of its states."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal


class UploadStatus(StrEnum):
    """`received` has arrived and is not yet verified; `replaced` is a completed upload whose
    object was written again afterwards, verified anew.
    """

    PENDING = "pending"
    UPLOADING = "uploading"
    RECEIVED = "received"
    QUARANTINED = "quarantined"
    COMPLETED = "completed"
    REJECTED = "rejected"
    ABORTED = "aborted"
    EXPIRED = "expired"
    DELETED = "deleted"
    REPLACED = "replaced"


class Transport(StrEnum):
    """How the bytes go from the client to the store."""

    CREDENTIALS = "credentials"
    PRESIGNED = "presigned"
    RELAY = "relay"


class Origin(StrEnum):
    """Who began the record: a call of the API, or an object that came without one."""

    API = "api"
    ADOPTED = "adopted"


ChecksumAlgorithm = Literal["CRC32", "CRC64NVME"]


@dataclass(frozen=True, slots=True)
class Checksum:
    """Of the full object, never composite. `value` is base64, as S3 writes it."""

    algorithm: ChecksumAlgorithm
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A record keeps the bucket and key it was made with. Sizes are in bytes, times in UTC.

    `declared_*` is what the client announced (no size: a client that cannot say), the plain field
    what the store has. `looks` counts the sweep's visits, `next_look_at` is None when nothing more
    can be learnt. `charged` is what it counts against the quota now.

    `part_size` and `part_count` are the plan, None for a single PUT and where the client plans
    its parts itself. `multipart_id` is the store's id of the one multipart that the service made
    for this record and may complete; it comes after the record, and is None again once that
    multipart is completed or aborted. `sequencer` is that of the newest event of its key that has
    moved it (S3 only).
    """

    id: str
    user_id: str
    status: UploadStatus
    origin: Origin
    transport: Transport
    transport_reason: str
    profile: str
    filename: str
    content_type: str
    bucket: str
    key: str
    created_at: datetime
    updated_at: datetime
    expires_at: datetime
    metadata: Mapping[str, str]
    status_reason: str | None = None
    declared_size: int | None = None
    size: int | None = None
    declared_checksum: Checksum | None = None
    checksum: Checksum | None = None
    etag: str | None = None
    version_id: str | None = None
    fingerprint: str | None = None
    completed_at: datetime | None = None
    next_look_at: datetime | None = None
    looks: int = 0
    generation: int = 0
    charged: int = 0
    part_size: int | None = None
    part_count: int | None = None
    multipart_id: str | None = None
    part_checksum: ChecksumAlgorithm | None = None
    sequencer: str | None = None
