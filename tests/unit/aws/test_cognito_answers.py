"""An answer that is not Cognito's is believed in nothing."""

import json
from collections.abc import Awaitable
from typing import Any

import pytest

from aws.cognito import MAX_TOKEN, CognitoIdentityPool
from errors import CognitoAnswerError, CognitoUnavailableError
from service.grants.model import OpenIdToken
from tests.fakes.cognito_api import CREDENTIALS, IDENTITY, OPEN_ID, SECRET_KEY, TOKEN, answer
from tests.fakes.http_stub import HttpStub, Reply


def developer_call(pool: CognitoIdentityPool) -> Awaitable[object]:
    return pool.open_id_token("usr_ada", seconds=900)


def public_call(pool: CognitoIdentityPool) -> Awaitable[object]:
    return pool.credentials(OpenIdToken(IDENTITY, TOKEN))


NO_ANSWERS = [
    b"<html><body>Welcome to this hotel's wireless network</body></html>",
    b'{"IdentityId": "us-east-1:6f1c',
    b"",
    b"null",
    b"[]",
    b'"text"',
    b"7",
    b"{}",
    b"\xff\xfe\x00",
    b"[" * 100_000,
]


@pytest.mark.parametrize("body", NO_ANSWERS, ids=lambda body: repr(body[:12]))
@pytest.mark.parametrize("public", [False, True])
async def test_a_body_that_is_not_the_apis(
    stub: HttpStub, pool: CognitoIdentityPool, public: bool, body: bytes
) -> None:
    stub.answer = answer(body)
    with pytest.raises(CognitoAnswerError):
        await (public_call(pool) if public else developer_call(pool))


@pytest.mark.parametrize("body", NO_ANSWERS, ids=lambda body: repr(body[:12]))
async def test_an_error_whose_body_is_not_the_apis(
    stub: HttpStub, pool: CognitoIdentityPool, body: bytes
) -> None:
    stub.answer = answer(body, 500)
    with pytest.raises(CognitoUnavailableError):
        await developer_call(pool)


async def test_an_answer_that_is_cut_off(stub: HttpStub, pool: CognitoIdentityPool) -> None:
    whole = json.dumps(OPEN_ID).encode()
    stub.answer = Reply(200, whole[:40], promised=len(whole))
    with pytest.raises(CognitoUnavailableError):
        await developer_call(pool)


@pytest.mark.parametrize(
    "identity",
    [
        None,
        "",
        7,
        True,
        [IDENTITY],
        {"IdentityId": IDENTITY},
        "../x",
        "*",
        "us-east-1:*",
        "us-east-1:?",
        "us-east-1:../0",
        f"{IDENTITY}/",
        f"{IDENTITY}\n",
        f"{IDENTITY}\x00",
        "ünïcode:0",
        "us-east-1:" + "0" * 60,
        IDENTITY.replace(":", "/"),
    ],
)
async def test_what_is_no_identity_becomes_no_folder(
    stub: HttpStub, pool: CognitoIdentityPool, identity: Any
) -> None:
    stub.answer = answer({**OPEN_ID, "IdentityId": identity})
    with pytest.raises(CognitoAnswerError):
        await developer_call(pool)


@pytest.mark.parametrize("token", [None, "", 7, ["t"], {"t": "t"}, "t" * (MAX_TOKEN + 1)])
async def test_what_is_no_token_is_not_handed_on(
    stub: HttpStub, pool: CognitoIdentityPool, token: Any
) -> None:
    stub.answer = answer({**OPEN_ID, "Token": token})
    with pytest.raises(CognitoAnswerError) as caught:
        await developer_call(pool)
    assert IDENTITY not in str(caught.value)


@pytest.mark.parametrize("identity", [None, "", "us-east-1:0000", 7, IDENTITY.upper()])
async def test_credentials_of_another_identity_are_refused(
    stub: HttpStub, pool: CognitoIdentityPool, identity: Any
) -> None:
    stub.answer = answer({**CREDENTIALS, "IdentityId": identity})
    with pytest.raises(CognitoAnswerError):
        await public_call(pool)


BAD_TEXTS: list[Any] = [None, "", 7, {}, [], ...]
BAD_TIMES: list[Any] = [None, "", "nonsense", {}, [], ...]
HOLES: list[tuple[str, Any]] = [
    (name, value)
    for name in ("AccessKeyId", "SecretKey", "SessionToken", "Expiration")
    for value in (BAD_TIMES if name == "Expiration" else BAD_TEXTS)
]


@pytest.mark.parametrize(("name", "value"), HOLES)
async def test_credentials_with_a_hole_are_refused(
    stub: HttpStub, pool: CognitoIdentityPool, name: str, value: Any
) -> None:
    parts = {**CREDENTIALS["Credentials"], name: value}
    if value is ...:
        del parts[name]
    stub.answer = answer({**CREDENTIALS, "Credentials": parts})
    with pytest.raises(CognitoAnswerError) as caught:
        await public_call(pool)
    assert SECRET_KEY not in str(caught.value)


@pytest.mark.parametrize("expiration", [b"1e20", b"-1e20", b"1e400", b"NaN", b"[1]"])
async def test_an_expiration_that_is_no_time_is_refused(
    stub: HttpStub, pool: CognitoIdentityPool, expiration: bytes
) -> None:
    body = json.dumps(
        {**CREDENTIALS, "Credentials": {**CREDENTIALS["Credentials"], "Expiration": 0}}
    )
    stub.answer = answer(body.encode().replace(b'"Expiration": 0', b'"Expiration": ' + expiration))
    with pytest.raises(CognitoAnswerError):
        await public_call(pool)


@pytest.mark.parametrize("credentials", [None, [], "text", 7])
async def test_credentials_of_another_shape_are_refused(
    stub: HttpStub, pool: CognitoIdentityPool, credentials: Any
) -> None:
    stub.answer = answer({**CREDENTIALS, "Credentials": credentials})
    with pytest.raises(CognitoAnswerError):
        await public_call(pool)
