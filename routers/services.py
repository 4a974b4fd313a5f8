"""What the routes work with: built once by main.create_app, carried by the lifespan's state."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from auth.accounts import Accounts
from service.completion.completion import Completion
from service.completion.ports import NotificationReceiver
from service.completion.timeline import Timeline
from service.delivery.endpoints import Endpoints
from service.delivery.streams import Streams
from service.delivery.trial import Trials
from service.grants.grants import Grants
from service.readiness import Readiness
from service.uploads.completing import Completing
from service.uploads.creation import Creation
from service.uploads.downloads import Downloads
from service.uploads.operation_tickets import OperationTickets
from service.uploads.own_parts import OwnParts
from service.uploads.relay import Relay
from service.uploads.ticketing import Ticketing
from service.uploads.transfers import Transfers
from service.uploads.uploads import Uploads
from service.uploads.verdicts import Verdicts


@dataclass(frozen=True, slots=True)
class Sites:
    """The bucket, this service's address as clients reach it, and an object's by bucket and key."""

    bucket: str
    public_url: str
    object_url: Callable[[str, str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """A webhook source that is not configured is None."""

    accounts: Accounts
    grants: Grants
    uploads: Uploads
    creation: Creation
    transfers: Transfers
    completing: Completing
    relay: Relay
    own_parts: OwnParts
    operation_tickets: OperationTickets
    ticketing: Ticketing
    sites: Sites
    downloads: Downloads
    verdicts: Verdicts
    completion: Completion
    readiness: Readiness
    timeline: Timeline
    endpoints: Endpoints
    trials: Trials
    streams: Streams
    seaweedfs: NotificationReceiver | None = None
    sns: NotificationReceiver | None = None
    eventbridge: NotificationReceiver | None = None


async def _services(request: Request) -> Services:
    """Coroutine, like every dependency here: FastAPI sends plain functions to a thread each."""
    services: Services = request.state.services
    return services


Wired = Annotated[Services, Depends(_services)]
