"""The HTTP surface: JSON 1.1 on POST /, and the documents that verify the pool's tokens."""

import asyncio
import json
import logging
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localcloud.cognito.errors import (
    ApiError,
    InternalErrorException,
    RequestEntityTooLargeException,
    RequestTimeoutException,
    UnknownOperationException,
)
from localcloud.cognito.model import parse_input
from localcloud.cognito.operations import IdentityPool
from localcloud.cognito.quota import Quota
from localcloud.cognito.signature import SignatureVerifier, SignedRequest
from localcloud.cognito.signing_key import ALGORITHM, public_jwks
from localcloud.store.policies import ISSUER

JWKS_PATH = "/.well-known/jwks_uri"
_log = logging.getLogger(__name__)
_TARGET = "AWSCognitoIdentityService"
# Ten logins of 50,000 characters are the most that the model allows.
_MAX_BODY_BYTES = 1 << 20
_BODY_SECONDS = 10.0
_OPERATION_SECONDS = 30.0
_EXPOSED_HEADERS = ("x-amzn-RequestId", "x-amzn-ErrorType", "x-amzn-ErrorMessage", "Date")

_Operation = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class _AsciiJson(JSONResponse):
    """Escapes all else, as half of a surrogate pair has no bytes of its own."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, separators=(",", ":")).encode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class CognitoApi:
    """What a request meets: the signature's check, the quota, the pool."""

    pool: IdentityPool
    verifier: SignatureVerifier
    quota: Quota

    async def respond(self, request: Request) -> Response:
        """Answer POST /. Never raises: errors are answers too, and carry CORS headers."""
        request_id = str(uuid.uuid4())
        try:
            answer, status = await self._dispatch(request), 200
            headers = {}
        except ApiError as error:
            answer, status = {"__type": error.code, "message": error.message}, error.status
            headers = {"x-amzn-ErrorType": f"{error.code}:"}
        except ClientDisconnect:
            return Response(status_code=400)
        return _AsciiJson(
            answer,
            status,
            headers={"x-amzn-RequestId": request_id, "Cache-Control": "no-store", **headers},
            media_type="application/x-amz-json-1.1",
        )

    async def _dispatch(self, request: Request) -> dict[str, Any]:
        service, _, name = request.headers.get("x-amz-target", "").partition(".")
        operation = self._operations().get(name) if service == _TARGET else None
        if operation is None:
            raise UnknownOperationException("Unknown operation; this pool has two.")
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                body = await _limited_body(request)
        except TimeoutError as error:
            raise RequestTimeoutException("The body did not arrive in time.") from error
        if operation == self.pool.open_id_token_for_developer_identity:
            self._admit_developer(request, body)
        return await _guarded(operation, parse_input(name, body))

    def _operations(self) -> dict[str, _Operation]:
        return {
            "GetOpenIdTokenForDeveloperIdentity": self.pool.open_id_token_for_developer_identity,
            "GetCredentialsForIdentity": self.pool.credentials_for_identity,
        }

    def _admit_developer(self, request: Request, body: bytes) -> None:
        self.verifier.verify(
            SignedRequest(
                method=request.method,
                path=request.url.path,
                query=request.url.query,
                headers=dict(request.headers),
                body=body,
            )
        )
        self.quota.spend()


def cognito_app(api: CognitoApi, key: RSAKey, origins: tuple[str, ...]) -> Starlette:
    """Build the application; pages of `origins` may call it and read its headers."""
    return Starlette(
        routes=[
            Route("/", api.respond, methods=["POST"]),
            _document(JWKS_PATH, public_jwks(key)),
            _document("/.well-known/openid-configuration", _discovery()),
        ],
        middleware=[
            Middleware(
                CORSMiddleware,
                allow_origins=origins,
                allow_methods=["POST"],
                allow_headers=["*"],
                expose_headers=_EXPOSED_HEADERS,
                max_age=600,
            )
        ],
    )


def _document(path: str, content: dict[str, Any]) -> Route:
    async def answer(_: Request) -> JSONResponse:
        return JSONResponse(content)

    return Route(path, answer, methods=["GET"])


def _discovery() -> dict[str, Any]:
    """What AWS's own endpoint says of itself (OpenID Connect Discovery 1.0)."""
    return {
        "issuer": ISSUER,
        "jwks_uri": f"{ISSUER}{JWKS_PATH}",
        "authorization_endpoint": "https://aws.amazon.com/cognito/",
        "response_types_supported": ["token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
    }


async def _limited_body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY_BYTES:
            raise RequestEntityTooLargeException("The body is too large.")
    return bytes(body)


async def _guarded(operation: _Operation, given: dict[str, Any]) -> dict[str, Any]:
    """Turn what nobody foresaw into AWS's internal error; the log gets it without its input."""
    try:
        async with asyncio.timeout(_OPERATION_SECONDS):
            return await operation(given)
    except ApiError:
        raise
    except Exception as error:
        _log.exception("an operation of the Cognito API failed")
        raise InternalErrorException("InternalErrorException") from error
