"""The store's word. A source gets its 2xx once the events are committed, and 5xx for anything
that may pass: SNS counts 4xx as delivered and never sends again, EventBridge gives up after one.
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.types import Receive, Scope

import errors
from routers.doors import JSON, Answer, received_body
from routers.early_bodies import EarlyBodies
from routers.middleware.body_limit import WHOLE_BODY
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

# What a stranger can bring about as often as he likes.
_TOLD_BY_DOORS = (*NEVER_RIGHT, errors.WebhookUnverifiableError)
_HEAD = "uploadgate.webhook_head"
"""Key of the scope: the headers, once they have been admitted."""


class Accepted(BaseModel):
    """How many events of the message were new; a repeated message has none."""

    accepted: int = Field(examples=[1])


async def _take(
    receiver: NotificationReceiver | None, scope: Scope, receive: Receive, services: Services
) -> int:
    """How many events were new."""
    try:
        if receiver is None:
            raise errors.WebhookDisabledError
        head = scope.get(_HEAD) or _admitted(receiver, scope)
        body = scope.get(WHOLE_BODY)
        if body is None:
            body = await received_body(receive)
        return await services.completion.accept(await receiver.receive(body, head))
    except errors.UploadgateError as error:
        raise _for_a_source(error) from error.__cause__


def _admitted(receiver: NotificationReceiver | None, scope: Scope) -> Mapping[str, str]:
    if receiver is None:
        raise errors.WebhookDisabledError
    head = {name.decode("latin-1"): str(value, "latin-1") for name, value in scope["headers"]}
    receiver.admit(head)
    return head


def _for_a_source(error: errors.UploadgateError) -> errors.UploadgateError:
    """Whatever fails as a 4xx elsewhere (a slow body's 408), here it is a 503."""
    if isinstance(error, NEVER_RIGHT) or STATUS[type(error)] >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return error
    return errors.WebhookUnverifiableError(str(error), retry_after=error.retry_after)


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
    """The short way to one of these routes, in two steps: `arrival` before the gate, `answer`
    behind it. `early` reads the bodies of a source whose head proves nothing.
    """

    method = "POST"

    def __init__(self, path: str, receiver: Receiver, early: EarlyBodies | None = None) -> None:
        self.path = path
        self._receiver = receiver
        self._early = early
        self._refusals = Refusals(path.rsplit("/", 1)[-1])

    async def arrival(self, scope: Scope, receive: Receive) -> bytes | None:
        """The body, where it is read early: to be given to `departure`. Raises UploadgateError,
        which the log has heard of, and ClientDisconnect.
        """
        services: Services | None = scope["state"].get("services")
        if services is None:
            return None  # a fault of ours, told where such are told
        try:
            scope[_HEAD] = _admitted(self._receiver(services), scope)
            return None if self._early is None else await self._early.read(receive)
        except errors.UploadgateError as error:
            refusal = _for_a_source(error)
            self._refusals.tell(refusal)
            raise refusal from error.__cause__

    def departure(self, body: bytes) -> None:
        if self._early is not None:
            self._early.release(body)

    async def answer(self, scope: Scope, receive: Receive) -> Answer:
        services: Services = scope["state"]["services"]
        try:
            new = await _take(self._receiver(services), scope, receive, services)
        except _TOLD_BY_DOORS as error:
            self._refusals.tell(error)
            raise
        return Answer(b'{"accepted":%d}' % new, (JSON,))


def doors() -> list[WebhookDoor]:
    return [
        WebhookDoor(f"{router.prefix}/sns", lambda services: services.sns, EarlyBodies()),
        WebhookDoor(f"{router.prefix}/eventbridge", lambda services: services.eventbridge),
        WebhookDoor(f"{router.prefix}/seaweedfs", lambda services: services.seaweedfs),
    ]
