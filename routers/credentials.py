"""Grants, and their exchange for clients too thin to speak to Cognito."""

from typing import Annotated

from fastapi import APIRouter, Body
from starlette.types import Receive, Scope

from routers.caller import Uploader, uploader_of
from routers.doors import Answer, usual_call
from routers.failures import CALLER, COGNITO, JSON_BODY
from routers.grant_schemas import (
    CognitoGrantResponse,
    ExchangeResponse,
    Grant,
    GrantRequest,
    PresignedGrantResponse,
    rendered,
)
from routers.json_body import JSON_ONLY
from routers.no_store import NO_STORE
from routers.problems import responses
from routers.services import Services, Wired
from service.grants.model import CognitoGrant, Mode, PresignedGrant

router = APIRouter(
    prefix="/v1/credentials", tags=["credentials"], dependencies=[JSON_ONLY, NO_STORE]
)

_PROBLEMS = responses(*CALLER, *JSON_BODY, *COGNITO)

# As JavaScript and Python write them. Any other spelling is the long way's to read.
_USUAL_BODIES: dict[bytes, Mode] = {
    b"": "auto",
    b"{}": "auto",
    b'{"mode":"auto"}': "auto",
    b'{"mode": "auto"}': "auto",
    b'{"mode":"cognito"}': "cognito",
    b'{"mode": "cognito"}': "cognito",
    b'{"mode":"presigned"}': "presigned",
    b'{"mode": "presigned"}': "presigned",
}


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


class GrantDoor:
    """The short way to a grant, which is there already as a rule."""

    path = router.prefix
    method = "POST"

    async def answer(self, scope: Scope, receive: Receive) -> Answer | None:  # noqa: ARG002
        call = usual_call(scope)
        mode = None if call is None else _USUAL_BODIES.get(call.body)
        if call is None or mode is None:
            return None
        services: Services = scope["state"]["services"]
        caller = await uploader_of(services, call.unverified_token)
        ready = services.grants.ready(caller.user_id, mode)
        grant = ready or await services.grants.grant(caller.user_id, mode)
        if isinstance(grant, CognitoGrant):
            return Answer(rendered(grant))
        return Answer(PresignedGrantResponse.of(grant).model_dump_json().encode())
