"""Webhook endpoints and their deliveries on the wire."""

from collections.abc import Collection
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    model_validator,
)

from routers.upload_schemas import Printable
from service.delivery.endpoint_ports import (
    Changes,
    DeliveryRecord,
    DeliveryStatus,
    ManagedEndpoint,
)
from service.delivery.endpoints import LONGEST_DESCRIPTION, LONGEST_URL
from service.delivery.events import EventType
from service.delivery.trial import Trial

# Those of service.delivery.events.OFFERED_TYPES, to which a test holds them.
OfferedType = Literal[
    EventType.QUARANTINED,
    EventType.COMPLETED,
    EventType.REJECTED,
    EventType.ABORTED,
    EventType.EXPIRED,
    EventType.DELETED,
    EventType.REPLACED,
    EventType.IDENTITY_CHANGED,
]
EndpointUrl = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_URL)]
Description = Annotated[Printable, StringConstraints(max_length=LONGEST_DESCRIPTION)]
EventTypes = Annotated[list[OfferedType], Field(min_length=1, max_length=50)]
_WHICH = "Null: all but `upload.quarantined`."
_LONGEST_SECRET = 255


class EndpointRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    url: EndpointUrl = Field(examples=["https://app.example/hooks/uploads"])
    description: Description = ""
    event_types: EventTypes | None = Field(default=None, description=_WHICH)
    secret: Annotated[SecretStr, Field(max_length=_LONGEST_SECRET)] | None = Field(
        default=None,
        description="`whsec_` and 24 to 64 bytes in base64. Left out: a new one is made.",
    )

    def own_secret(self) -> str | None:
        return None if self.secret is None else self.secret.get_secret_value()


class EndpointChanges(BaseModel):
    """What is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    url: EndpointUrl | None = None
    description: Description | None = None
    event_types: EventTypes | None = Field(default=None, description=_WHICH)
    enabled: bool | None = Field(
        default=None, description="True also clears the reason for which it was disabled."
    )

    @model_validator(mode="after")
    def _something_for_null(self) -> Self:
        for name in self.model_fields_set - {"event_types"}:
            if getattr(self, name) is None:
                raise ValueError(f"`{name}` cannot be null")
        return self

    def changes(self) -> Changes:
        found = Changes()
        if self.url is not None:
            found["url"] = self.url
        if self.description is not None:
            found["description"] = self.description
        if self.enabled is not None:
            found["enabled"] = self.enabled
        if "event_types" in self.model_fields_set:
            found["event_types"] = types_of(self.event_types)
        return found


class EndpointResponse(BaseModel):
    """Never with a secret."""

    id: str
    url: str
    description: str
    event_types: list[EventType] | None = Field(description=_WHICH)
    enabled: bool
    disabled_reason: str | None
    previous_secret_until: datetime | None = Field(
        description="Till then the replaced secret signs beside the new one."
    )
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, endpoint: ManagedEndpoint) -> Self:
        return cls(**_shown(endpoint))


class EndpointWithSecret(EndpointResponse):
    """The one answer that shows it: keep it, it is shown no more."""

    secret: str

    @classmethod
    def of(cls, endpoint: ManagedEndpoint) -> Self:
        return cls(**_shown(endpoint), secret=endpoint.secrets[0])


class EndpointList(BaseModel):
    items: list[EndpointResponse]


class DeliveryResponse(BaseModel):
    event_id: str = Field(description="The `webhook-id`.")
    event_type: EventType
    status: DeliveryStatus
    attempts: int
    next_attempt_at: datetime | None = Field(
        description="Of a waiting one; while an attempt is under way, when it is taken for lost."
    )
    last_attempt_at: datetime | None
    last_status: int | None = Field(description="What the receiver answered last.")
    last_error: str | None
    created_at: datetime
    done_at: datetime | None

    @classmethod
    def of(cls, record: DeliveryRecord) -> Self:
        return cls(
            event_id=record.event_id,
            event_type=record.event_type,
            status=record.status,
            attempts=record.attempts,
            next_attempt_at=record.due_at,
            last_attempt_at=record.attempted_at,
            last_status=record.last_status,
            last_error=record.last_error,
            created_at=record.created_at,
            done_at=record.done_at,
        )


class DeliveryPage(BaseModel):
    items: list[DeliveryResponse]
    next_cursor: str | None


class ReplayRequest(BaseModel):
    """Either `since`, or `event_id` alone."""

    model_config = ConfigDict(extra="forbid")

    since: AwareDatetime | None = Field(default=None, description="Included, as `until` is.")
    until: AwareDatetime | None = Field(default=None, description="Left out: now.")
    event_types: EventTypes | None = Field(
        default=None, description="Of those that the endpoint wants; left out: all of them."
    )
    only_failed: bool = Field(
        default=False, description="Only what was given up or waits, not what was delivered."
    )
    event_id: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None

    @model_validator(mode="after")
    def _one_or_many(self) -> Self:
        if (self.event_id is None) is (self.since is None):
            raise ValueError("give either `since` or `event_id`")
        if self.event_id is not None and len(self.model_fields_set) > 1:
            raise ValueError("`event_id` stands alone")
        return self


class ReplayResponse(BaseModel):
    replayed: int = Field(
        description="Events that go out now. One that is being sent just now is not counted."
    )


class EndpointTrialResponse(BaseModel):
    event_id: str = Field(description="The `webhook-id`.")
    delivered: bool = Field(description="It was answered with a 2xx.")
    status: int | None = Field(description="What the receiver answered. Null: nothing.")
    error: str | None = Field(
        description="Null for what was delivered; otherwise as `last_error` of a delivery."
    )
    milliseconds: int = Field(description="How long it took.")

    @classmethod
    def of(cls, trial: Trial) -> Self:
        return cls(
            event_id=trial.event_id,
            delivered=trial.delivered,
            status=trial.status,
            error=trial.error,
            milliseconds=trial.milliseconds,
        )


def types_of(given: Collection[EventType] | None) -> frozenset[EventType] | None:
    return None if given is None else frozenset(given)


def _shown(endpoint: ManagedEndpoint) -> dict[str, object]:
    types = endpoint.event_types
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "description": endpoint.description,
        "event_types": None if types is None else sorted(types),
        "enabled": endpoint.enabled,
        "disabled_reason": endpoint.disabled_reason,
        "previous_secret_until": endpoint.previous_until,
        "created_at": endpoint.created_at,
        "updated_at": endpoint.updated_at,
    }
