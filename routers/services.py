"""What the routes work with: built once by main.create_app, carried by the lifespan's state."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from auth.accounts import Accounts
from service.completion.completion import Completion
from service.completion.ports import NotificationReceiver
from service.grants.grants import Grants
from service.readiness import Readiness
from service.uploads.completing import Completing
from service.uploads.creation import Creation
from service.uploads.downloads import Downloads
from service.uploads.relay import Relay
from service.uploads.transfers import Transfers
from service.uploads.uploads import Uploads
from service.uploads.verdicts import Verdicts


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
    downloads: Downloads
    verdicts: Verdicts
    completion: Completion
    readiness: Readiness
    seaweedfs: NotificationReceiver | None = None
    sns: NotificationReceiver | None = None


async def _services(request: Request) -> Services:
    """Coroutine, like every dependency here: FastAPI sends plain functions to a thread each."""
    services: Services = request.state.services
    return services


Wired = Annotated[Services, Depends(_services)]
