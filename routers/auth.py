"""Logging in, staying so, logging out."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.security import OAuth2PasswordRequestForm
from pydantic import BaseModel, ConfigDict, Field, SecretStr

import errors
from auth.accounts import TokenPair
from routers import problems
from routers.caller import CurrentCaller
from routers.failures import JSON_BODY
from routers.json_body import JSON_ONLY
from routers.no_store import NO_STORE
from routers.services import Wired

router = APIRouter(prefix="/v1/auth", tags=["auth"], dependencies=[NO_STORE])


class LoginRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    username: str = Field(min_length=1, max_length=255, examples=["ada"])
    password: SecretStr = Field(
        min_length=1, max_length=1024, examples=["correct horse battery staple"]
    )


class RefreshTokenRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    refresh_token: SecretStr = Field(
        min_length=1, max_length=255, examples=["rt_5xJ0mX3rT7mJm1bq8Zk2v9Q4hY6nW0cLd3sFgAeUiOp"]
    )


class TokenResponse(BaseModel):
    access_token: str = Field(
        description="A JWT; opaque to clients. Send it as `Authorization: Bearer …`.",
        examples=["eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiJ1c3JfMSJ9.c2lnbmF0dXJl"],
    )
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the name of a scheme
    expires_in: int = Field(description="Life of the access token in seconds.", examples=[900])
    refresh_token: str = Field(
        description="Good for one refresh, which answers the next one. Using it a second time "
        "ends the login with its access tokens: refresh one at a time.",
        examples=["rt_5xJ0mX3rT7mJm1bq8Zk2v9Q4hY6nW0cLd3sFgAeUiOp"],
    )
    refresh_expires_in: int = Field(
        description="Seconds until the login ends, however often it is refreshed.",
        examples=[2_592_000],
    )


class CallerResponse(BaseModel):
    user_id: str = Field(examples=["usr_0b9f6a5c1d2e4f30a1b2c3d4e5f60718"])
    username: str = Field(examples=["ada"])
    scopes: list[str] = Field(examples=[["uploads"]])
    expires_at: datetime = Field(
        description="When the access token expires.", examples=["2030-01-01T12:00:00Z"]
    )


_BODY = (*JSON_BODY, errors.OverloadedError, errors.UnavailableError)
_LOGIN_FAILS = problems.responses(
    *_BODY, errors.InvalidCredentialsError, errors.TooManyAttemptsError
)


@router.post(
    "/login",
    operation_id="login",
    summary="Log in",
    responses=_LOGIN_FAILS,
    dependencies=[JSON_ONLY],
)
async def login(body: LoginRequest, request: Request, services: Wired) -> TokenResponse:
    pair = await services.accounts.login(
        body.username, body.password.get_secret_value(), _address(request)
    )
    return _answer(pair)


@router.post(
    "/token",
    operation_id="login_form",
    summary="Log in with a form",
    description="The same as /v1/auth/login, for the Authorize button of the docs page.",
    responses=_LOGIN_FAILS,
)
async def login_form(
    form: Annotated[OAuth2PasswordRequestForm, Depends()], request: Request, services: Wired
) -> TokenResponse:
    return _answer(await services.accounts.login(form.username, form.password, _address(request)))


@router.post(
    "/refresh",
    operation_id="refresh",
    summary="Trade a refresh token for a new pair",
    responses=problems.responses(*_BODY, errors.InvalidRefreshTokenError),
    dependencies=[JSON_ONLY],
)
async def refresh(body: RefreshTokenRequest, services: Wired) -> TokenResponse:
    return _answer(await services.accounts.refresh(body.refresh_token.get_secret_value()))


@router.post(
    "/logout",
    operation_id="logout",
    summary="End a login",
    description="Revokes the refresh token with all its successors, and the access tokens of the "
    "same login: at once on the replica that answers, within seconds on all others. An unknown one "
    "is fine.",
    status_code=204,
    responses=problems.responses(*_BODY),
    dependencies=[JSON_ONLY],
)
async def logout(body: RefreshTokenRequest, services: Wired) -> None:
    await services.accounts.logout(body.refresh_token.get_secret_value())


@router.get(
    "/me",
    operation_id="get_me",
    summary="Who am I",
    responses=problems.responses(
        errors.NotAuthenticatedError,
        errors.InvalidTokenError,
        errors.TokenExpiredError,
        errors.OverloadedError,
        errors.UnavailableError,
    ),
)
async def get_me(caller: CurrentCaller) -> CallerResponse:
    return CallerResponse(
        user_id=caller.user_id,
        username=caller.username,
        scopes=sorted(caller.scopes),
        expires_at=caller.expires_at,
    )


def _answer(pair: TokenPair) -> TokenResponse:
    return TokenResponse(
        access_token=pair.access_token,
        expires_in=pair.expires_in,
        refresh_token=pair.refresh_token,
        refresh_expires_in=pair.refresh_expires_in,
    )


def _address(request: Request) -> str:
    """The client's, as the proxy middleware left it; a Unix socket has none."""
    return request.client.host if request.client else "local"
