"""Failures told as S3 tells them, for clients that speak S3's XML.

Source: "Error responses" of the S3 API Reference.
"""

from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

import errors
from errors import UploadgateError
from routers.middleware.request_id import SCOPE_KEY
from routers.problems import STATUS, headers_of
from routers.s3_xml import document, element

_log = structlog.get_logger("uploadgate.problems")

# S3's own codes and statuses, where it has them; for everything else the problem's status.
_CODES: Mapping[type[UploadgateError], tuple[str, HTTPStatus]] = {
    errors.InvalidTicketError: ("AccessDenied", HTTPStatus.FORBIDDEN),
    errors.PolicyError: ("AccessDenied", HTTPStatus.FORBIDDEN),
    errors.UploadNotFoundError: ("NoSuchUpload", HTTPStatus.NOT_FOUND),
    errors.UploadEndedError: ("NoSuchUpload", HTTPStatus.NOT_FOUND),
    errors.MultipartGoneError: ("NoSuchUpload", HTTPStatus.NOT_FOUND),
    errors.UploadIncompleteError: ("InvalidPart", HTTPStatus.BAD_REQUEST),
    errors.InvalidPartError: ("InvalidPart", HTTPStatus.BAD_REQUEST),
    errors.UploadStateError: ("OperationAborted", HTTPStatus.CONFLICT),
    errors.InvalidRequestError: ("MalformedXML", HTTPStatus.BAD_REQUEST),
    errors.BodyTooLargeError: ("MaxMessageLengthExceeded", HTTPStatus.BAD_REQUEST),
    errors.RequestTimeoutError: ("RequestTimeout", HTTPStatus.BAD_REQUEST),
}


class S3Route(APIRoute):
    """A route whose failures are told in S3's XML."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        plain = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await plain(request)
            except UploadgateError as error:
                return _failure(request, error)
            except RequestValidationError:
                return _failure(request, errors.InvalidTicketError())

        return handler


def _failure(request: Request, error: UploadgateError) -> Response:
    code, status = _code(error)
    said = {
        "Code": code,
        "Message": str(error),
        "RequestId": request.scope.get(SCOPE_KEY) or "unknown",
    }
    answer = document(
        "Error", *(element(name, text) for name, text in said.items()), namespace=None
    )
    answer.status_code = status
    answer.headers.update(headers_of(error))
    return answer


def _code(error: UploadgateError) -> tuple[str, HTTPStatus]:
    status = STATUS[type(error)]
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.warning("problem", code=error.code, detail=str(error))
        known = status is HTTPStatus.SERVICE_UNAVAILABLE
        return "ServiceUnavailable" if known else "InternalError", status
    return _CODES.get(type(error), ("InvalidRequest", status))
