"""Companion tickets: how a page's Uppy gets an address of its own (`companionEndpoint`)."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Body, status
from pydantic import BaseModel, ConfigDict, Field

import errors
from routers.caller import Uploader
from routers.failures import CALLER, JSON_BODY
from routers.json_body import JSON_ONLY
from routers.no_store import NO_STORE
from routers.problems import responses
from routers.services import Wired
from routers.upload_schemas import ProfileName

router = APIRouter(prefix="/v1/uppy/tickets", tags=["uppy"], dependencies=[NO_STORE])


class TicketRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    profile: ProfileName | None = Field(
        default=None, description="What its uploads are of; the default profile's otherwise."
    )


class TicketResponse(BaseModel):
    """Keep it as you keep a token: whoever has the address can upload as the caller."""

    companion_endpoint: str = Field(
        description="For Uppy's `companionEndpoint`.",
        examples=["https://uploads.example/v1/uppy/upt_…"],
    )
    expires_at: datetime = Field(
        description="Nothing begins after it, and what was begun expires with it."
    )


@router.post(
    "",
    operation_id="create_uppy_ticket",
    summary="Get an address for Uppy",
    status_code=status.HTTP_201_CREATED,
    responses=responses(*CALLER, *JSON_BODY, errors.UnknownProfileError, errors.PolicyError),
    dependencies=[JSON_ONLY],
)
async def create_uppy_ticket(
    caller: Uploader,
    services: Wired,
    body: Annotated[TicketRequest, Body(default_factory=TicketRequest)],
) -> TicketResponse:
    """Uppy's companion mode sends no header, so the ticket stands in the address. It can only
    upload, as the caller and in this profile, until it expires or is revoked.
    """
    issued = await services.ticketing.issue(caller.user_id, body.profile)
    return TicketResponse(
        companion_endpoint=f"{services.sites.public_url}/v1/uppy/{issued.secret}",
        expires_at=issued.expires_at,
    )


@router.delete(
    "",
    operation_id="revoke_uppy_tickets",
    summary="Revoke the caller's tickets",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=responses(*CALLER),
)
async def revoke_uppy_tickets(caller: Uploader, services: Wired) -> None:
    """All of them, at once. Addresses that were signed before live out their time."""
    await services.ticketing.revoke_all(caller.user_id)
