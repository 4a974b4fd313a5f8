"""Every error of Cognito's, on the wire, becomes one of ours."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from structlog.testing import capture_logs

from aws.clients import AwsAccess, AwsClients, opened
from aws.cognito import CognitoIdentityPool
from errors import (
    CognitoRefusedError,
    CognitoThrottledError,
    CognitoUnavailableError,
    IdentityConflictError,
    UploadgateError,
)
from service.grants.model import OpenIdToken
from tests.fakes.cognito_api import IDENTITY, TOKEN, cognito, refusal
from tests.fakes.http_stub import HttpStub, Reply
from tests.unit.aws.conftest import made_pool

Call = Callable[[CognitoIdentityPool], Awaitable[object]]


def developer(pool: CognitoIdentityPool) -> Awaitable[object]:
    return pool.open_id_token("usr_ada", seconds=900)


def public(pool: CognitoIdentityPool) -> Awaitable[object]:
    return pool.credentials(OpenIdToken(IDENTITY, TOKEN))


CALLS = pytest.mark.parametrize("call", [developer, public])


@CALLS
@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("InvalidParameterException", 400, CognitoRefusedError),
        ("ResourceNotFoundException", 400, CognitoRefusedError),
        ("NotAuthorizedException", 400, CognitoRefusedError),
        ("InvalidIdentityPoolConfigurationException", 400, CognitoRefusedError),
        ("AccessDeniedException", 400, CognitoRefusedError),
        ("UnrecognizedClientException", 400, CognitoRefusedError),
        ("ANewException", 400, CognitoRefusedError),
        ("ResourceConflictException", 400, IdentityConflictError),
        ("DeveloperUserAlreadyRegisteredException", 400, IdentityConflictError),
        (
            "com.amazonaws.cognito#DeveloperUserAlreadyRegisteredException",
            400,
            IdentityConflictError,
        ),
        ("TooManyRequestsException", 400, CognitoThrottledError),
        ("TooManyRequestsException", 429, CognitoThrottledError),
        ("LimitExceededException", 400, CognitoThrottledError),
        ("ThrottlingException", 400, CognitoThrottledError),
        ("InternalErrorException", 500, CognitoUnavailableError),
        ("ExternalServiceException", 400, CognitoUnavailableError),
        ("ServiceUnavailable", 503, CognitoUnavailableError),
        ("ANewException", 500, CognitoUnavailableError),
    ],
)
async def test_an_error_of_the_api(
    *,
    stub: HttpStub,
    pool: CognitoIdentityPool,
    call: Call,
    code: str,
    status: int,
    kind: type[UploadgateError],
) -> None:
    stub.answer = refusal(code, status)
    with pytest.raises(UploadgateError) as caught, capture_logs() as lines:
        await call(pool)
    assert type(caught.value) is kind
    assert (caught.value.retry_after is not None) is (kind is CognitoThrottledError)
    # AWS's text may name roles and accounts: neither clients nor our log get it.
    assert "arn:aws" not in f"{caught.value}{lines}"
    assert lines[-1]["aws_code"] in code


@CALLS
@pytest.mark.parametrize(
    "code", ["DeveloperUserAlreadyRegisteredException", "NotAuthorizedException"]
)
async def test_what_waiting_does_not_mend_is_asked_once(
    stub: HttpStub, pool: CognitoIdentityPool, call: Call, code: str
) -> None:
    stub.answer = refusal(code)
    with pytest.raises(UploadgateError):
        await call(pool)
    assert len(stub.requests) == 1


@CALLS
@pytest.mark.parametrize(
    ("reply", "passing"),
    [
        (Reply(500), True),
        (Reply(503, b"<html>busy</html>"), True),
        (refusal("InternalErrorException", 500), True),
        (refusal("TooManyRequestsException"), None),
        (Reply(200, b"{", promised=100), True),
    ],
)
async def test_no_call_is_repeated_here_and_whether_another_may_help_is_told(
    stub: HttpStub, pool: CognitoIdentityPool, call: Call, reply: Reply, *, passing: bool | None
) -> None:
    stub.answer = reply
    with pytest.raises((CognitoUnavailableError, CognitoThrottledError)) as caught:
        await call(pool)
    assert len(stub.requests) == 1
    assert getattr(caught.value, "passing", None) is passing


@CALLS
async def test_a_cognito_that_hangs_is_unavailable_within_the_calls_time(
    stub: HttpStub, clients: AwsClients, call: Call
) -> None:
    stub.answer = Reply(hang=True)
    began = time.monotonic()
    with pytest.raises(CognitoUnavailableError) as caught:
        await call(made_pool(clients, call_seconds=0.05))
    assert type(caught.value) is CognitoUnavailableError
    assert not caught.value.passing
    assert time.monotonic() - began < 40


@CALLS
async def test_a_cognito_that_does_not_listen_is_unavailable(call: Call) -> None:
    async with HttpStub.serving() as closed:
        url = closed.url
    access = AwsAccess(
        region="us-east-1",
        access_key_id="AKIA",
        secret_access_key="secret",
        cognito_endpoint=url,
        s3_endpoint=url,
        max_attempts=1,
    )
    async with opened(access) as clients:
        with pytest.raises(CognitoUnavailableError):
            await call(made_pool(clients))


async def test_many_calls_at_once_share_the_clients(
    stub: HttpStub, pool: CognitoIdentityPool
) -> None:
    stub.answer = cognito
    tokens = await asyncio.gather(*(pool.open_id_token(f"u{n}", seconds=900) for n in range(30)))
    asked = {next(iter(request.json()["Logins"].values())) for request in stub.requests}
    assert (len(tokens), len(asked)) == (30, 30)


async def test_a_service_without_credentials_of_its_own_is_not_set_up(stub: HttpStub) -> None:
    access = AwsAccess(region="us-east-1", cognito_endpoint=stub.url, s3_endpoint=stub.url)
    async with opened(access) as clients:
        with pytest.raises(CognitoRefusedError):
            await developer(made_pool(clients))
    assert stub.requests == []
