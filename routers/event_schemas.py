"""What an event says: the body of an outgoing webhook, and `data` on a page's event stream."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from routers.upload_schemas import ChecksumSchema
from service.uploads.model import Origin, Transport, UploadStatus

UploadEventType = Literal[
    "upload.completed",
    "upload.rejected",
    "upload.aborted",
    "upload.expired",
    "upload.deleted",
    "upload.replaced",
    "upload.quarantined",
]


class EventUpload(BaseModel):
    """The upload as it was after the transition, without what a client sends with."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(examples=["upl_0b9f6a5c1d2e4f30a1b2c3d4e5f60718"])
    user_id: str = Field(description="Whose it is.")
    status: UploadStatus
    status_reason: str | None = Field(description="A sentence for people; may change.")
    origin: Origin = Field(description="`adopted`: an object that came without an announcement.")
    transport: Transport
    profile: str
    filename: str
    content_type: str
    size: int | None = Field(description="In bytes: what arrived, before that what was announced.")
    checksum: ChecksumSchema | None
    etag: str | None = Field(description="Of the object that was verified.")
    version_id: str | None = Field(description="Where the bucket is versioned.")
    bucket: str
    key: str
    metadata: dict[str, str] = Field(description="What was given when the upload was created.")
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None


class UploadEventData(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sequence: int = Field(
        description="Counts the events of this user from 1 on. Messages may overtake one another: "
        "of two about one upload the higher number is the later state."
    )
    previous_status: UploadStatus | None = Field(
        description="Null for an object that was adopted in this state."
    )
    upload: EventUpload


class UploadEvent(BaseModel):
    """An upload has reached a state that counts."""

    model_config = ConfigDict(extra="forbid")

    type: UploadEventType
    timestamp: datetime = Field(description="When it happened.")
    data: UploadEventData


class IdentityChangedData(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sequence: int
    user_id: str
    identity_pool_id: str
    identity_id: str = Field(description="The user's folder from now on.")
    previous_identity_id: str = Field(description="What was uploaded before lies in its folder.")


class IdentityChangedEvent(BaseModel):
    """Cognito has given the user another identity, and with it another folder."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["identity.changed"]
    timestamp: datetime = Field(description="When it happened.")
    data: IdentityChangedData
