"""Grants, and their exchange for clients too thin to speak to Cognito."""

from typing import Annotated

from fastapi import APIRouter, Body

from routers.caller import Uploader
from routers.failures import CALLER, COGNITO, JSON_BODY
from routers.grant_schemas import (
    CognitoGrantResponse,
    ExchangeResponse,
    Grant,
    GrantRequest,
    PresignedGrantResponse,
)
from routers.json_body import JSON_ONLY
from routers.no_store import NO_STORE
from routers.problems import responses
from routers.services import Wired
from service.grants.model import PresignedGrant

router = APIRouter(
    prefix="/v1/credentials", tags=["credentials"], dependencies=[JSON_ONLY, NO_STORE]
)

_PROBLEMS = responses(*CALLER, *JSON_BODY, *COGNITO)


@router.post("", operation_id="create_grant", summary="Get a grant", responses=_PROBLEMS)
async def create_grant(
    caller: Uploader,
    services: Wired,
    body: Annotated[GrantRequest, Body(default_factory=GrantRequest)],
) -> Grant:
    """Registers the caller with the identity pool and answers an OpenID token, which the client
    exchanges for temporary AWS credentials limited to the caller's own folder. Where policy
    forbids credentials or Cognito cannot serve, `auto` answers a presigned grant and the reason.
    """
    grant = await services.grants.grant(caller.user_id, body.mode)
    if isinstance(grant, PresignedGrant):
        return PresignedGrantResponse.of(grant)
    return CognitoGrantResponse.of(grant)


@router.post(
    "/exchange",
    operation_id="exchange_credentials",
    summary="Get temporary credentials",
    responses=_PROBLEMS,
)
async def exchange_credentials(caller: Uploader, services: Wired) -> ExchangeResponse:
    """For thin clients: the service calls GetCredentialsForIdentity itself. There is no other way
    to answer this: what stands in the way is a problem.
    """
    return ExchangeResponse.of(await services.grants.exchange(caller.user_id))
