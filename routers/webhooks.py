"""The store's word. A source gets its 2xx once the events are committed, and 5xx for anything
that may pass: SNS counts 4xx as delivered and never sends again.
"""

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

import errors
from routers.problems import responses
from routers.services import Services, Wired
from service.completion.ports import NotificationReceiver

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])

_PROBLEMS = responses(
    errors.WebhookDisabledError,
    errors.WebhookForgedError,
    errors.WebhookMalformedError,
    errors.WebhookUnverifiableError,
    errors.BodyTooLargeError,
    errors.OverloadedError,
    errors.UnavailableError,
)


class Accepted(BaseModel):
    """How many events of the message were new; a repeated message has none."""

    accepted: int = Field(examples=[1])


async def _take(
    receiver: NotificationReceiver | None, request: Request, services: Services
) -> Accepted:
    if receiver is None:
        raise errors.WebhookDisabledError
    headers = {name.lower(): value for name, value in request.headers.items()}
    receiver.admit(headers)
    events = await receiver.receive(await request.body(), headers)
    return Accepted(accepted=await services.completion.accept(events))


@router.post(
    "/seaweedfs",
    operation_id="receive_seaweedfs",
    summary="Take a notification of the SeaweedFS filer",
    responses=_PROBLEMS,
    openapi_extra={"requestBody": {"content": {"application/json": {"schema": {}}}}},
)
async def receive_seaweedfs(request: Request, services: Wired) -> Accepted:
    """Proved by the bearer token of the filer's `notification.toml`."""
    return await _take(services.seaweedfs, request, services)


@router.post(
    "/sns",
    operation_id="receive_sns",
    summary="Take a message of Amazon SNS",
    responses=_PROBLEMS,
    openapi_extra={"requestBody": {"content": {"text/plain": {"schema": {}}}}},
)
async def receive_sns(request: Request, services: Wired) -> Accepted:
    """Proved by the message's own signature; subscriptions are confirmed by API."""
    return await _take(services.sns, request, services)
