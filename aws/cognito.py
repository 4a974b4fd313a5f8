"""An identity pool of Cognito's, by its API. Errors: docs of GetOpenIdTokenForDeveloperIdentity
and GetCredentialsForIdentity.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)

from errors import (
    CognitoAnswerError,
    CognitoRefusedError,
    CognitoThrottledError,
    CognitoUnavailableError,
    IdentityConflictError,
    UploadgateError,
)
from service.grants.folders import is_identity_id
from service.grants.model import COGNITO_LOGIN, OpenIdToken, TemporaryCredentials

if TYPE_CHECKING:
    from types_aiobotocore_cognito_identity import CognitoIdentityClient

_log = structlog.get_logger("uploadgate.cognito")
MAX_TOKEN = 50_000  # the longest value a Logins map takes

ERRORS: dict[str, type[UploadgateError]] = {
    "TooManyRequestsException": CognitoThrottledError,
    "LimitExceededException": CognitoThrottledError,
    "ThrottlingException": CognitoThrottledError,
    "Throttling": CognitoThrottledError,
    "InternalErrorException": CognitoUnavailableError,
    "ServiceUnavailable": CognitoUnavailableError,
    "ExternalServiceException": CognitoUnavailableError,
    "ResourceConflictException": IdentityConflictError,
    # The user id belongs to another identity: never retried.
    "DeveloperUserAlreadyRegisteredException": IdentityConflictError,
    "InvalidParameterException": CognitoRefusedError,
    "ResourceNotFoundException": CognitoRefusedError,
    "NotAuthorizedException": CognitoRefusedError,
    "InvalidIdentityPoolConfigurationException": CognitoRefusedError,
}
_SERVER_FAULT = 500
# As of a connection that was kept, and closed by the other side just now.
_CUT_OFF = (ConnectionClosedError, EndpointConnectionError)


def mapped(error: ClientError) -> UploadgateError:
    """AWS's text stays in our log: it may name roles, accounts or parameters."""
    code = error.response.get("Error", {}).get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    kind = ERRORS.get(code)
    if kind is None:
        kind = CognitoUnavailableError if status >= _SERVER_FAULT else CognitoRefusedError
    operation = error.operation_name
    _log.warning("cognito.refused", operation=operation, aws_code=code[:64], status=status)
    found = kind(retry_after=5 if kind is CognitoThrottledError else None)
    if isinstance(found, CognitoUnavailableError):
        found.passing = True
    return found


@asynccontextmanager
async def _mapping_errors(seconds: float) -> AsyncIterator[None]:
    """One call with all its retries ends in time, in an answer or in one of our errors."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except ClientError as error:
        raise mapped(error) from error
    except (NoCredentialsError, PartialCredentialsError, ParamValidationError) as error:
        _log.error("cognito.misconfigured", cause=type(error).__name__)
        raise CognitoRefusedError from error
    except (BotoCoreError, TimeoutError, OSError) as error:
        _log.warning("cognito.unavailable", cause=type(error).__name__)
        unavailable = CognitoUnavailableError()
        unavailable.passing = isinstance(error, _CUT_OFF)
        raise unavailable from error
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        # What botocore's parser raises for bodies that are not the API's; RuntimeError for
        # times that cannot be and, as RecursionError, for deep nesting.
        _log.warning("cognito.bad_answer", cause=type(error).__name__)
        raise CognitoAnswerError from error


class CognitoIdentityPool:
    """Implements service.grants.ports.IdentityPool."""

    def __init__(
        self,
        *,
        client: "CognitoIdentityClient",
        public_client: "CognitoIdentityClient",
        pool_id: str,
        developer_provider_name: str,
        call_seconds: float,
    ) -> None:
        self.pool_id = pool_id
        self._client = client
        self._public_client = public_client
        self._provider = developer_provider_name
        self._call_seconds = call_seconds

    async def open_id_token(self, user_id: str, *, seconds: int) -> OpenIdToken:
        async with _mapping_errors(self._call_seconds):
            answer: Any = await self._client.get_open_id_token_for_developer_identity(
                IdentityPoolId=self.pool_id,
                Logins={self._provider: user_id},
                TokenDuration=seconds,
            )
            return _open_id(answer)

    async def credentials(self, open_id: OpenIdToken) -> TemporaryCredentials:
        async with _mapping_errors(self._call_seconds):
            answer: Any = await self._public_client.get_credentials_for_identity(
                IdentityId=open_id.identity_id, Logins={COGNITO_LOGIN: open_id.token}
            )
            if answer.get("IdentityId") != open_id.identity_id:
                raise CognitoAnswerError
            return _credentials(answer["Credentials"])


def _open_id(answer: Any) -> OpenIdToken:
    """Nothing of an answer is believed by its place alone: the id becomes a folder's name."""
    identity_id, token = answer.get("IdentityId"), answer.get("Token")
    if not isinstance(identity_id, str) or not is_identity_id(identity_id):
        raise CognitoAnswerError
    if not isinstance(token, str) or not token or len(token) > MAX_TOKEN:
        raise CognitoAnswerError
    return OpenIdToken(identity_id, token)


def _credentials(answer: Any) -> TemporaryCredentials:
    texts = [answer[name] for name in ("AccessKeyId", "SecretKey", "SessionToken")]
    expires_at = answer["Expiration"]
    if not all(isinstance(text, str) and text for text in texts):
        raise CognitoAnswerError
    if not isinstance(expires_at, datetime) or expires_at.tzinfo is None:
        raise CognitoAnswerError
    return TemporaryCredentials(
        access_key_id=texts[0],
        secret_access_key=texts[1],
        session_token=texts[2],
        expires_at=expires_at.astimezone(UTC),
    )
