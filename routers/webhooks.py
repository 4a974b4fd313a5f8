"""The store's word. A source gets its 2xx once the events are committed, and 5xx for anything
that may pass: SNS counts 4xx as delivered and never sends again, EventBridge gives up after one.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.types import Receive, Scope

import errors
from routers.doors import JSON, Answer, received_body
from routers.problems import STATUS, responses
from routers.refusals import Refusals
from routers.services import Services, Wired
from service.completion.ports import NotificationReceiver

Receiver = Callable[[Services], NotificationReceiver | None]

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

NEVER_RIGHT = (
    errors.WebhookDisabledError,
    errors.WebhookForgedError,
    errors.WebhookMalformedError,
    errors.BodyTooLargeError,
)
"""All that a source may hear a 4xx for: the same message would be refused for ever."""


class Accepted(BaseModel):
    """How many events of the message were new; a repeated message has none."""

    accepted: int = Field(examples=[1])


async def _take(
    receiver: NotificationReceiver | None, scope: Scope, receive: Receive, services: Services
) -> int:
    """How many events were new."""
    with _told_to_come_again():
        if receiver is None:
            raise errors.WebhookDisabledError
        headers = {
            name.decode("latin-1"): str(value, "latin-1") for name, value in scope["headers"]
        }
        receiver.admit(headers)
        events = await receiver.receive(await received_body(receive), headers)
        return await services.completion.accept(events)


@contextmanager
def _told_to_come_again() -> Iterator[None]:
    """Whatever fails as a 4xx elsewhere (a slow body's 408), here it is a 503."""
    try:
        yield
    except NEVER_RIGHT:
        raise
    except errors.UploadgateError as error:
        if STATUS[type(error)] >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        raise errors.WebhookUnverifiableError(str(error), retry_after=error.retry_after) from error


async def _accepted(
    receiver: NotificationReceiver | None, request: Request, services: Services
) -> Accepted:
    return Accepted(accepted=await _take(receiver, request.scope, request.receive, services))


@router.post(
    "/seaweedfs",
    operation_id="receive_seaweedfs",
    summary="Take a notification of the SeaweedFS filer",
    responses=_PROBLEMS,
    openapi_extra={"requestBody": {"content": {"application/json": {"schema": {}}}}},
)
async def receive_seaweedfs(request: Request, services: Wired) -> Accepted:
    """Proved by the bearer token of the filer's `notification.toml`."""
    return await _accepted(services.seaweedfs, request, services)


@router.post(
    "/sns",
    operation_id="receive_sns",
    summary="Take a message of Amazon SNS",
    responses=_PROBLEMS,
    openapi_extra={"requestBody": {"content": {"text/plain": {"schema": {}}}}},
)
async def receive_sns(request: Request, services: Wired) -> Accepted:
    """Proved by the message's own signature; subscriptions are confirmed by API."""
    return await _accepted(services.sns, request, services)


@router.post(
    "/eventbridge",
    operation_id="receive_eventbridge",
    summary="Take an event of Amazon EventBridge",
    responses=_PROBLEMS,
    openapi_extra={"requestBody": {"content": {"application/json": {"schema": {}}}}},
)
async def receive_eventbridge(request: Request, services: Wired) -> Accepted:
    """Proved by the API key of the API destination's connection."""
    return await _accepted(services.eventbridge, request, services)


class WebhookDoor:
    """The short way to one of these routes."""

    method = "POST"

    def __init__(self, path: str, receiver: Receiver) -> None:
        self.path = path
        self._receiver = receiver
        self._refusals = Refusals(path.rsplit("/", 1)[-1])

    async def answer(self, scope: Scope, receive: Receive) -> Answer:
        services: Services = scope["state"]["services"]
        try:
            new = await _take(self._receiver(services), scope, receive, services)
        except NEVER_RIGHT as error:
            self._refusals.tell(error)
            raise
        return Answer(b'{"accepted":%d}' % new, (JSON,))


def doors() -> list[WebhookDoor]:
    return [
        WebhookDoor(f"{router.prefix}/sns", lambda services: services.sns),
        WebhookDoor(f"{router.prefix}/eventbridge", lambda services: services.eventbridge),
        WebhookDoor(f"{router.prefix}/seaweedfs", lambda services: services.seaweedfs),
    ]
