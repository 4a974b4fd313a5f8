"""What the service sends to the application's endpoints, as the OpenAPI document's `webhooks`.

Nothing here is ever called: these are the calls that receivers implement.
"""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, status
from pydantic import BaseModel

from routers.event_schemas import IdentityChangedEvent, UploadEvent, WebhookTestEvent
from service.delivery.events import DEFAULT_TYPES, EventType
from service.delivery.trial import TRIAL_TYPE

_ABOUT: dict[EventType, str] = {
    EventType.COMPLETED: "The object has arrived and was verified: use it",
    EventType.REJECTED: "What arrived breaks the rules, or a verdict says so; it is deleted",
    EventType.ABORTED: "The upload was given up by its client",
    EventType.EXPIRED: "Nothing arrived in time",
    EventType.DELETED: "A completed upload was deleted by its owner",
    EventType.REPLACED: "A completed object was written again: other bytes stand there now",
    EventType.QUARANTINED: "It has arrived and waits for a verdict",
    EventType.IDENTITY_CHANGED: "A user has another identity, and with it another folder",
}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    status.HTTP_410_GONE: {"description": "Send nothing any more: the endpoint is disabled."},
    "default": {
        "description": "Sent again with the same `webhook-id`, after `Retry-After` or by the "
        "service's plan. A redirect is not followed."
    },
}
_TRIED: dict[int | str, dict[str, Any]] = {
    "default": {"description": "Told to the administrator. Nothing is sent again or disabled."}
}
_HEADERS = {
    "webhook-id": "The same for every attempt, for ever: take each once.",
    "webhook-timestamp": "Of this attempt, in seconds since 1970. Refuse what is minutes old.",
    "webhook-signature": "`v1,` and the base64 of an HMAC-SHA256 over `id.timestamp.body`; two of "
    "them, with a space between, for a day after the secret was replaced.",
}

_TAKEN = "Taken, as by any 2xx: answer once the id is kept with its effect, and soon."


def offered() -> APIRouter:
    router = APIRouter()
    for kind, summary in _ABOUT.items():
        body = IdentityChangedEvent if kind is EventType.IDENTITY_CHANGED else UploadEvent
        router.add_api_route(
            kind.value,
            _receiver(body),
            summary=summary,
            description=_description(kind),
            responses=_ANSWERS,
            **_common(kind.value),
        )
    router.add_api_route(
        TRIAL_TYPE,
        _receiver(WebhookTestEvent),
        summary="A test message: an administrator tries the endpoint",
        description="Signed like any other, whatever the endpoint's `event_types`; once, when it "
        "is asked for. Do nothing but answer.",
        responses=_TRIED,
        **_common(TRIAL_TYPE),
    )
    return router


def _common(kind: str) -> dict[str, Any]:
    return {
        "methods": ["POST"],
        "operation_id": f"receive_{kind.replace('.', '_')}",
        "status_code": status.HTTP_204_NO_CONTENT,
        "response_description": _TAKEN,
        "openapi_extra": {"parameters": [_header(*each) for each in _HEADERS.items()]},
    }


def _receiver(body: type[BaseModel]) -> Callable[..., None]:
    """What FastAPI reads the shape of the body from."""

    def receive(event: Any) -> None: ...

    receive.__annotations__["event"] = body
    return receive


def _description(kind: EventType) -> str:
    asked = "every endpoint" if kind in DEFAULT_TYPES else "endpoints whose `event_types` name it"
    return f"Signed after Standard Webhooks; at least once, in any order; to {asked}."


def _header(name: str, about: str) -> dict[str, Any]:
    text = {"type": "string"}
    return {"name": name, "in": "header", "required": True, "description": about, "schema": text}
