"""The timeline of an upload on the wire."""

from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from service.completion.explanation import WaitingFor
from service.completion.history import StoreEvent, Transition, WebhookDelivery
from service.completion.timeline import Item, Story
from service.uploads.model import Origin, Upload, UploadStatus


class CreatedItem(BaseModel):
    """The record was made."""

    kind: Literal["created"] = "created"
    at: datetime
    origin: Origin
    profile: str
    size: int | None = Field(description="In bytes, as it was announced.")
    expires_at: datetime

    @classmethod
    def of(cls, upload: Upload) -> "CreatedItem":
        return cls(
            at=upload.created_at,
            origin=upload.origin,
            profile=upload.profile,
            size=upload.declared_size,
            expires_at=upload.expires_at,
        )


class TransitionItem(BaseModel):
    """The record went from one state into another."""

    model_config = ConfigDict(populate_by_name=True)

    kind: Literal["transition"] = "transition"
    at: datetime
    before: UploadStatus | None = Field(
        alias="from", description="Null for a record that began in this state."
    )
    after: UploadStatus = Field(alias="to")
    reason: str | None
    sequence: int = Field(description="Its place among all events of the user.")


class StoreEventItem(BaseModel):
    """A source told of something at the upload's key."""

    kind: Literal["store_event"] = "store_event"
    received_at: datetime
    source: str = Field(examples=["sns"])
    event_time: datetime | None = Field(description="By the source's clock.")
    size: int | None = Field(description="In bytes; this and the next four as the source says.")
    etag: str | None
    version_id: str | None
    sequencer: str | None
    outcome: str | None = Field(
        description="What came of it, in a word; where it was given up, why.",
        examples=["completed"],
    )
    attempts: int = Field(description="How often it was taken up.")
    failed: bool = Field(description="It was given up.")
    next_attempt_at: datetime | None = Field(
        description="Null once it is settled. While somebody is at it: when it is taken up again "
        "if they do not finish."
    )
    raw: Any = Field(description="The source's own JSON, in part.")


class WebhookItem(BaseModel):
    """An event of this upload was to be sent to the application. Neither delivered nor to be tried
    again: it was given up.
    """

    kind: Literal["webhook"] = "webhook"
    at: datetime
    endpoint_id: str
    event_id: str
    attempts: int
    last_status: int | None
    last_error: str | None
    next_attempt_at: datetime | None
    delivered_at: datetime | None


TimelineItem: TypeAlias = Annotated[
    CreatedItem | TransitionItem | StoreEventItem | WebhookItem, Field(discriminator="kind")
]


class TimelineResponse(BaseModel):
    """Why an upload is where it is. `items` are in order of time; the store's events among
    themselves in the store's order, where it gives them one.
    """

    upload_id: str
    status: UploadStatus
    status_reason: str | None
    waiting_for: WaitingFor | None = Field(
        description="Who has to do something next; null where nothing more is expected. "
        "`verification` is the service itself."
    )
    explanation: str = Field(
        description="One English sentence, for people.",
        examples=["It is in quarantine since 2030-01-01 00:00:00 UTC, waiting for a verdict."],
    )
    next_look_at: datetime | None = Field(
        description="When the service looks at the store of its own accord: a time that is past "
        "means with its next sweep, null no more. Where `waiting_for` is null it is a precaution, "
        "and `explanation` says against what."
    )
    looks: int = Field(description="How often it has looked, and found nothing, so far.")
    server_time: datetime
    truncated: bool = Field(description="There are older items that are not shown.")
    items: list[TimelineItem]

    @classmethod
    def of(cls, story: Story) -> "TimelineResponse":
        upload = story.upload
        return cls(
            upload_id=upload.id,
            status=upload.status,
            status_reason=upload.status_reason,
            waiting_for=story.explanation.waiting_for,
            explanation=story.explanation.sentence,
            next_look_at=upload.next_look_at,
            looks=upload.looks,
            server_time=story.told_at,
            truncated=story.truncated,
            items=[_item(item) for item in story.items],
        )


def _item(item: Item) -> CreatedItem | TransitionItem | StoreEventItem | WebhookItem:
    match item:
        case Upload():
            return CreatedItem.of(item)
        case Transition():
            return TransitionItem(**_fields(item))
        case StoreEvent():
            return StoreEventItem(**_fields(item))
        case WebhookDelivery():
            return WebhookItem(**_fields(item))


def _fields(item: Transition | StoreEvent | WebhookDelivery) -> dict[str, Any]:
    """As they are: dataclasses.asdict copies each `raw` deeply, at the cost of the event loop."""
    return {each.name: getattr(item, each.name) for each in fields(item)}
