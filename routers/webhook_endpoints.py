"""Where the application hears: webhook endpoints, for administrators."""

from typing import Annotated

import structlog
from fastapi import APIRouter, Path, Query, Response, status
from pydantic import BaseModel, Field

import errors
from auth.callers import Caller
from routers import cursor as cursors
from routers.caller import AdminCaller
from routers.endpoint_schemas import (
    DeliveryPage,
    DeliveryResponse,
    EndpointChanges,
    EndpointList,
    EndpointRequest,
    EndpointResponse,
    EndpointTrialResponse,
    EndpointWithSecret,
    ReplayRequest,
    ReplayResponse,
)
from routers.failures import CALLER, JSON_BODY
from routers.json_body import JSON_ONLY
from routers.no_store import NO_STORE
from routers.problems import responses
from routers.services import Services, Wired
from service.delivery.endpoint_ports import DeliveryStatus

router = APIRouter(prefix="/v1/admin/webhook-endpoints", tags=["admin"], dependencies=[NO_STORE])

_log = structlog.get_logger("uploadgate.webhook_endpoints")
_ONE = (*CALLER, errors.EndpointNotFoundError)
_CREATE = (*CALLER, *JSON_BODY, errors.InvalidEndpointError, errors.TooManyEndpointsError)
_CHANGE = (*_ONE, *JSON_BODY, errors.InvalidEndpointError)
EndpointId = Annotated[str, Path(max_length=64, description="The endpoint's id.")]


@router.get(
    "",
    operation_id="list_webhook_endpoints",
    summary="List webhook endpoints",
    responses=responses(*CALLER),
)
async def list_webhook_endpoints(_: AdminCaller, services: Wired) -> EndpointList:
    """All of them, the oldest first; never with a secret."""
    found = await services.endpoints.list()
    return EndpointList(items=[EndpointResponse.of(endpoint) for endpoint in found])


@router.post(
    "",
    operation_id="create_webhook_endpoint",
    summary="Add a webhook endpoint",
    status_code=status.HTTP_201_CREATED,
    responses=responses(*_CREATE),
    dependencies=[JSON_ONLY],
)
async def create_webhook_endpoint(
    body: EndpointRequest, caller: AdminCaller, services: Wired, response: Response
) -> EndpointWithSecret:
    """It hears of what happens from now on. The secret is in this answer and in no other."""
    endpoint = await services.endpoints.create(
        body.url,
        description=body.description,
        event_types=body.event_types,
        secret=body.own_secret(),
    )
    _tell("created", endpoint.id, caller)
    response.headers["Location"] = f"{router.prefix}/{endpoint.id}"
    return EndpointWithSecret.of(endpoint)


@router.get(
    "/{endpoint_id}",
    operation_id="get_webhook_endpoint",
    summary="Show a webhook endpoint",
    responses=responses(*_ONE),
)
async def get_webhook_endpoint(
    endpoint_id: EndpointId, _: AdminCaller, services: Wired
) -> EndpointResponse:
    """Never with its secret."""
    return EndpointResponse.of(await services.endpoints.get(endpoint_id))


@router.patch(
    "/{endpoint_id}",
    operation_id="update_webhook_endpoint",
    summary="Change a webhook endpoint",
    responses=responses(*_CHANGE),
    dependencies=[JSON_ONLY],
)
async def update_webhook_endpoint(
    endpoint_id: EndpointId, body: EndpointChanges, caller: AdminCaller, services: Wired
) -> EndpointResponse:
    """Enabled again, it gets what waits for it. What happened while it was disabled was not kept
    for it: that takes a replay.
    """
    changes = body.changes()
    endpoint = await services.endpoints.change(endpoint_id, changes)
    _tell("changed", endpoint.id, caller, changed=sorted(changes))
    return EndpointResponse.of(endpoint)


@router.delete(
    "/{endpoint_id}",
    operation_id="delete_webhook_endpoint",
    summary="Remove a webhook endpoint",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(*_ONE),
)
async def delete_webhook_endpoint(
    endpoint_id: EndpointId, caller: AdminCaller, services: Wired
) -> None:
    """With its deliveries, also those that wait."""
    await services.endpoints.delete(endpoint_id)
    _tell("deleted", endpoint_id, caller)


@router.post(
    "/{endpoint_id}/rotate",
    operation_id="rotate_webhook_secret",
    summary="Give a webhook endpoint a new secret",
    responses=responses(*_ONE),
)
async def rotate_webhook_secret(
    endpoint_id: EndpointId, caller: AdminCaller, services: Wired
) -> EndpointWithSecret:
    """The secret till now signs beside the new one until `previous_secret_until`; one that was
    replaced earlier ends at once.
    """
    endpoint = await services.endpoints.rotate(endpoint_id)
    _tell("rotated", endpoint.id, caller)
    return EndpointWithSecret.of(endpoint)


@router.post(
    "/{endpoint_id}/test",
    operation_id="test_webhook_endpoint",
    summary="Send a test message to a webhook endpoint",
    responses=responses(*_ONE),
)
async def test_webhook_endpoint(
    endpoint_id: EndpointId, caller: AdminCaller, services: Wired
) -> EndpointTrialResponse:
    """A `webhook.test`, sent at once and once only: also to an endpoint that is disabled, and
    whatever its `event_types` are. What came of it is in this answer and kept nowhere; a 410
    disables nothing.
    """
    trial = EndpointTrialResponse.of(await services.trials.make(endpoint_id))
    _tell("tested", endpoint_id, caller, **trial.model_dump())
    return trial


class DeliveryQuery(BaseModel):
    """Which of the endpoint's deliveries, and how many of them."""

    status: DeliveryStatus | None = None
    cursor: Annotated[str, Field(max_length=256)] | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 50


@router.get(
    "/{endpoint_id}/deliveries",
    operation_id="list_webhook_deliveries",
    summary="List what was sent to a webhook endpoint",
    responses=responses(*_ONE),
)
async def list_webhook_deliveries(
    endpoint_id: EndpointId,
    asked: Annotated[DeliveryQuery, Query()],
    _: AdminCaller,
    services: Wired,
) -> DeliveryPage:
    """And what is going to be. Newest first."""
    page, following = await services.endpoints.deliveries(
        endpoint_id,
        status=asked.status,
        after=cursors.decode(asked.cursor) if asked.cursor is not None else None,
        limit=asked.limit,
    )
    return DeliveryPage(
        items=[DeliveryResponse.of(record) for record in page],
        next_cursor=cursors.encode(following) if following else None,
    )


@router.post(
    "/{endpoint_id}/replay",
    operation_id="replay_webhook_events",
    summary="Send a webhook endpoint its events again",
    responses=responses(*_ONE, *JSON_BODY),
    dependencies=[JSON_ONLY],
)
async def replay_webhook_events(
    endpoint_id: EndpointId, body: ReplayRequest, caller: AdminCaller, services: Wired
) -> ReplayResponse:
    """Under the ids they had, signed anew with a new timestamp. Those delivered go out again
    unless `only_failed`; those it never got, since it was disabled or not there yet, go out for
    the first time.
    """
    replayed = await _replayed(services, endpoint_id, body)
    _tell("replayed", endpoint_id, caller, events=replayed)
    return ReplayResponse(replayed=replayed)


async def _replayed(services: Services, endpoint_id: str, body: ReplayRequest) -> int:
    if body.since is not None:
        return await services.endpoints.replay(
            endpoint_id,
            since=body.since,
            until=body.until,
            types=body.event_types,
            only_failed=body.only_failed,
        )
    return await services.endpoints.replay_event(endpoint_id, body.event_id or "")


def _tell(what: str, endpoint_id: str, caller: Caller, **more: object) -> None:
    """Who did it. Not the URL: some carry a secret."""
    _log.info(f"webhook_endpoint.{what}", endpoint_id=endpoint_id, by=caller.user_id, **more)
