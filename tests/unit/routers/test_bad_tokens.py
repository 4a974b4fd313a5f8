"""Who shows no good token gets a problem and nothing else."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

import errors
from auth.access_tokens import AccessTokens
from errors import UploadgateError
from tests.fakes.house import SIGNING_KEY, House
from tests.fakes.problems import assert_problem

pytestmark = pytest.mark.usefixtures("untouched")

UPLOADS, GRANTS, EXCHANGE = "/v1/uploads", "/v1/credentials", "/v1/credentials/exchange"
GOOD: dict[str, Any] = {"filename": "a.txt", "size": 5, "content_type": "text/plain"}
HOUR = timedelta(hours=1)


def token(
    key: str = SIGNING_KEY,
    *,
    audience: str = "uploadgate",
    later: timedelta = timedelta(),
    user_id: str = "usr_eve",
    scope: str = "uploads",
) -> str:
    tokens = AccessTokens(
        signing_key=key,
        issuer="uploadgate",
        audience=audience,
        seconds=900,
        leeway_seconds=30,
        clock=lambda: datetime.now(UTC) + later,
    )
    return tokens.issue(user_id, "eve", [scope])


def unsigned() -> str:
    _, claims, _ = token().split(".")
    header = base64.urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt"}').decode().rstrip("=")
    return f"{header}.{claims}."


@pytest.mark.parametrize(
    ("made", "kind"),
    [
        (lambda: "nonsense", errors.InvalidTokenError),
        (lambda: "a.b.c", errors.InvalidTokenError),
        (lambda: token("another-key-of-thirty-two-charss"), errors.InvalidTokenError),
        (lambda: token(audience="another"), errors.InvalidTokenError),
        (unsigned, errors.InvalidTokenError),
        (lambda: token()[:-4] + "AAAA", errors.InvalidTokenError),
        (lambda: "t" * 6000, errors.InvalidTokenError),
        (lambda: token(later=-HOUR), errors.TokenExpiredError),
        (lambda: token(later=HOUR), errors.InvalidTokenError),
        (lambda: "", errors.NotAuthenticatedError),
    ],
)
async def test_a_token_of_nobodys(
    house: House, caller: httpx.AsyncClient, made: Callable[[], str], kind: type[UploadgateError]
) -> None:
    # Made now: the tests before may have taken longer than a token lives.
    bad = made()
    if bad:
        house.secrets.append(bad)
    caller.headers["Authorization"] = f"Bearer {bad}"
    for call in (
        caller.post(GRANTS),
        caller.post(EXCHANGE),
        caller.post(UPLOADS, json=GOOD),
        caller.get(UPLOADS),
        caller.get(f"{UPLOADS}/upl_1"),
        caller.delete(f"{UPLOADS}/upl_1"),
    ):
        assert_problem(await call, kind)
    assert house.stub.requests == []


async def test_a_token_without_the_scope(caller: httpx.AsyncClient) -> None:
    caller.headers["Authorization"] = f"Bearer {token(scope='other')}"
    for call in (caller.post(GRANTS), caller.post(UPLOADS, json=GOOD), caller.get(UPLOADS)):
        assert_problem(await call, errors.MissingScopeError)
