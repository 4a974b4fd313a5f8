"""What the HTTP surface answers to text that has no bytes."""

from typing import Any, cast

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from localcloud.cognito.app import CognitoApi
from localcloud.cognito.errors import InvalidParameterException
from localcloud.cognito.operations import IdentityPool
from localcloud.cognito.quota import Quota
from localcloud.cognito.signature import SignatureVerifier

TARGET = {"X-Amz-Target": "AWSCognitoIdentityService.GetCredentialsForIdentity"}
IDENTITY = "us-east-1:11111111-2222-3333-4444-555555555555"


class Parrot:
    """A pool that knows no better than to repeat a text that it was made with."""

    def __init__(self, text: str) -> None:
        self.text = text

    async def open_id_token_for_developer_identity(self, given: dict[str, Any]) -> dict[str, Any]:
        raise InvalidParameterException(self.text)

    async def credentials_for_identity(self, given: dict[str, Any]) -> dict[str, Any]:
        raise InvalidParameterException(self.text)


async def ask(body: bytes, text: str = "") -> httpx.Response:
    api = CognitoApi(
        pool=cast("IdentityPool", Parrot(text)),
        verifier=cast("SignatureVerifier", None),
        quota=cast("Quota", None),
    )
    app = Starlette(routes=[Route("/", api.respond, methods=["POST"])])
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
        return await client.post("/", content=body, headers=TARGET)


@pytest.mark.parametrize(
    "body",
    [
        rb'{"IdentityId":"us-east-1:\ud800","Logins":{}}',
        rb'{"IdentityId":"us-east-1:\udfff\ud800"}',
        rb'{"IdentityId":"us-east-1:ab","Logins":{"p":"\ud800"}}',
        rb'{"IdentityId":"us-east-1:ab","Logins":{"\ud800":"t"}}',
        rb'{"\ud800":1}',
        b'{"IdentityId":"\xed\xa0\x80"}',
    ],
)
async def test_half_a_surrogate_pair_cannot_be_read(body: bytes) -> None:
    answer = await ask(body)
    assert (answer.status_code, answer.json()["__type"]) == (400, "SerializationException")


async def test_a_whole_pair_is_a_character() -> None:
    answer = await ask(rb'{"IdentityId":"us-east-1:\ud83d\ude00"}')
    assert answer.json()["__type"] == "ValidationException"
    assert "us-east-1:\U0001f600" in answer.json()["message"]


@pytest.mark.parametrize("text", ["\ud800", "größer", "\U0001f600"])
async def test_an_answer_is_ascii(text: str) -> None:
    answer = await ask(f'{{"IdentityId":"{IDENTITY}"}}'.encode(), text)
    assert (answer.status_code, answer.content.isascii()) == (400, True)
    assert answer.json()["message"] == text
