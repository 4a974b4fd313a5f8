"""A Cognito that is not well is said clearly to who insists on it, `auto` gets a presigned grant,
and nothing is written because of it.
"""

from collections.abc import Callable
from datetime import datetime
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


SICK = pytest.mark.parametrize(
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


@SICK
async def test_a_cognito_that_is_not_well(
    house: House,
    caller: httpx.AsyncClient,
    reply: Reply | Callable[[Any], Reply],
    kind: type[UploadgateError],
) -> None:
    # A user whose identity is not known yet: for the others an upload needs no Cognito.
    caller.headers["Authorization"] = f"Bearer {token(user_id='usr_new')}"
    house.stub.answer = reply
    insisting = {**GOOD, "transport": "credentials"}
    for call in (
        caller.post(GRANTS, json={"mode": "cognito"}),
        caller.post(EXCHANGE),
        caller.post(UPLOADS, json=insisting),
    ):
        answer = await call
        assert_problem(answer, kind)
        assert "hotel" not in answer.text
        assert "arn:aws" not in answer.text


@SICK
async def test_who_takes_what_can_be_had_gets_a_presigned_grant(
    house: House,
    caller: httpx.AsyncClient,
    reply: Reply | Callable[[Any], Reply],
    kind: type[UploadgateError],
) -> None:
    caller.headers["Authorization"] = f"Bearer {token(user_id='usr_new')}"
    house.stub.answer = reply
    # Tells the house, which the test before has left with trouble of another kind.
    assert_problem(await caller.post(GRANTS, json={"mode": "cognito"}), kind)
    answer = await caller.post(GRANTS)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    reasons = {"cognito_throttled", "cognito_unavailable"}
    if kind is errors.CognitoThrottledError:
        reasons = {"cognito_throttled"}
    elif kind is not errors.IdentityConflictError:  # which is one user's, so it tells no house
        reasons = {"cognito_unavailable"}
    grant = answer.json()
    assert grant.pop("reason") in reasons
    assert_presigned(grant, house)


def assert_presigned(grant: dict[str, Any], house: House) -> None:
    """All but the reason."""
    assert datetime.fromisoformat(grant.pop("server_time")).tzinfo is not None
    assert grant == {
        "mode": "presigned",
        "bucket": "uploads",
        "key_prefix": "users/usr_new/",
        "region": "us-east-1",
        "endpoints": {"cognito_identity": house.stub.url, "s3": house.stub.url},
    }


async def test_a_presigned_grant_can_be_asked_for(house: House, caller: httpx.AsyncClient) -> None:
    caller.headers["Authorization"] = f"Bearer {token(user_id='usr_new')}"
    answer = await caller.post(GRANTS, json={"mode": "presigned"})
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    grant = answer.json()
    assert grant.pop("reason") == "requested"
    assert_presigned(grant, house)
    assert house.stub.requests == []
