"""A Cognito that is not well is said clearly, and nothing is written because of it."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

import errors
from errors import UploadgateError
from tests.fakes import cognito_api
from tests.fakes.house import House
from tests.fakes.http_stub import Reply
from tests.fakes.problems import assert_problem
from tests.unit.routers.test_bad_tokens import EXCHANGE, GOOD, GRANTS, UPLOADS, token

pytestmark = pytest.mark.usefixtures("untouched")


def hang(_: Any) -> Reply:
    return Reply(hang=True)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (cognito_api.answer(b"<html>hotel</html>"), errors.CognitoAnswerError),
        (cognito_api.answer({"IdentityId": "../x", "Token": "t"}), errors.CognitoAnswerError),
        (cognito_api.answer({"IdentityId": "*", "Token": "t"}), errors.CognitoAnswerError),
        (hang, errors.CognitoUnavailableError),
        (Reply(500), errors.CognitoUnavailableError),
        (cognito_api.refusal("NotAuthorizedException"), errors.CognitoRefusedError),
        (cognito_api.refusal("TooManyRequestsException"), errors.CognitoThrottledError),
        (cognito_api.refusal("ResourceConflictException"), errors.IdentityConflictError),
    ],
)
async def test_a_cognito_that_is_not_well(
    house: House,
    caller: httpx.AsyncClient,
    reply: Reply | Callable[[Any], Reply],
    kind: type[UploadgateError],
) -> None:
    # A user whose identity is not known yet: for the others an upload needs no Cognito.
    caller.headers["Authorization"] = f"Bearer {token(user_id='usr_new')}"
    house.stub.answer = reply
    for call in (caller.post(GRANTS), caller.post(EXCHANGE), caller.post(UPLOADS, json=GOOD)):
        answer = await call
        assert_problem(answer, kind)
        assert "hotel" not in answer.text
        assert "arn:aws" not in answer.text
