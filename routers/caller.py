"""The caller of a route, as an annotation: `caller: CurrentCaller`."""

from typing import Annotated

from fastapi import Depends
from fastapi.security import OAuth2PasswordBearer

import errors
from auth.callers import ADMIN, UPLOADS, Caller, UnverifiedToken
from routers.services import Services, Wired

# The scheme that the docs page's Authorize button uses; it reads the header for every client.
_bearer = OAuth2PasswordBearer(
    tokenUrl="/v1/auth/token",
    scheme_name="AccessToken",
    description="An access token from POST /v1/auth/login, as `Authorization: Bearer …`.",
    auto_error=False,
)


async def _current_caller(
    services: Wired, token: Annotated[str | None, Depends(_bearer)]
) -> Caller:
    if not token:
        raise errors.NotAuthenticatedError
    return await services.accounts.authenticate(UnverifiedToken(token))


CurrentCaller = Annotated[Caller, Depends(_current_caller)]
"""Raises NotAuthenticatedError, InvalidTokenError, TokenExpiredError."""


async def _admin_caller(caller: CurrentCaller) -> Caller:
    if ADMIN not in caller.scopes:
        raise errors.MissingScopeError
    return caller


AdminCaller = Annotated[Caller, Depends(_admin_caller)]
"""Raises MissingScopeError besides."""


async def uploader_of(services: Services, token: UnverifiedToken) -> Caller:
    """The same for a door, which has the token already."""
    return await _uploader(await services.accounts.authenticate(token))


async def _uploader(caller: CurrentCaller) -> Caller:
    if UPLOADS not in caller.scopes:
        raise errors.MissingScopeError
    return caller


Uploader = Annotated[Caller, Depends(_uploader)]
"""Raises MissingScopeError besides: a token may be for other things than uploads."""
