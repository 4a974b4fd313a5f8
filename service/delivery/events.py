"""What the application and the page are told: one event for each transition that counts.

An event is written in the very transaction of the transition, so that there is never one without
the other. The same row serves three readers: the timeline of an upload, the page's event stream
(by the user's sequence) and the outgoing webhooks (the outbox).
"""

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from service.uploads.model import Checksum, Upload, UploadStatus


class EventType(StrEnum):
    UPLOADING = "upload.uploading"
    RECEIVED = "upload.received"
    QUARANTINED = "upload.quarantined"
    COMPLETED = "upload.completed"
    REJECTED = "upload.rejected"
    ABORTED = "upload.aborted"
    EXPIRED = "upload.expired"
    DELETED = "upload.deleted"
    REPLACED = "upload.replaced"
    IDENTITY_CHANGED = "identity.changed"


# What an endpoint gets that asks for nothing in particular.
DEFAULT_TYPES = frozenset(
    {
        EventType.COMPLETED,
        EventType.REJECTED,
        EventType.ABORTED,
        EventType.EXPIRED,
        EventType.DELETED,
        EventType.REPLACED,
        EventType.IDENTITY_CHANGED,
    }
)
# What an endpoint can ask for: a scanner that gives its verdict by a call wants to know when.
OFFERED_TYPES = DEFAULT_TYPES | {EventType.QUARANTINED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One event, before its place in the user's sequence is known. `id` is the webhook-id, the
    same for ever. `data` is JSON.
    """

    id: str
    type: EventType
    user_id: str
    at: datetime
    data: Mapping[str, Any]
    upload_id: str | None = None
    before: UploadStatus | None = None
    after: UploadStatus | None = None
    reason: str | None = None

    def payload(self, sequence: int) -> str:
        """The body of the webhook and of the page's event."""
        return rendered(self.type.value, self.at, {"sequence": sequence, **self.data})


def rendered(kind: str, at: datetime, data: Mapping[str, Any]) -> str:
    """In Standard Webhooks' shape."""
    whole = {"type": kind, "timestamp": rfc3339(at), "data": data}
    return json.dumps(whole, separators=(",", ":"), ensure_ascii=False)


def upload_happening(before: UploadStatus | None, after: Upload, at: datetime) -> Happening:
    """`before` is None for a record that begins in a state that counts (an adopted object)."""
    return Happening(
        id=new_id(),
        type=EventType(f"upload.{after.status}"),
        user_id=after.user_id,
        at=at,
        data={"previous_status": before, "upload": shown(after)},
        upload_id=after.id,
        before=before,
        after=after.status,
        reason=after.status_reason,
    )


def identity_happening(
    *, user_id: str, pool_id: str, identity_id: str, before: str, at: datetime
) -> Happening:
    """The user's folder changes with it: what was uploaded before lies under the old one."""
    return Happening(
        id=new_id(),
        type=EventType.IDENTITY_CHANGED,
        user_id=user_id,
        at=at,
        data={
            "user_id": user_id,
            "identity_pool_id": pool_id,
            "identity_id": identity_id,
            "previous_identity_id": before,
        },
    )


def shown(upload: Upload) -> dict[str, Any]:
    """The upload as the wire shows it, with its owner, without what a client sends with."""
    return {
        "id": upload.id,
        "user_id": upload.user_id,
        "status": upload.status.value,
        "status_reason": upload.status_reason,
        "origin": upload.origin.value,
        "transport": upload.transport.value,
        "profile": upload.profile,
        "filename": upload.filename,
        "content_type": upload.content_type,
        "size": upload.declared_size if upload.size is None else upload.size,
        "checksum": _checksum(upload.declared_checksum if upload.etag is None else upload.checksum),
        "etag": upload.etag,
        "version_id": upload.version_id,
        "bucket": upload.bucket,
        "key": upload.key,
        "metadata": dict(upload.metadata),
        "created_at": rfc3339(upload.created_at),
        "updated_at": rfc3339(upload.updated_at),
        "completed_at": None if upload.completed_at is None else rfc3339(upload.completed_at),
    }


def _checksum(checksum: Checksum | None) -> dict[str, str] | None:
    if checksum is None:
        return None
    return {"algorithm": checksum.algorithm, "value": checksum.value}


def rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def new_id() -> str:
    """Sorts by time, which keeps the index of a large table warm at one end."""
    return f"evt_{time.time_ns() // 1000:014x}{secrets.token_hex(8)}"
