"""GetCredentialsForIdentity: the unsigned call that turns an OpenID token into credentials.

In this flow a client never calls GetId: the identity is the one the grant names. The call itself
is one POST of JSON; an SDK for it would take longer to load than the call.

https://docs.aws.amazon.com/cognitoidentity/latest/APIReference/API_GetCredentialsForIdentity.html
"""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from client.http import HttpClient
from client.problems import ApiError, BadAnswerError, ClientError, CredentialsError, NetworkError
from client.proxies import proxy_for
from client.retries import RetryPolicy
from client.signed import text
from client.wire import Grant, Keys

_PASSING = frozenset({"TooManyRequestsException", "InternalErrorException"})
_HEADERS = {
    "Content-Type": "application/x-amz-json-1.1",
    "X-Amz-Target": "AWSCognitoIdentityService.GetCredentialsForIdentity",
}
_ONCE = RetryPolicy(attempts=1)
_POLICY = RetryPolicy(attempts=4, budget_seconds=20)


def credentials_for(
    grant: Grant, *, policy: RetryPolicy = _POLICY, sleep: Callable[[float], object] = time.sleep
) -> Keys:
    """Raises CredentialsError with Cognito's own code."""
    endpoint = grant.cognito_endpoint or _endpoint(grant.place.region)
    with HttpClient(endpoint, policy=_ONCE, proxy=proxy_for(endpoint)) as http:
        spent, attempt = 0.0, 0
        while True:
            attempt += 1
            try:
                return _exchanged(http, grant)
            except CredentialsError as error:
                wait = policy.pause(attempt, spent) if error.passing else None
                if wait is None:
                    raise
            sleep(wait)
            spent += wait


def _endpoint(region: str) -> str:
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://cognito-identity.{region}.{suffix}"


def _exchanged(http: HttpClient, grant: Grant) -> Keys:
    body = {"IdentityId": grant.identity_id, "Logins": dict(grant.logins)}
    try:
        return _keys(http.call("POST", "/", json=body, headers=_HEADERS))
    except ApiError as error:
        code = _code(error)
        raise CredentialsError(
            f"Cognito refused the exchange: {code}", passing=_passing(code, error.status)
        ) from None
    except NetworkError as error:
        raise CredentialsError(f"Cognito does not answer: {error}", passing=True) from None
    except ClientError as error:
        raise CredentialsError(f"Cognito answers strangely: {error}") from None


def _code(error: ApiError) -> str:
    """Possibly behind a namespace. What a proxy answered has none."""
    told = error.facts.get("__type")
    return told.rpartition("#")[2] if isinstance(told, str) else f"HTTP {error.status}"


def _passing(code: str, status: int) -> bool:
    return code in _PASSING or status >= 500  # noqa: PLR2004 - the server's own trouble


def _keys(answer: Mapping[str, Any]) -> Keys:
    found = answer.get("Credentials")
    if not isinstance(found, Mapping):
        raise BadAnswerError("there are no credentials in it")
    try:
        expires_at = datetime.fromtimestamp(found["Expiration"], UTC)
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        raise BadAnswerError("the credentials do not say how long they are good") from None
    # The field is SecretKey here, unlike anywhere else at AWS.
    key_id, secret = text(found, "AccessKeyId"), text(found, "SecretKey")
    return Keys(key_id, secret, text(found, "SessionToken"), expires_at)
