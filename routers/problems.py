"""Problem details (RFC 9457): the one table from domain errors to statuses, and the handlers."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

import errors
from errors import RetryMode, UploadgateError
from routers.invalid_fields import InvalidField, invalid_fields

MEDIA_TYPE = "application/problem+json"
_log = structlog.get_logger("uploadgate.problems")

STATUS: dict[type[UploadgateError], HTTPStatus] = {
    errors.InvalidRequestError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.MalformedJsonError: HTTPStatus.BAD_REQUEST,
    errors.UnsupportedMediaTypeError: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.BodyTooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.HeadersTooLargeError: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    errors.RequestTimeoutError: HTTPStatus.REQUEST_TIMEOUT,
    errors.NotFoundError: HTTPStatus.NOT_FOUND,
    errors.MethodNotAllowedError: HTTPStatus.METHOD_NOT_ALLOWED,
    errors.OverloadedError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.InternalError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.IdempotencyKeyReusedError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.IdempotencyInFlightError: HTTPStatus.CONFLICT,
    errors.InvalidCredentialsError: HTTPStatus.UNAUTHORIZED,
    errors.TooManyAttemptsError: HTTPStatus.TOO_MANY_REQUESTS,
    errors.NotAuthenticatedError: HTTPStatus.UNAUTHORIZED,
    errors.InvalidTokenError: HTTPStatus.UNAUTHORIZED,
    errors.TokenExpiredError: HTTPStatus.UNAUTHORIZED,
    errors.InvalidRefreshTokenError: HTTPStatus.UNAUTHORIZED,
    errors.MissingScopeError: HTTPStatus.FORBIDDEN,
    errors.UserExistsError: HTTPStatus.CONFLICT,
    errors.UnknownUserError: HTTPStatus.NOT_FOUND,
    errors.PolicyError: HTTPStatus.FORBIDDEN,
    errors.TransportUnavailableError: HTTPStatus.CONFLICT,
    errors.CognitoNotConfiguredError: HTTPStatus.CONFLICT,
    errors.CognitoThrottledError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.CognitoUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.CognitoAnswerError: HTTPStatus.BAD_GATEWAY,
    errors.CognitoRefusedError: HTTPStatus.BAD_GATEWAY,
    errors.IdentityConflictError: HTTPStatus.CONFLICT,
    errors.UploadNotFoundError: HTTPStatus.NOT_FOUND,
    errors.UploadStateError: HTTPStatus.CONFLICT,
    errors.UnknownProfileError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UploadTooLargeError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UploadEndedError: HTTPStatus.CONFLICT,
    errors.UploadRejectedError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UploadIncompleteError: HTTPStatus.CONFLICT,
    errors.MultipartGoneError: HTTPStatus.CONFLICT,
    errors.InvalidPartError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.ContentRangeError: HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
    errors.ContentTypeRefusedError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.QuotaExceededError: HTTPStatus.FORBIDDEN,
    errors.TooManyUploadsError: HTTPStatus.TOO_MANY_REQUESTS,
    errors.InvalidTicketError: HTTPStatus.FORBIDDEN,
    errors.StoreUnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.StoreRefusedError: HTTPStatus.BAD_GATEWAY,
    errors.WebhookDisabledError: HTTPStatus.NOT_FOUND,
    errors.WebhookForgedError: HTTPStatus.FORBIDDEN,
    errors.WebhookMalformedError: HTTPStatus.BAD_REQUEST,
    errors.WebhookUnverifiableError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.EndpointNotFoundError: HTTPStatus.NOT_FOUND,
    errors.InvalidEndpointError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.TooManyEndpointsError: HTTPStatus.CONFLICT,
    errors.TooManyStreamsError: HTTPStatus.TOO_MANY_REQUESTS,
}

# Where a client or a proxy expects to hear how long to wait even if nobody measured it.
DEFAULT_RETRY_AFTER = 1


class Problem(BaseModel):
    """What went wrong, as application/problem+json."""

    model_config = ConfigDict(json_schema_extra={"x-media-type": MEDIA_TYPE})

    type: str = Field(examples=["urn:uploadgate:problem:upload_not_found"])
    title: str = Field(examples=["There is no such upload"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["There is no such upload"])
    code: str = Field(description="Stable, for programs.", examples=["upload_not_found"])
    retry_mode: RetryMode | None = Field(
        default=None,
        description="What helps: new credentials (`refresh`), a new signature (`resign`), "
        "`switch_transport`, `wait`, or nothing (`fatal`).",
    )
    request_id: str | None = Field(default=None, description="Name it when asking for help.")
    errors: list[InvalidField] | None = None
    missing_parts: list[int] | None = Field(
        default=None, description="With `upload_incomplete`: the parts to send, 1,000 at most."
    )
    expected_offset: int | None = Field(
        default=None, description="With `content_range`: the byte from which on to send."
    )


def catalogue() -> Iterator[type[UploadgateError]]:
    """Every error that a client can meet, in the order of the tree."""
    yield from STATUS


def _body(error: UploadgateError, request_id: str | None, **more: Any) -> dict[str, Any]:
    status = STATUS[type(error)]
    body = Problem(
        type=f"urn:uploadgate:problem:{error.code}",
        title=error.title,
        status=status.value,
        detail=str(error),
        code=error.code,
        retry_mode=error.retry_mode,
        request_id=request_id,
        **error.facts,
        **more,
    )
    return body.model_dump(mode="json", exclude_none=True)


def headers_of(error: UploadgateError) -> dict[str, str]:
    """Cache-Control always; Retry-After and WWW-Authenticate where their RFCs ask for them; the
    bound that was met as draft-ietf-httpapi-ratelimit-headers writes it.
    """
    status = STATUS[type(error)]
    headers = {"Cache-Control": "no-store"}
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        headers["Retry-After"] = str(error.retry_after or DEFAULT_RETRY_AFTER)
    if status is HTTPStatus.UNAUTHORIZED:
        known = isinstance(error, errors.InvalidTokenError)
        headers["WWW-Authenticate"] = 'Bearer error="invalid_token"' if known else "Bearer"
    limit = error.rate_limit
    if limit is not None:
        headers["RateLimit-Policy"] = f'"{limit.name}";q={limit.quota};w={limit.window}'
        headers["RateLimit"] = f'"{limit.name}";r={limit.remaining};t={limit.reset}'
    return headers


def problem_response(
    error: UploadgateError, request_id: str | None = None, **more: Any
) -> JSONResponse:
    return JSONResponse(
        _body(error, request_id, **more),
        status_code=STATUS[type(error)].value,
        headers=headers_of(error),
        media_type=MEDIA_TYPE,
    )


def responses(*kinds: type[UploadgateError]) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI responses of a route that can fail with these, an example for each."""
    found: dict[int | str, dict[str, Any]] = {}
    for kind in dict.fromkeys(kinds):
        status = STATUS[kind]
        entry = found.setdefault(
            status.value,
            {"model": Problem, "description": "", "content": {MEDIA_TYPE: {"examples": {}}}},
        )
        entry["content"][MEDIA_TYPE]["examples"][kind.code] = {
            "summary": kind.title,
            "value": _body(kind(), None),
        }
        entry["description"] = " · ".join(filter(None, [entry["description"], f"`{kind.code}`"]))
    return found


def _request_id(request: Request) -> str | None:
    return request.scope.get("uploadgate.request_id")


def answer_to(error: UploadgateError, request_id: str | None) -> JSONResponse:
    """For what a route raised: told to the log, too, where the client is not at fault."""
    # What could not be verified may be anybody's: the source's door tells of some.
    told_already = isinstance(error, errors.WebhookUnverifiableError)
    if STATUS[type(error)] >= HTTPStatus.INTERNAL_SERVER_ERROR and not told_already:
        _log.warning("problem", code=error.code, detail=str(error))
    return problem_response(error, request_id)


async def _on_domain_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, UploadgateError)  # noqa: S101 - what the handler is registered for
    return answer_to(error, _request_id(request))


async def _on_invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    found = error.errors()
    if any(entry["type"] == "json_invalid" for entry in found):
        return problem_response(errors.MalformedJsonError(), _request_id(request))
    fields = invalid_fields(found)
    return problem_response(errors.InvalidRequestError(), _request_id(request), errors=fields)


_FRAMEWORK: dict[int, type[UploadgateError]] = {
    400: errors.MalformedJsonError,
    404: errors.NotFoundError,
    405: errors.MethodNotAllowedError,
    413: errors.BodyTooLargeError,
    415: errors.UnsupportedMediaTypeError,
}


async def _on_framework_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    if isinstance(error.__cause__, UploadgateError):
        # FastAPI wraps whatever is raised while it reads a body; what was meant counts.
        return await _on_domain_error(request, error.__cause__)
    kind = _FRAMEWORK.get(error.status_code, errors.InternalError)
    answer = problem_response(kind(), _request_id(request))
    allow = (error.headers or {}).get("Allow")
    if allow is not None:
        answer.headers["Allow"] = allow
    return answer


def install(app: FastAPI) -> None:
    app.add_exception_handler(UploadgateError, _on_domain_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_framework_error)
