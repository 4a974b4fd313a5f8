"""Who shows no good token gets a problem and nothing else."""

import base64
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
NOW = datetime.now(UTC)


def token(
    key: str = SIGNING_KEY,
    *,
    audience: str = "uploadgate",
    at: datetime = NOW,
    user_id: str = "usr_eve",
    scope: str = "uploads",
) -> str:
    tokens = AccessTokens(
        signing_key=key,
        issuer="uploadgate",
        audience=audience,
        seconds=900,
        leeway_seconds=30,
        clock=lambda: at,
    )
    return tokens.issue(user_id, "eve", [scope])


def unsigned() -> str:
    _, claims, _ = token().split(".")
    header = base64.urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt"}').decode().rstrip("=")
    return f"{header}.{claims}."


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        ("nonsense", errors.InvalidTokenError),
        ("a.b.c", errors.InvalidTokenError),
        (token("another-key-of-thirty-two-charss"), errors.InvalidTokenError),
        (token(audience="another"), errors.InvalidTokenError),
        (unsigned(), errors.InvalidTokenError),
        (token()[:-4] + "AAAA", errors.InvalidTokenError),
        ("t" * 6000, errors.InvalidTokenError),
        (token(at=NOW - timedelta(hours=1)), errors.TokenExpiredError),
        (token(at=NOW + timedelta(hours=1)), errors.InvalidTokenError),
        ("", errors.NotAuthenticatedError),
    ],
)
async def test_a_token_of_nobodys(
    house: House, caller: httpx.AsyncClient, bad: str, kind: type[UploadgateError]
) -> None:
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
