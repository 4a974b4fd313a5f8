"""What an event says: the body of an outgoing webhook, and `data` on a page's event stream.

Fields may be added to any of it, so no shape forbids those that it does not name.
"""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from routers.event_examples import TEST_EVENT, UPLOAD_EVENT
from routers.upload_schemas import ChecksumSchema
from service.uploads.model import Origin, Transport, UploadStatus

_SEQUENCE = (
    "Counts the events of this user from 1 on, those that only a page is told among them: gaps are "
    "normal."
)
# What webhooks tell. Pages are told `upload.uploading` besides.
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
    sequence: int = Field(
        description=f"{_SEQUENCE} Messages may overtake one another: of two events of one upload "
        "the higher number is the later."
    )
    previous_status: UploadStatus | None = Field(
        description="Null for an object that was adopted in this state."
    )
    upload: EventUpload


class UploadEvent(BaseModel):
    """An upload has reached a state that counts. On a page's stream `type` may also be
    `upload.uploading`.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [UPLOAD_EVENT]})

    type: UploadEventType
    timestamp: datetime = Field(description="When it happened.")
    data: UploadEventData


class IdentityChangedData(BaseModel):
    sequence: int = Field(description=_SEQUENCE)
    user_id: str
    identity_pool_id: str
    identity_id: str = Field(description="The user's folder from now on.")
    previous_identity_id: str = Field(description="What was uploaded before lies in its folder.")


class IdentityChangedEvent(BaseModel):
    """Cognito has given the user another identity, and with it another folder."""

    type: Literal["identity.changed"]
    timestamp: datetime = Field(description="When it happened.")
    data: IdentityChangedData


class WebhookTestData(BaseModel):
    endpoint_id: str = Field(description="The endpoint that is tried.")


class WebhookTestEvent(BaseModel):
    """An administrator tries the endpoint: nothing has happened."""

    model_config = ConfigDict(json_schema_extra={"examples": [TEST_EVENT]})

    type: Literal["webhook.test"]
    timestamp: datetime = Field(description="When it was sent.")
    data: WebhookTestData
